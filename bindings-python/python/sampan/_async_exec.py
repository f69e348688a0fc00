"""A command in a container, and a container's own streams, while they run, for asyncio."""

from __future__ import annotations

import asyncio
import errno
from typing import TYPE_CHECKING, Any, Optional

from ._call import call
from ._sampan import Cancel

if TYPE_CHECKING:
    from ._attach import Attachment
    from ._exec import Exec
    from ._results import ExitStatus


class _Streams:
    """Three files as asyncio's own streams, of bytes."""

    def __init__(self) -> None:
        self.stdin: Optional[asyncio.StreamWriter] = None
        """Where its input is written to, when it is `interactive`."""
        self.stdout: Optional[asyncio.StreamReader] = None
        """Where its output is read from."""
        self.stderr: Optional[asyncio.StreamReader] = None
        """Where its errors are read from; with a terminal, they come with the output."""
        self._transports: list[asyncio.BaseTransport] = []

    async def _take_over(self, sync: Exec | Attachment) -> None:
        # As they are under their buffers, which are empty: an output that is open has the command.
        sync.stdin, sync.stdout, sync.stderr = (_unbuffered(file) for file in (sync.stdin, sync.stdout, sync.stderr))
        if sync.stdin is not None:
            self.stdin = await self._writer(sync.stdin)
        if sync.stdout is not None:
            self.stdout = await self._reader(sync.stdout)
        if sync.stderr is not None:
            self.stderr = await self._reader(sync.stderr)

    async def _reader(self, file: Any) -> asyncio.StreamReader:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(loop=loop)
        transport, _ = await loop.connect_read_pipe(lambda: _Protocol(reader, loop=loop), file)
        self._transports.append(transport)
        return reader

    async def _writer(self, file: Any) -> asyncio.StreamWriter:
        loop = asyncio.get_running_loop()
        protocol = _Protocol(asyncio.StreamReader(loop=loop), loop=loop)
        transport, _ = await loop.connect_write_pipe(lambda: protocol, file)
        self._transports.append(transport)
        return asyncio.StreamWriter(transport, protocol, None, loop)

    def _close(self) -> None:
        for transport in self._transports:
            transport.close()


class AsyncExec(_Streams):
    """A command in a running container; `async with` kills it at the end if it still runs.

    Its streams are asyncio's own, of bytes. The end of `stdin` is the end of its input.
    """

    def __init__(self, sync: Exec) -> None:
        super().__init__()
        self.sync = sync
        """The same command for code that may block, without its streams, which are in use here."""
        self.pid = sync.pid
        """Its process id in the host's namespace."""

    @classmethod
    async def open(cls, sync: Exec) -> AsyncExec:
        """Takes the streams, which are of bytes, over into the running loop."""
        self = cls(sync)
        try:
            await self._take_over(sync)
        except BaseException:
            # Nobody has it yet, so nobody else could end it.
            await self.aclose()
            try:
                sync.kill()
            finally:
                sync.close()
            raise
        sync.stdin = sync.stdout = sync.stderr = None
        return self

    async def wait(self, timeout: float | None = None) -> ExitStatus:
        """Waits until it has ended, at most `timeout` seconds; then `TimeoutError`."""
        cancel = Cancel()
        return await call(lambda: self.sync.wait(timeout, cancel=cancel), cancel)

    async def kill(self, signal: str | int = "SIGKILL") -> None:
        """Sends it a signal. One that has ended gets none."""
        await call(lambda: self.sync.kill(signal))

    async def resize(self, height: int, width: int) -> None:
        """Sets the size of its terminal."""
        await call(lambda: self.sync.resize(height, width))

    async def aclose(self) -> None:
        """Closes its streams. The command goes on, and what it still writes goes nowhere."""
        self._close()

    async def __aenter__(self) -> AsyncExec:
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self.kill()
        finally:
            await self.aclose()
        try:
            await self.wait()
        except TimeoutError:
            pass

    def __repr__(self) -> str:
        return f"<AsyncExec pid={self.pid}>"


class AsyncAttachment(_Streams):
    """The streams of a running container, joined; at the end of `async with` they are closed, and it goes on.

    They are asyncio's own, of bytes. The end of `stdin` is no end of the container's input.
    """

    def __init__(self, sync: Attachment) -> None:
        super().__init__()
        self.sync = sync
        """The same for code that may block, without its streams, which are in use here."""

    @classmethod
    async def open(cls, sync: Attachment) -> AsyncAttachment:
        """Takes the streams, which are of bytes, over into the running loop."""
        self = cls(sync)
        try:
            await self._take_over(sync)
        except BaseException:
            self._close()
            sync.close()
            raise
        sync.stdin = sync.stdout = sync.stderr = None
        return self

    async def wait(self, timeout: float | None = None) -> ExitStatus:
        """Waits until the container has ended and all its output lies in the streams, at most `timeout` seconds."""
        cancel = Cancel()
        return await call(lambda: self.sync.wait(timeout, cancel=cancel), cancel)

    async def resize(self, height: int, width: int) -> None:
        """Sets the size of the container's terminal."""
        await call(lambda: self.sync.resize(height, width))

    async def aclose(self) -> None:
        """Leaves: closes the streams. The container goes on."""
        self._close()

    async def __aenter__(self) -> AsyncAttachment:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return "<AsyncAttachment>"


class _Protocol(asyncio.StreamReaderProtocol):
    def connection_lost(self, exc: Optional[Exception]) -> None:
        """A terminal whose other end is closed says EIO where a pipe is at its end."""
        ended = isinstance(exc, OSError) and exc.errno == errno.EIO
        super().connection_lost(None if ended else exc)


def _unbuffered(file: Any) -> Any:
    return None if file is None else file.detach()

"""A command in a container, while it runs."""

from __future__ import annotations

import errno
import io

from ._options import signal_word
from ._results import ExitStatus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO, Any, Optional

    from . import _sampan
    from ._sampan import Cancel


class Exec:
    """A command in a running container, started by `Container.exec_start`.

    In a `with` it is killed at the end if it still runs. Without one, dropping it does nothing to the command.
    """

    def __init__(self, native: _sampan.Exec, text: bool) -> None:
        self._native = native
        self.pid: int = native.pid
        """Its process id in the host's namespace."""
        stdin, stdout, stderr = native.take()
        self.stdin: Optional[IO[Any]] = None if stdin is None else _writer(stdin, text)
        """Where its input is written to, when it is `interactive`; closing it ends the input.

        Text is sent line by line, bytes with `flush()`.
        """
        self.stdout: Optional[IO[Any]] = (
            None if stdout is None else _reader(stdout, text, lambda: native.discard(True, False))
        )
        """Where its output is read from: a file, an iterator of lines. Once it is closed, output is thrown away."""
        self.stderr: Optional[IO[Any]] = (
            None if stderr is None else _reader(stderr, text, lambda: native.discard(False, True))
        )
        """Where its errors are read from; with a terminal, they come with the output."""

    def wait(self, timeout: float | None = None, *, cancel: Cancel | None = None) -> ExitStatus:
        """Waits until it has ended, at most `timeout` seconds; then `TimeoutError`."""
        return ExitStatus(self._native.wait(timeout, cancel))

    def kill(self, signal: str | int = "SIGKILL") -> None:
        """Sends it a signal: `SIGHUP`, `HUP`, `1` or `signal.SIGHUP`. One that has ended gets none."""
        self._native.kill(signal_word(signal) or "SIGKILL")

    def resize(self, height: int, width: int) -> None:
        """Sets the size of its terminal."""
        self._native.resize(height, width)

    def close(self) -> None:
        """Closes its streams. The command goes on, and what it still writes goes nowhere."""
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream is not None:
                _close(stream)

    def __enter__(self) -> Exec:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.kill()
        finally:
            self.close()
        try:
            self.wait()
        except TimeoutError:
            pass

    def __repr__(self) -> str:
        return f"<Exec pid={self.pid}>"


def _close(stream: IO[Any]) -> None:
    try:
        stream.close()
    except OSError as error:
        # What was still in the buffer is nobody's any more: a pipe says EPIPE then, and a terminal EIO.
        if error.errno not in (errno.EPIPE, errno.EIO):
            raise


class _Stream(io.FileIO):
    """A terminal whose other end is closed says EIO where a pipe is at its end."""

    def readinto(self, buffer: Any) -> Any:
        try:
            return super().readinto(buffer)
        except OSError as error:
            return _end(error, 0)

    def readall(self) -> Any:
        return b"".join(iter(lambda: self.read(1 << 16), b""))

    def read(self, size: int | None = -1) -> Any:
        if size is None or size < 0:
            return self.readall()
        try:
            return super().read(size)
        except OSError as error:
            return _end(error, b"")


class _Output(_Stream):
    """Has the command for as long as it is open: when nobody has it, what it writes is thrown away."""

    def __init__(self, fd: int, discard: Callable[[], None]) -> None:
        self._discard = discard
        super().__init__(fd, "rb")

    def close(self) -> None:
        closed = self.closed
        super().close()
        if not closed:
            self._discard()


def _end(error: OSError, end: Any) -> Any:
    if error.errno != errno.EIO:
        raise error
    return end


def _reader(fd: int, text: bool, discard: Callable[[], None]) -> IO[Any]:
    stream = io.BufferedReader(_Output(fd, discard))
    return io.TextIOWrapper(stream, "utf-8", "replace", newline="\n") if text else stream


def _writer(fd: int, text: bool) -> IO[Any]:
    stream = io.BufferedWriter(_Stream(fd, "wb"))
    return io.TextIOWrapper(stream, "utf-8", newline="\n", line_buffering=True) if text else stream

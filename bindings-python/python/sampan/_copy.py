"""Archives into a container and out of it, as files of Python."""

from __future__ import annotations

import io
import os
from _thread import get_ident

from ._sampan import Cancel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from threading import Thread
    from typing import IO, Any, Callable, Union

# Seconds that a call, when it has ended, waits to hear whether its source failed.
_PATIENCE = 0.5


class Archive(io.RawIOBase):
    """A tar archive that comes from a container: read it, iterate over it in chunks of bytes, or give it to `tarfile`.

    `tarfile.open(fileobj=archive, mode="r|")` reads it as it comes. Closing it early ends the copy.
    """

    def __init__(self, write: Callable[[int, Cancel], None]) -> None:
        import threading

        super().__init__()
        self._errors: list[BaseException] = []
        self._cancel = Cancel()
        self._owner = os.getpid()
        self._fd, to = os.pipe()
        # It knows nothing of this object, which is closed when nobody else does either.
        args = (write, to, self._cancel, self._errors)
        self._thread = threading.Thread(target=_write, args=args, name="sampan", daemon=True)
        self._thread.start()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self.closed:
            raise ValueError("I/O operation on closed file")
        data = os.read(self._fd, len(buffer))
        buffer[: len(data)] = data
        if not data and len(buffer):
            self._thread.join()
            if self._errors:
                raise self._errors[0]
        return len(data)

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.read(1 << 16), b"")

    def close(self) -> None:
        if not self.closed:
            # A forked child has its own descriptors, but wakes its parent with the token.
            if self._owner == os.getpid():
                self._cancel.cancel()
            fd, self._fd = self._fd, -1
            os.close(fd)
            # Whoever collects garbage may be the thread itself.
            if get_ident() != self._thread.ident:
                self._thread.join()
        super().close()


def _write(write: Callable[[int, Cancel], None], to: int, cancel: Cancel, errors: list[BaseException]) -> None:
    try:
        write(to, cancel)
    except BaseException as error:
        errors.append(error)
    finally:
        os.close(to)


def put(data: Union[bytes, IO[bytes], Iterable[bytes]], take: Callable[[int], None]) -> None:
    """Gives `take` a descriptor that bytes, what a file has, or chunks are read from."""
    import threading

    source, to = os.pipe()
    failed: list[BaseException] = []
    thread = threading.Thread(target=_feed, args=(data, to, failed), name="sampan", daemon=True)
    thread.start()
    try:
        take(source)
    except BaseException as error:
        if _told(source, thread, failed):
            # Its own failure is why the archive was cut; but a Ctrl-C stays one.
            if isinstance(error, Exception):
                raise failed[0] from None
            error.__context__ = failed[0]
        raise
    if _told(source, thread, failed):
        raise failed[0]


def _told(source: int, thread: Thread, failed: list[BaseException]) -> bool:
    """Whether the feeder has failed. Nobody reads any more, and it hears of that with the next that it is given."""
    os.close(source)
    thread.join(_PATIENCE)
    return bool(failed)


def _feed(data: Any, to: int, failed: list[BaseException]) -> None:
    try:
        for chunk in _chunks(data):
            if not _written(to, memoryview(chunk)):
                return
    except BaseException as error:
        failed.append(error)
    finally:
        os.close(to)


def _written(to: int, view: memoryview) -> bool:
    """False when nobody reads any more."""
    try:
        while view:
            view = view[os.write(to, view) :]
    except BrokenPipeError:
        return False
    return True


def _chunks(data: Any) -> Iterable[bytes]:
    if isinstance(data, (bytes, bytearray, memoryview)):
        return (bytes(data),)
    if hasattr(data, "read"):
        return iter(lambda: data.read(1 << 16), b"")
    chunks: Iterable[bytes] = data
    return chunks

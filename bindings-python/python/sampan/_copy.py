"""Archives into a container and out of it, as files of Python."""

from __future__ import annotations

import io
import os
import threading

from ._sampan import Cancel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import IO, Any, Callable, Optional, Union


class Archive(io.RawIOBase):
    """A tar archive that comes from a container: read it, iterate over it in chunks of bytes, or give it to `tarfile`.

    `tarfile.open(fileobj=archive, mode="r|")` reads it as it comes. Closing it early ends the copy.
    """

    def __init__(self, write: Callable[[int, Cancel], None]) -> None:
        super().__init__()
        self._error: Optional[BaseException] = None
        self._cancel = Cancel()
        self._fd, to = os.pipe()
        self._thread = threading.Thread(target=self._write, args=(write, to), name="sampan", daemon=True)
        self._thread.start()

    def _write(self, write: Callable[[int, Cancel], None], to: int) -> None:
        try:
            write(to, self._cancel)
        except BaseException as error:
            self._error = error
        finally:
            os.close(to)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = os.read(self._fd, len(buffer))
        buffer[: len(data)] = data
        if not data and len(buffer):
            self._thread.join()
            if self._error is not None:
                raise self._error
        return len(data)

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.read(1 << 16), b"")

    def close(self) -> None:
        if not self.closed:
            self._cancel.cancel()
            os.close(self._fd)
            self._thread.join()
        super().close()


def put(data: Union[bytes, IO[bytes], Iterable[bytes]], take: Callable[[int], None]) -> None:
    """Gives `take` a descriptor that bytes, what a file has, or chunks are read from."""
    source, to = os.pipe()
    failed: list[BaseException] = []
    thread = threading.Thread(target=_feed, args=(data, to, failed), name="sampan", daemon=True)
    thread.start()
    try:
        take(source)
    except BaseException:
        # Nobody reads any more, and the feeder hears of that; its own failure is why the archive was cut.
        os.close(source)
        thread.join()
        if failed:
            raise failed[0] from None
        raise
    os.close(source)
    thread.join()
    if failed:
        raise failed[0]


def _feed(data: Any, to: int, failed: list[BaseException]) -> None:
    try:
        for chunk in _chunks(data):
            view = memoryview(chunk)
            while view:
                view = view[os.write(to, view) :]
    except BrokenPipeError:
        pass
    except BaseException as error:
        failed.append(error)
    finally:
        os.close(to)


def _chunks(data: Any) -> Iterable[bytes]:
    if isinstance(data, (bytes, bytearray, memoryview)):
        return (bytes(data),)
    if hasattr(data, "read"):
        return iter(lambda: data.read(1 << 16), b"")
    chunks: Iterable[bytes] = data
    return chunks

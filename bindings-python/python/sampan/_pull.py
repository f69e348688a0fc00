"""What is pulled from a stream of the library, item by item, and may be closed meanwhile."""

from __future__ import annotations

import os

from ._exceptions import CancelledError
from ._sampan import Cancel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Union

    from ._sampan import EventStream, LogStream


class Pulled:
    """A stream that one thread reads and any thread closes."""

    def __init__(self, stream: Union[EventStream, LogStream]) -> None:
        self._stream = stream
        self._cancel = Cancel()
        self._closed = False
        self._owner = os.getpid()

    def _pull(self, timeout: float | None, cancel: Cancel | None) -> Any:
        """What the stream gives next; `None` once it is closed."""
        # Before the look, so that a `close` in between is seen by one of the two.
        self._cancel = cancel or Cancel()
        if self._closed:
            return None
        try:
            return self._stream.next(timeout, self._cancel)
        except CancelledError:
            if not self._closed:
                raise
            return None
        finally:
            # Another thread's `close` could not, while this one was reading.
            if self._closed:
                self._stream.close()

    def close(self) -> None:
        """Ends it, from any thread."""
        self._closed = True
        # A forked child has its own descriptors, but wakes its parent with the token.
        if self._owner == os.getpid():
            self._cancel.cancel()
        self._stream.close()

    def __exit__(self, *_: object) -> None:
        self.close()

"""What happens in a store as an iterator."""

from __future__ import annotations

from ._exceptions import CancelledError
from ._logs import moment
from ._sampan import Cancel, EventStream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ._logs import Moment
    from ._types import EngineEvent


def event_options(since: Moment, until: Moment, filters: Any) -> dict[str, Any]:
    """The record of which events to read; filters are `"key=value"` texts, or a dict of them."""
    if isinstance(filters, str):
        filters = [filters]
    elif hasattr(filters, "items"):
        filters = [f"{key}={value}" for key, values in filters.items() for value in _several(values)]
    return {"since": moment(since), "until": moment(until), "filters": list(filters)}


def _several(values: Any) -> Any:
    return [values] if isinstance(values, str) else values


class Events:
    """The events of a store, in order. `close()`, from any thread, ends them; so does the end of a `with`."""

    def __init__(self, stream: EventStream) -> None:
        self._stream = stream
        self._cancel = Cancel()
        self._closed = False

    def __iter__(self) -> Iterator[EngineEvent]:
        return self

    def __next__(self) -> EngineEvent:
        return self.next()

    def next(self, timeout: float | None = None) -> EngineEvent:
        """The next event; `StopIteration` at the end, `TimeoutError` when none came in time."""
        event = self.take(timeout)
        if event is None:
            raise StopIteration
        return event

    def take(self, timeout: float | None = None, cancel: Cancel | None = None) -> EngineEvent | None:
        """The next event; `None` at the end."""
        if self._closed:
            return None
        self._cancel = cancel or Cancel()
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
        """Ends them."""
        self._closed = True
        self._cancel.cancel()
        self._stream.close()

    def __enter__(self) -> Events:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

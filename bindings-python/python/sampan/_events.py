"""What happens in a store as an iterator."""

from __future__ import annotations

from ._logs import moment
from ._pull import Pulled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ._logs import Moment
    from ._sampan import Cancel
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


class Events(Pulled):
    """The events of a store, in order. `close()`, from any thread, ends them; so does the end of a `with`."""

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
        event: EngineEvent | None = self._pull(timeout, cancel)
        return event

    def __enter__(self) -> Events:
        return self

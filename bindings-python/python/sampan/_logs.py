"""A container's log as an iterator."""

from __future__ import annotations

from ._exceptions import InvalidArgumentError
from ._pull import Pulled
from ._results import LogEntry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime, timedelta
    from typing import Any, Union

    from ._sampan import Cancel, LogStream

    Moment = Union[str, int, float, datetime, timedelta, None]


def log_options(
    follow: bool,
    stdout: bool,
    stderr: bool,
    since: Moment,
    until: Moment,
    tail: int | str | None,
    whole_lines: bool = False,
) -> dict[str, Any]:
    """The record of what to read."""
    if tail == "all":
        tail = None
    return {
        "follow": follow,
        "no_stdout": not stdout,
        "no_stderr": not stderr,
        "since": moment(since),
        "until": moment(until),
        "tail": None if tail is None else int(tail),
        "whole_lines": whole_lines,
    }


def moment(moment: Any) -> str | None:
    """A point in time as the library reads it."""
    if moment is None or isinstance(moment, str):
        return moment
    if isinstance(moment, (int, float)):
        return f"{moment:.9f}".rstrip("0").rstrip(".")
    if hasattr(moment, "total_seconds"):
        from datetime import datetime, timezone

        moment = datetime.now(timezone.utc) - moment
    if not hasattr(moment, "astimezone"):
        raise InvalidArgumentError(f"read log: {moment!r} is no moment", operation="read log")
    # A datetime without a zone is local time, as everywhere in Python.
    from datetime import timezone

    text: str = moment.astimezone(timezone.utc).isoformat()
    return text.replace("+00:00", "Z")


class Entries(Pulled):
    """The entries of a log, in order. `close()`, from any thread, ends one that is followed."""

    def __init__(self, stream: LogStream) -> None:
        super().__init__(stream)
        self._ready: list[tuple[str, str, bytes]] = []

    def __iter__(self) -> Iterator[LogEntry]:
        return self

    def __next__(self) -> LogEntry:
        return self.next()

    def next(self, timeout: float | None = None) -> LogEntry:
        """The next entry; `StopIteration` at the end, `TimeoutError` when none came in time."""
        entry = self.take(timeout)
        if entry is None:
            raise StopIteration
        return entry

    def ready(self) -> LogEntry | None:
        """An entry that is at hand already."""
        return LogEntry(*self._ready.pop()) if self._ready else None

    def put_back(self, entry: LogEntry | None) -> None:
        """Makes what was taken the next entry again."""
        if entry is not None:
            self._ready.append((entry.time, entry.stream, entry.data))

    def take(self, timeout: float | None = None, cancel: Cancel | None = None) -> LogEntry | None:
        """The next entry; `None` at the end."""
        if not self._ready:
            self._ready = (self._pull(timeout, cancel) or [])[::-1]
        return self.ready()

    def __enter__(self) -> Entries:
        return self


class _Lines:
    def __init__(self, entries: Entries, timestamps: bool) -> None:
        self.entries = entries
        self._timestamps = timestamps

    def close(self) -> None:
        """Ends it, from any thread."""
        self.entries.close()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _data(self, entry: LogEntry) -> bytes:
        return entry.time.encode() + b" " + entry.data if self._timestamps else entry.data


class BytesLines(_Lines):
    """The lines of a log as bytes, each with its end."""

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return self._data(next(self.entries))

    def __enter__(self) -> BytesLines:
        return self

    def read(self) -> bytes:
        """All that is left."""
        return b"".join(self)


class TextLines(_Lines):
    """The lines of a log as text, each with its end."""

    def __init__(self, entries: Entries, timestamps: bool) -> None:
        super().__init__(entries, timestamps)
        self._decoders: dict[str, Any] = {}

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        return self.decode(next(self.entries))

    def __enter__(self) -> TextLines:
        return self

    def decode(self, entry: LogEntry) -> str:
        """The text of an entry; a character that two entries share is kept for the second."""
        if entry.stream not in self._decoders:
            import codecs

            self._decoders[entry.stream] = codecs.getincrementaldecoder("utf-8")("replace")
        text: str = self._decoders[entry.stream].decode(self._data(entry))
        return text

    def read(self) -> str:
        """All that is left."""
        return "".join(self)

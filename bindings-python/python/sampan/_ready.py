"""Waiting for what a container says."""

from __future__ import annotations

import time

from ._exceptions import ConflictError, TimeoutError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re

    from ._container import Container
    from ._results import LogEntry

# Of a line without end so much is kept for what comes behind it.
MOST = 1 << 16


def wait_for_line(container: Container, log: str | re.Pattern[str], timeout: float) -> str:
    """The first line of the log, from its beginning, that contains or matches `log`."""
    deadline = time.monotonic() + timeout
    growing = Growing()
    with container.log_entries(follow=True) as entries:
        while True:
            try:
                line = growing.add(entries.next(max(0.0, deadline - time.monotonic())))
            except TimeoutError:
                raise late(container, log, timeout) from None
            except StopIteration:
                raise ended(container, log) from None
            if matches(log, line):
                return line


class Growing:
    """The lines of a log as they grow: a program may pause within one, or wait there for an answer."""

    def __init__(self) -> None:
        self._begun: dict[str, bytes] = {}

    def add(self, entry: LogEntry) -> str:
        """The line that an entry belongs to, as far as it has come."""
        line = self._begun.pop(entry.stream, b"") + entry.data
        if not line.endswith(b"\n"):
            self._begun[entry.stream] = line[-MOST:]
        return line.decode("utf-8", "replace")


def matches(log: str | re.Pattern[str], line: str) -> bool:
    """Whether the line is the one."""
    return log in line if isinstance(log, str) else log.search(line) is not None


def late(container: Container, log: object, timeout: float) -> TimeoutError:
    """The error when the time is up."""
    text = f"wait for container {container.short_id}: no line with {log!r} in {timeout} s"
    return TimeoutError(text, operation="wait for container", subject=container.short_id)


def ended(container: Container, log: object) -> ConflictError:
    """The error when the log ends first."""
    text = f"wait for container {container.short_id}: it ended before a line with {log!r}"
    return ConflictError(text, operation="wait for container", subject=container.short_id)

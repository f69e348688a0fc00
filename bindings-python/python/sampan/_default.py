"""The engine behind `sampan.run` and its like: opened at the first call, with the usual store."""

from __future__ import annotations

from ._engine import Engine

_engine: Engine | None = None


def engine() -> Engine:
    """The default engine. After a `fork` the child's first call opens its own."""
    global _engine
    # Two threads may both open one: it holds nothing, and the last one stays.
    if _engine is None:
        _engine = Engine()
    return _engine


def use(other: Engine | None) -> None:
    """Makes another engine the default; `None` goes back to the usual store."""
    global _engine
    _engine = other

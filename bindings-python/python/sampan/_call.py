"""Calls that may block, for asyncio.

Each has a thread of its own for as long as it lasts: asyncio's shared threads are few, and a handful of waits would use
them up for the whole program.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import TYPE_CHECKING, Any, Optional, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._progress import Progress
    from ._sampan import Cancel

T = TypeVar("T")


async def call(
    work: Callable[[], T], cancel: Optional[Cancel] = None, undo: Optional[Callable[[T], object]] = None
) -> T:
    """Runs `work` in a thread. When the task is cancelled so is the call, and only then does this return.

    `undo` takes back what a call made that ended well in spite of its cancelling.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    context = contextvars.copy_context()
    worker = _Worker(loop, future, lambda: context.run(work))
    worker.start()
    try:
        result = await asyncio.shield(future)
    except asyncio.CancelledError:
        if cancel is not None:
            cancel.cancel()
        await _settled(future)
        if undo is not None and future.exception() is None:
            await call(lambda: undo(future.result()))
        raise
    finally:
        # It has told its result, so this waits for no more than its return.
        worker.join()
    return result


async def _settled(future: asyncio.Future[Any]) -> None:
    """Waits for the thread whatever happens: it must not outlive the call that it works for."""
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError:
            continue
    # Looked at, or asyncio would report an exception that nobody took.
    future.exception()


class _Worker(threading.Thread):
    def __init__(self, loop: asyncio.AbstractEventLoop, future: asyncio.Future[Any], work: Callable[[], Any]) -> None:
        super().__init__(name="sampan", daemon=True)
        self._loop, self._future, self._work = loop, future, work

    def run(self) -> None:
        try:
            result = self._work()
        except BaseException as error:
            self._tell(self._future.set_exception, _storable(error))
        else:
            self._tell(self._future.set_result, result)

    def _tell(self, setter: Callable[[Any], None], value: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(setter, value)
        except RuntimeError:
            # The loop was closed under us; nobody is left to be told.
            pass


def _storable(error: BaseException) -> BaseException:
    # A future refuses StopIteration.
    return RuntimeError(repr(error)) if isinstance(error, StopIteration) else error


def in_loop(progress: Progress) -> Progress:
    """A callable for progress runs in the loop's thread, as all of a user's code does."""
    if not callable(progress):
        return progress
    loop, call = asyncio.get_running_loop(), progress
    return lambda event: loop.call_soon_threadsafe(call, event)

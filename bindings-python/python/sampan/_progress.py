"""A pull's progress: by tqdm or rich where they are, else plain lines, and nothing where nobody looks."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Union

    from ._types import Event

    Progress = Union[bool, Callable[[Event], object], None]


def choose(progress: Progress) -> Callable[[Event], object] | None:
    """The callable for what the caller asked: `None` means a bar if somebody looks, `True` always, `False` never."""
    if callable(progress):
        return progress
    if progress is None:
        progress = in_notebook() or _on_terminal()
    return Bars() if progress else None


def in_notebook() -> bool:
    """Whether IPython's kernel runs this; asked without loading it."""
    kernel = sys.modules.get("ipykernel.zmqshell")
    ipython = sys.modules.get("IPython")
    return kernel is not None and ipython is not None and isinstance(ipython.get_ipython(), kernel.ZMQInteractiveShell)


def _on_terminal() -> bool:
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):
        return False


class Bars:
    """One bar over all layers. It appears with the first byte that has to be fetched, and not for an image at hand."""

    def __init__(self) -> None:
        self._total = 0
        self._done: dict[str, int] = {}
        self._title = ""
        self._bar: Any = None

    def __call__(self, event: Any) -> None:
        kind = event["event"]
        if kind == "resolved":
            self._title, self._total = event["reference"], event["bytes"]
        elif kind == "layer_bytes":
            self._done[event["digest"]] = event["done"]
            self._show()
        elif kind == "layer_skipped":
            self._done[event["digest"]] = event["total"]
            if self._bar is not None:
                self._show()
        elif kind == "done" and self._bar is not None:
            self._bar.close()

    def _show(self) -> None:
        if self._bar is None:
            self._bar = _bar(self._title, self._total)
        self._bar.set(sum(self._done.values()))


def _bar(title: str, total: int) -> Any:
    for kind in (_Tqdm, _Rich):
        try:
            return kind(title, total)
        except ImportError:
            continue
    return _Plain(title, total)


class _Tqdm:
    def __init__(self, title: str, total: int) -> None:
        from tqdm.auto import tqdm

        self._bar: Any = tqdm(total=total or None, desc=title, unit="B", unit_scale=True, unit_divisor=1024)

    def set(self, done: int) -> None:
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        self._bar.close()


class _Rich:
    def __init__(self, title: str, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        # Drawn when told, so that no thread is started for it.
        self._bar: Any = Progress(*columns, console=Console(stderr=True), auto_refresh=False)
        self._bar.start()
        self._task = self._bar.add_task(title, total=total or None)

    def set(self, done: int) -> None:
        self._bar.update(self._task, completed=done, refresh=True)

    def close(self) -> None:
        self._bar.stop()


class _Plain:
    def __init__(self, title: str, total: int) -> None:
        self._title, self._total, self._shown = title, total, -1

    def set(self, done: int) -> None:
        percent = min(100, done * 100 // self._total) if self._total else 0
        if percent != self._shown:
            self._shown = percent
            print(
                f"\rpull {self._title}: {percent:3d} % of {self._total >> 20} MiB", end="", file=sys.stderr, flush=True
            )

    def close(self) -> None:
        print(file=sys.stderr)

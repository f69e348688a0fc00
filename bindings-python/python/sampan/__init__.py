"""Containers with no daemon: pull, run and watch OCI images in your own process.

import sampan
print(sampan.run("alpine", ["echo", "hello"]).stdout)

with sampan.container("redis:7", network="host") as redis:
    redis.wait_ready(log="Ready to accept connections")
"""

from __future__ import annotations

import sys as _sys

if not _sys.platform.startswith("linux"):
    raise ImportError(
        f"sampan runs containers on the Linux kernel, which {_sys.platform} lacks: use it inside a Linux machine or VM"
    )

try:
    from ._sampan import Cancel
    from ._sampan import version as __version__
except ImportError as _error:  # pragma: no cover
    raise ImportError(
        f"sampan's native module could not be loaded ({_error}): "
        "its wheel is for x86-64 Linux with glibc 2.28 or later and CPython 3.9 or later"
    ) from _error

from . import _default, _exceptions
from ._attach import Attachment
from ._container import Container
from ._containers import ContainerList, Containers
from ._engine import Engine
from ._exceptions import *
from ._exec import Exec
from ._images import Image, ImageList, Images
from ._results import BytesOutput, ExitError, ExitStatus, LogEntry, Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal, overload

    from typing_extensions import Unpack

    from ._async import AsyncAttachment, AsyncContainer, AsyncEngine, AsyncExec, AsyncImage
    from ._keywords import RunKeywords
    from ._options import Command
    from ._progress import Progress
    from ._types import DoctorReport

if TYPE_CHECKING:
    # Apart from the imports, or a checker does not see that these belong to what follows.
    @overload
    def run(
        image: object,
        command: Command = None,
        *,
        text: Literal[True] = True,
        input: str | bytes | None = None,
        check: bool = False,
        timeout: float | None = None,
        progress: Progress = None,
        cancel: Cancel | None = None,
        **options: Unpack[RunKeywords],
    ) -> Output: ...
    @overload
    def run(
        image: object,
        command: Command = None,
        *,
        text: Literal[False],
        input: str | bytes | None = None,
        check: bool = False,
        timeout: float | None = None,
        progress: Progress = None,
        cancel: Cancel | None = None,
        **options: Unpack[RunKeywords],
    ) -> BytesOutput: ...


def run(image: object, command: Command = None, **options: Any) -> Any:
    """Runs a container to its end, removes it, and returns what it wrote and how it ended.

    Takes what `Engine.containers.run` takes.
    """
    containers: Any = _default.engine().containers
    return containers.run(image, command, **options)


def container(
    image: object, command: Command = None, *, progress: Progress = None, **options: Unpack[RunKeywords]
) -> Container:
    """Starts a container that goes when this process goes, and with the `with` it is used in."""
    return _default.engine().container(image, command, progress=progress, **options)


def pull(
    reference: str,
    *,
    platform: str | None = None,
    max_downloads: int | None = None,
    progress: Progress = None,
    cancel: Cancel | None = None,
) -> Image:
    """Pulls an image. Layers that the store has are not fetched again."""
    return _default.engine().images.pull(
        reference, platform=platform, max_downloads=max_downloads, progress=progress, cancel=cancel
    )


def images() -> ImageList:
    """The images in the store, newest first."""
    return _default.engine().images.list()


def containers(all: bool = False, *, filters: Any = ()) -> ContainerList:
    """The containers in the store, newest first; the running ones unless `all`."""
    return _default.engine().containers.list(all, filters=filters)


def doctor() -> DoctorReport:
    """What this host allows, which rung is chosen and why, and what to install; runs a self-test container."""
    return _default.engine().doctor()


def use_engine(engine: Engine | None) -> None:
    """Makes `engine` the one behind the functions of this module; `None` goes back to the usual store."""
    _default.use(engine)


def load_ipython_extension(shell: Any) -> None:
    """`%load_ext sampan`: gives `%%container IMAGE`."""
    from ._magic import register

    register(shell)


_LAZY = ("AsyncAttachment", "AsyncContainer", "AsyncEngine", "AsyncExec", "AsyncImage")


def __getattr__(name: str) -> Any:
    # asyncio alone takes longer to import than all the rest.
    if name in _LAZY:
        from . import _async

        return getattr(_async, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})


__all__ = [
    "AsyncAttachment",
    "AsyncContainer",
    "AsyncEngine",
    "AsyncExec",
    "AsyncImage",
    "Attachment",
    "BytesOutput",
    "Cancel",
    "Container",
    "ContainerList",
    "Containers",
    "Engine",
    "Exec",
    "ExitError",
    "ExitStatus",
    "Image",
    "ImageList",
    "Images",
    "LogEntry",
    "Output",
    "__version__",
    "container",
    "containers",
    "doctor",
    "images",
    "pull",
    "run",
    "use_engine",
]
__all__ += _exceptions.__all__

"""The engine: one store and everything in it."""

from __future__ import annotations

import os

from . import _sampan
from ._container import Container
from ._containers import Containers
from ._images import Images
from ._options import each, run_options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from typing_extensions import Unpack

    from ._events import Events
    from ._keywords import RunKeywords
    from ._logs import Moment
    from ._options import Command
    from ._progress import Progress
    from ._types import CgroupManager, DoctorReport, EngineInfo, PruneReport, Rung


class Engine:
    """A store of images and containers on this machine, safe to share between threads and after `fork`.

    Opening one starts nothing: no daemon, no thread, no process.
    What is not given here `SAMPAN_ROOT`, `SAMPAN_RUN`, `SAMPAN_RUNG` and `SAMPAN_CGROUP_MANAGER` say, as to the command.

    Args:
        root: The store; `/var/lib/sampan` for root, `$XDG_DATA_HOME/sampan` (`~/.local/share/sampan`) else.
        run_dir: Sockets and leases that need not outlive a boot.
        rung: Force a rung of the rootless ladder instead of the best that works.
        keep_blobs: Keep compressed blobs after unpacking; on by default.
        additional_stores: Read-only stores that are searched after this one.
        helper: An installed helper, used when the kernel refuses to execute a memfd.
        insecure_registries: Registries (`host:port`) spoken to without TLS; loopback needs no entry.
        max_unpacked_bytes: Refuse images that unpack to more bytes than this.
        max_entries: Refuse images with more files than this.
        no_new_privileges: Set `no_new_privs` in every container.
        cgroup_manager: Who makes the cgroups of containers, `cgroupfs` or `systemd`: often a plain user's only way to limits.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        *,
        run_dir: str | os.PathLike[str] | None = None,
        rung: Rung | None = None,
        keep_blobs: bool | None = None,
        additional_stores: Any = (),
        helper: str | os.PathLike[str] | None = None,
        insecure_registries: Any = (),
        max_unpacked_bytes: int | None = None,
        max_entries: int | None = None,
        no_new_privileges: bool = False,
        cgroup_manager: CgroupManager | None = None,
    ) -> None:
        self._options: dict[str, Any] = {
            "root": _absolute(root),
            "run": _absolute(run_dir),
            "rung": rung,
            "keep_blobs": keep_blobs,
            "additional_stores": [os.fspath(store) for store in each("additional_stores", additional_stores)],
            "helper": _absolute(helper),
            "insecure_registries": each("insecure_registries", insecure_registries),
            "max_unpacked_bytes": max_unpacked_bytes,
            "max_entries": max_entries,
            "no_new_privileges": no_new_privileges,
            "cgroup_manager": cgroup_manager,
        }
        self._pid = 0
        self._handle: _sampan.Engine | None = None
        self._bind()
        _ = self._native

    def _bind(self) -> None:
        self.containers = Containers(self)
        """Its containers."""
        self.images = Images(self)
        """Its images."""
        self.run = self.containers.run
        """As `containers.run`."""
        self.pull = self.images.pull
        """As `images.pull`."""

    @property
    def _native(self) -> _sampan.Engine:
        # Opened anew in a forked child: locks and descriptors of the parent's are not the child's.
        if self._handle is None or self._pid != os.getpid():
            self._handle = _sampan.Engine(self._options)
            self._pid = os.getpid()
        return self._handle

    def __getstate__(self) -> dict[str, Any]:
        return self._options

    def __setstate__(self, options: dict[str, Any]) -> None:
        self._options, self._pid, self._handle = options, 0, None
        self._bind()

    def info(self) -> EngineInfo:
        """Where this engine stands."""
        return self._native.info()

    def doctor(self) -> DoctorReport:
        """What this host allows, which rung is chosen and why, and what to install; runs a self-test container."""
        return self._native.doctor()

    def gc(self) -> PruneReport:
        """Removes blobs, layers and leftovers that no image, container or lease uses."""
        return self._native.gc()

    def plan(self, image: object, command: Command = None, **options: Unpack[RunKeywords]) -> dict[str, Any]:
        """What a run would do, without doing it."""
        import json

        plan: dict[str, Any] = json.loads(self._native.plan(run_options(image, command, options)))
        return plan

    def events(self, *, since: Moment = None, until: Moment = None, filters: Any = ()) -> Events:
        """What happens in the store from now on, whichever process does it, and with `since` what has happened.

        An iterator; `close()` from any thread, or the end of a `with`, ends it. The last mebibyte of events is kept,
        and up to one before it.

        Args:
            since: Also those that are kept, from this time on: a datetime, Unix seconds, a timedelta back from now,
                RFC 3339 or `"10m"`. By default only those from now on.
            until: The end: those before this time.
            filters: `"event=die"`, `["type=container", "container=web"]` or `{"event": ["die", "oom"]}`, in Docker's
                words.
        """
        from ._events import Events, event_options

        return Events(self._native.events(event_options(since, until, filters)))

    def container(
        self, image: object, command: Command = None, *, progress: Progress = None, **options: Unpack[RunKeywords]
    ) -> Container:
        """Starts a container that goes when this process goes, and with the `with` it is used in.

        Takes what `containers.spawn` takes.
        """
        options.setdefault("tie", "host")
        return self.containers.spawn(image, command, progress=progress, **options)

    def close(self) -> None:
        """Lets go of the store. Containers go on; a later call opens it again."""
        self._handle = None

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        root = self._options["root"]
        return f"<Engine {root}>" if root else "<Engine>"


def _absolute(path: str | os.PathLike[str] | None) -> str | None:
    # The working directory may be another when the engine is opened again.
    return None if path is None else os.path.abspath(os.path.expanduser(os.fspath(path)))

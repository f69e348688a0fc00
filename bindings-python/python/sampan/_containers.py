"""Containers: `engine.containers`, and the handle of one."""

from __future__ import annotations

import os

from . import _html
from ._exceptions import NotFoundError
from ._logs import BytesLines, Entries, TextLines, log_options
from ._options import exec_options, run_options, streams
from ._progress import choose
from ._results import BytesOutput, ExitStatus, Output, check

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Iterable, Mapping
    from typing import Any, Literal, Union, overload

    from typing_extensions import Unpack

    from . import _sampan
    from ._engine import Engine
    from ._keywords import RunKeywords
    from ._logs import Moment
    from ._options import Command, Path
    from ._progress import Progress
    from ._sampan import Cancel
    from ._types import ContainerInfo, Status


class Container:
    """A container of an engine's store; any process of the same user may hold one.

    In a `with` it is removed at the end, running or not. Without one, dropping it does nothing to the container.
    """

    def __init__(self, engine: Engine, native: _sampan.Container) -> None:
        self._engine = engine
        self._handle = native
        self._pid = os.getpid()
        self._owner = self._pid
        self._closed = False
        self.id: str = native.id
        """Its id."""

    @property
    def _native(self) -> _sampan.Container:
        # A forked child looks it up anew: the handle belongs to its parent's engine.
        if self._pid != os.getpid():
            self._handle = self._engine._native.container(self.id)
            self._pid = os.getpid()
        return self._handle

    @property
    def short_id(self) -> str:
        """The first twelve digits of its id."""
        return self.id[:12]

    def inspect(self) -> ContainerInfo:
        """All there is to know about it."""
        return self._native.inspect()

    @property
    def attrs(self) -> ContainerInfo:
        """As `inspect()`; read anew each time."""
        return self.inspect()

    @property
    def name(self) -> str:
        """Its name."""
        return self.inspect()["name"]

    @property
    def status(self) -> Status:
        """`created`, `running`, `paused`, `exited` or `dead`, now."""
        return self.inspect()["status"]

    @property
    def labels(self) -> dict[str, str]:
        """Its labels."""
        return dict(self.inspect()["labels"])

    @property
    def exit_code(self) -> int | None:
        """The exit code, once it has ended."""
        ended = self.inspect()["exit"]
        return ended["code"] if ended else None

    def start(
        self, *, stdin: object = None, stdout: object = None, stderr: object = None, cancel: Cancel | None = None
    ) -> None:
        """Starts it, and returns once its process runs.

        Args:
            stdin: A file or descriptor that is read for its standard input.
            stdout: A file or descriptor that gets its standard output, beside the log.
            stderr: The same for standard error.
            cancel: Ends the call from another thread.
        """
        self._native.start(streams(stdin, stdout, stderr), cancel)

    def stop(
        self, *, timeout: float | None = None, signal: str | int | None = None, cancel: Cancel | None = None
    ) -> None:
        """Sends its stop signal, then SIGKILL after the timeout; returns once it has ended.

        Args:
            timeout: Seconds to wait before SIGKILL; the container's own by default.
            signal: Another signal than the container's stop signal.
            cancel: Ends the call from another thread.
        """
        self._native.stop({"timeout": timeout, "signal": _signal(signal)}, cancel)

    def restart(
        self, *, timeout: float | None = None, signal: str | int | None = None, cancel: Cancel | None = None
    ) -> None:
        """Stops it when it runs, and starts it again."""
        self._native.restart({"timeout": timeout, "signal": _signal(signal)}, cancel)

    def kill(self, signal: str | int = "SIGKILL") -> None:
        """Sends a signal to its process: `SIGHUP`, `HUP`, `1` or `signal.SIGHUP`."""
        self._native.kill(_signal(signal) or "SIGKILL")

    def wait(self, timeout: float | None = None, *, cancel: Cancel | None = None) -> ExitStatus:
        """Waits until it has ended, at most `timeout` seconds; then `TimeoutError`."""
        return ExitStatus(self._native.wait(timeout, cancel))

    if TYPE_CHECKING:

        @overload
        def logs(
            self,
            *,
            follow: bool = False,
            text: Literal[True] = True,
            stdout: bool = True,
            stderr: bool = True,
            since: Moment = None,
            until: Moment = None,
            tail: int | str | None = None,
            timestamps: bool = False,
        ) -> TextLines: ...
        @overload
        def logs(
            self,
            *,
            follow: bool = False,
            text: Literal[False],
            stdout: bool = True,
            stderr: bool = True,
            since: Moment = None,
            until: Moment = None,
            tail: int | str | None = None,
            timestamps: bool = False,
        ) -> BytesLines: ...

    def logs(
        self,
        *,
        follow: bool = False,
        text: bool = True,
        stdout: bool = True,
        stderr: bool = True,
        since: Moment = None,
        until: Moment = None,
        tail: int | str | None = None,
        timestamps: bool = False,
    ) -> Union[TextLines, BytesLines]:
        """Its log, an iterator of lines; `.read()` gives all of it.

        Args:
            follow: Go on until the container ends.
            text: Lines as `str`; `False` for `bytes`.
            stdout: With standard output.
            stderr: With standard error.
            since: Only lines at or after this: a datetime, a timedelta back from now, Unix seconds, RFC 3339, `"10m"`.
            until: Only lines before this.
            tail: Only the last so many lines.
            timestamps: Each line begins with its time.
        """
        kind = TextLines if text else BytesLines
        return kind(self._entries(log_options(follow, stdout, stderr, since, until, tail)), timestamps)

    def log_entries(
        self,
        *,
        follow: bool = False,
        stdout: bool = True,
        stderr: bool = True,
        since: Moment = None,
        until: Moment = None,
        tail: int | str | None = None,
    ) -> Entries:
        """Its log as entries: time, stream and bytes."""
        return self._entries(log_options(follow, stdout, stderr, since, until, tail))

    def _entries(self, options: dict[str, Any]) -> Entries:
        return Entries(self._native.logs(options))

    def wait_ready(self, *, log: str | re.Pattern[str], timeout: float = 60.0) -> str:
        """Waits until a line of its log matches, and returns that line.

        Args:
            log: A text that the line contains, or a pattern that is found in it.
            timeout: Seconds to wait at most; then `TimeoutError`.
        """
        from ._ready import wait_for_line

        return wait_for_line(self, log, timeout)

    if TYPE_CHECKING:

        @overload
        def exec(
            self,
            command: Command,
            *,
            env: Union[Mapping[str, object], Iterable[str], None] = None,
            user: str | int | None = None,
            workdir: Path | None = None,
            stdin: bytes | str | None = None,
            tty: bool = False,
            privileged: bool = False,
            timeout: float | None = None,
            text: Literal[True] = True,
            check: bool = False,
            cancel: Cancel | None = None,
        ) -> Output: ...
        @overload
        def exec(
            self,
            command: Command,
            *,
            env: Union[Mapping[str, object], Iterable[str], None] = None,
            user: str | int | None = None,
            workdir: Path | None = None,
            stdin: bytes | str | None = None,
            tty: bool = False,
            privileged: bool = False,
            timeout: float | None = None,
            text: Literal[False],
            check: bool = False,
            cancel: Cancel | None = None,
        ) -> BytesOutput: ...

    def exec(
        self,
        command: Command,
        *,
        env: Union[Mapping[str, object], Iterable[str], None] = None,
        user: str | int | None = None,
        workdir: Path | None = None,
        stdin: bytes | str | None = None,
        tty: bool = False,
        privileged: bool = False,
        timeout: float | None = None,
        text: bool = True,
        check: bool = False,
        cancel: Cancel | None = None,
    ) -> Union[Output, BytesOutput]:
        """Runs a command in it to the command's end, and returns what it wrote and how it ended.

        Args:
            command: Words; a string is split as a shell would, without running one.
            env: Environment on top of the container's.
            user: `user[:group]` by name or number; the container's by default.
            workdir: Working directory; the container's by default.
            stdin: Bytes or text for its standard input, which is then closed; empty by default.
            tty: Give it a terminal; both outputs are then one.
            privileged: All capabilities. Not a security boundary.
            timeout: Seconds after which it is killed; then `TimeoutError`.
            text: Output as `str`; `False` for `bytes`.
            check: Raise `ExitError` unless the exit code is 0.
            cancel: Ends the call from another thread, and kills the command.
        """
        options = exec_options(command, env, user, workdir, stdin, tty, privileged, timeout)
        fields = self._native.exec(options, cancel)
        output = Output(fields) if text else BytesOutput(fields)
        if check:
            _check(output)
        return output

    def rename(self, name: str) -> None:
        """Gives it another name."""
        self._native.rename(name)

    def resize(self, height: int, width: int) -> None:
        """Sets the size of its terminal."""
        self._native.resize(height, width)

    def remove(self, *, force: bool = False, volumes: bool = False) -> None:
        """Removes it with all that it wrote.

        Args:
            force: Kill it first when it runs.
            volumes: Also remove its anonymous volumes.
        """
        self._native.remove({"force": force, "volumes": volumes})
        self._closed = True

    def close(self) -> None:
        """Removes it, running or not, with its anonymous volumes. A second call does nothing.

        In a child made by `fork` it does nothing either: the container is its parent's.
        """
        if self._closed or self._owner != os.getpid():
            return
        try:
            self.remove(force=True, volumes=True)
        except NotFoundError:
            self._closed = True

    def __enter__(self) -> Container:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Container) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<Container {self.short_id}>"

    def _repr_html_(self) -> str:
        try:
            return _html.table(_HEAD, [_row(self.inspect())])
        except NotFoundError:
            return _html.table(_HEAD, [("—", self.short_id, "", "removed", "")])


_HEAD = ("container", "id", "image", "status", "command")


def _row(info: ContainerInfo) -> tuple[object, ...]:
    ended = info["exit"]
    status = f"{info['status']} ({ended['code']})" if ended and info["status"] == "exited" else info["status"]
    return info["name"], info["id"][:12], info["image"], status, _html.command_text(info["command"])


def _signal(signal: str | int | None) -> str | None:
    # An IntEnum such as signal.SIGHUP prints its name in some versions and its number in others.
    return str(int(signal)) if isinstance(signal, int) else signal


class ContainerList(list[Container]):
    """A list that a notebook shows as a table."""

    def _repr_html_(self) -> str:
        rows: list[tuple[object, ...]] = []
        for container in self:
            try:
                rows.append(_row(container.inspect()))
            except NotFoundError:
                continue
        return _html.table(_HEAD, rows)


class Containers:
    """The containers of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    if TYPE_CHECKING:

        @overload
        def run(
            self,
            image: object,
            command: Command = None,
            *,
            detach: Literal[False] = False,
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
            self,
            image: object,
            command: Command = None,
            *,
            detach: Literal[False] = False,
            text: Literal[False],
            input: str | bytes | None = None,
            check: bool = False,
            timeout: float | None = None,
            progress: Progress = None,
            cancel: Cancel | None = None,
            **options: Unpack[RunKeywords],
        ) -> BytesOutput: ...
        @overload
        def run(
            self,
            image: object,
            command: Command = None,
            *,
            detach: Literal[True],
            progress: Progress = None,
            cancel: Cancel | None = None,
            **options: Unpack[RunKeywords],
        ) -> Container: ...

    def run(
        self,
        image: object,
        command: Command = None,
        *,
        detach: bool = False,
        text: bool = True,
        input: str | bytes | None = None,
        check: bool = False,
        timeout: float | None = None,
        progress: Progress = None,
        cancel: Cancel | None = None,
        **options: Any,
    ) -> Union[Output, BytesOutput, Container]:
        """Runs a container to its end, removes it, and returns what it wrote and how it ended.

        Args:
            image: Reference, id, or an `Image`. Pulled when it is missing.
            command: Words, or a string that is split into words; the image's own by default.
            detach: Return a `Container` while it runs, as `spawn`.
            text: Output as `str`; `False` for `bytes`.
            input: For its standard input.
            check: Raise `ExitError` when the exit code is not 0.
            timeout: Seconds; then it is killed, removed, and `TimeoutError` is raised.
            progress: A callable that takes a pull's events, `True` for a bar, `False` for none.
            cancel: Ends the call from another thread.
            **options: The words of `docker run`: `env`, `volumes`, `workdir`, `user`, `memory`, ….
        """
        if detach:
            return self.spawn(image, command, progress=progress, cancel=cancel, **options)
        fields = run_options(image, command, options)
        if input is not None:
            fields["stdin"] = input.encode() if isinstance(input, str) else bytes(input)
        native = self._engine._native
        result = native.run(fields, choose(progress), cancel, timeout)
        output = Output(result) if text else BytesOutput(result)
        if check:
            _check(output)
        return output

    def spawn(
        self,
        image: object,
        command: Command = None,
        *,
        stdin: object = None,
        stdout: object = None,
        stderr: object = None,
        progress: Progress = None,
        cancel: Cancel | None = None,
        **options: Unpack[RunKeywords],
    ) -> Container:
        """Creates and starts a container and returns while it runs.

        Args:
            image: Reference, id, or an `Image`. Pulled when it is missing.
            command: Words, or a string that is split into words; the image's own by default.
            stdin: A file or descriptor that is read for its standard input.
            stdout: A file or descriptor that gets its standard output, beside the log.
            stderr: The same for standard error.
            progress: A callable that takes a pull's events, `True` for a bar, `False` for none.
            cancel: Ends the call from another thread.
            **options: The words of `docker run`: `env`, `volumes`, `workdir`, `user`, `memory`, ….
        """
        fields, files = run_options(image, command, options), streams(stdin, stdout, stderr)
        native = self._engine._native
        return Container(self._engine, native.spawn(fields, files, choose(progress), cancel))

    def create(
        self,
        image: object,
        command: Command = None,
        *,
        progress: Progress = None,
        cancel: Cancel | None = None,
        **options: Unpack[RunKeywords],
    ) -> Container:
        """Creates a container without starting it."""
        fields = run_options(image, command, options)
        native = self._engine._native
        return Container(self._engine, native.create(fields, choose(progress), cancel))

    def list(self, all: bool = False, *, filters: Any = ()) -> ContainerList:
        """The containers in the store, newest first.

        Args:
            all: Also those that don't run.
            filters: `["label=a=b", "status=exited"]` or `{"label": ["a=b"], "status": "exited"}`.
        """
        native = self._engine._native
        infos = native.containers({"all": all, "filters": _filters(filters)})
        return ContainerList(c for c in map(self._still_there, infos) if c is not None)

    def _still_there(self, info: ContainerInfo) -> Container | None:
        # Another process may remove one between the listing and this.
        try:
            return self.get(info["id"])
        except NotFoundError:
            return None

    def get(self, container: str) -> Container:
        """A container by name, id or unique prefix of an id."""
        native = self._engine._native
        return Container(self._engine, native.container(container))

    def __iter__(self) -> Any:
        return iter(self.list())

    def _repr_html_(self) -> str:
        return self.list()._repr_html_()


_check = check


def _filters(filters: Any) -> Any:
    if not hasattr(filters, "items"):
        return list(filters)
    alike: list[str] = []
    for key, value in filters.items():
        alike += [f"{key}={item}" for item in ([value] if isinstance(value, str) else value)]
    return alike

"""Containers: `engine.containers`."""

from __future__ import annotations

from . import _html
from ._container import _HEAD, Container, _row
from ._exceptions import NotFoundError
from ._options import each, input_bytes, refuse_to_wait, run_options, seconds, streams
from ._progress import choose
from ._results import BytesOutput, Output, check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal, Union, overload

    from typing_extensions import Unpack

    from ._engine import Engine
    from ._keywords import RunKeywords
    from ._options import Command
    from ._progress import Progress
    from ._sampan import Cancel
    from ._types import ContainerInfo


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
            detach: Return a `Container` while it runs, as `spawn`; `text`, `input`, `check` and `timeout` are then refused.
            text: Output as `str`; `False` for `bytes`.
            input: For its standard input.
            check: Raise `ExitError` when the exit code is not 0.
            timeout: Seconds; then it is killed, removed, and `TimeoutError` is raised.
            progress: A callable that takes a pull's events, `True` for a bar, `False` for none.
            cancel: Ends the call from another thread.
            **options: The words of `docker run`: `env`, `volumes`, `workdir`, `user`, `memory`, ….
        """
        if detach:
            refuse_to_wait(text, input, check, timeout)
            return self.spawn(image, command, progress=progress, cancel=cancel, **options)
        fields = run_options(image, command, options)
        if input is not None:
            fields["stdin"] = input_bytes("input", input, "the file to spawn(stdin=...)")
        limit = seconds(timeout)
        native = self._engine._native
        result = native.run(fields, choose(progress), cancel, limit)
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
            filters: `["label=a=b", "status=exited"]`, one such text, or `{"label": ["a=b"], "status": "exited"}`.
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
        return each("filters", filters)
    alike: list[str] = []
    for key, value in filters.items():
        alike += [f"{key}={item}" for item in ([value] if isinstance(value, str) else value)]
    return alike

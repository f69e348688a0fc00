"""The same for asyncio: same names, awaitable. No call blocks the loop, and cancelling a task ends its call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Optional, TypeVar, Union, cast, overload

from ._async_exec import AsyncAttachment, AsyncExec
from ._async_images import AsyncImage, AsyncImages
from ._call import call as _call
from ._call import in_loop as _in_loop
from ._container import Container
from ._engine import Engine
from ._logs import Entries, TextLines, log_options
from ._options import refuse_to_wait
from ._results import BytesOutput, ExitStatus, LogEntry, Output
from ._sampan import Cancel

if TYPE_CHECKING:
    import re
    from typing import IO, Literal

    from typing_extensions import Unpack

    from ._keywords import ExecKeywords, ExecStartKeywords, LogKeywords, RunKeywords
    from ._logs import Moment
    from ._options import Command, Path
    from ._progress import Progress
    from ._types import (
        ContainerInfo,
        ContainerStats,
        DoctorReport,
        EngineEvent,
        EngineInfo,
        PathStat,
        ProcessInfo,
        PruneReport,
    )

S = TypeVar("S", str, bytes)


class AsyncLines(Generic[S]):
    """A log as an asynchronous iterator. It is opened by `async with`, or by the first line that is asked for."""

    def __init__(self, log: Callable[[], Entries], converter: Callable[[Entries], Callable[[LogEntry], S]]) -> None:
        self._log = log
        self._converter: Callable[[Entries], Callable[[LogEntry], S]] = converter
        self._opened: Optional[tuple[Entries, Callable[[LogEntry], S]]] = None
        self._closed = False

    def __aiter__(self) -> AsyncIterator[S]:
        return self

    async def __anext__(self) -> S:
        entries, convert = await self._open()
        return convert(await _next_entry(entries))

    async def _open(self) -> tuple[Entries, Callable[[LogEntry], S]]:
        if self._closed:
            raise StopAsyncIteration
        if self._opened is None:
            entries = await _call(self._log, undo=Entries.close)
            # While the thread worked another task may have come first, or closed it.
            if self._opened is not None or self._closed:
                entries.close()
                return await self._open()
            self._opened = entries, self._converter(entries)
        return self._opened

    async def read(self) -> S:
        """All that is left."""
        parts = [part async for part in self]
        nothing: Any = b"" if parts and isinstance(parts[0], bytes) else ""
        return cast("S", nothing.join(parts))

    async def aclose(self) -> None:
        """Ends it."""
        self._closed = True
        if self._opened is not None:
            self._opened[0].close()

    async def __aenter__(self) -> AsyncLines[S]:
        await self._open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


async def _next_entry(entries: Entries) -> LogEntry:
    entry = entries.ready()
    if entry is None:
        cancel = Cancel()
        entry = await _call(lambda: entries.take(cancel=cancel), cancel, entries.put_back)
    if entry is None:
        raise StopAsyncIteration
    return entry


class AsyncContainer:
    """A container; `async with` removes it at the end, running or not."""

    def __init__(self, engine: AsyncEngine, sync: Container) -> None:
        self._engine = engine
        self.sync = sync
        """The same container for code that may block."""
        self.id = sync.id
        """Its id."""
        self.short_id = sync.short_id
        """The first twelve digits of its id."""

    async def inspect(self) -> ContainerInfo:
        """All there is to know about it."""
        return await _call(self.sync.inspect)

    async def name(self) -> str:
        """Its name."""
        return (await self.inspect())["name"]

    async def status(self) -> str:
        """`created`, `running`, `paused`, `restarting`, `exited` or `dead`, now."""
        return (await self.inspect())["status"]

    async def start(self, *, stdin: object = None, stdout: object = None, stderr: object = None) -> None:
        """Starts it, and returns once its process runs."""
        cancel = Cancel()
        await _call(lambda: self.sync.start(stdin=stdin, stdout=stdout, stderr=stderr, cancel=cancel), cancel)

    async def stop(self, *, timeout: float | None = None, signal: str | int | None = None) -> None:
        """Sends its stop signal, then SIGKILL after the timeout; returns once it has ended."""
        cancel = Cancel()
        await _call(lambda: self.sync.stop(timeout=timeout, signal=signal, cancel=cancel), cancel)

    async def restart(self, *, timeout: float | None = None, signal: str | int | None = None) -> None:
        """Stops it when it runs, and starts it again."""
        cancel = Cancel()
        await _call(lambda: self.sync.restart(timeout=timeout, signal=signal, cancel=cancel), cancel)

    async def kill(self, signal: str | int = "SIGKILL") -> None:
        """Sends a signal to its process."""
        await _call(lambda: self.sync.kill(signal))

    async def wait(self, timeout: float | None = None) -> ExitStatus:
        """Waits until it has ended, at most `timeout` seconds; then `TimeoutError`."""
        cancel = Cancel()
        return await _call(lambda: self.sync.wait(timeout, cancel=cancel), cancel)

    async def wait_healthy(self, timeout: float | None = None) -> None:
        """Waits until its health check finds it healthy, at most `timeout` seconds; then `TimeoutError`."""
        cancel = Cancel()
        await _call(lambda: self.sync.wait_healthy(timeout, cancel=cancel), cancel)

    @overload
    def logs(self, *, text: Literal[True] = True, **options: Unpack[LogKeywords]) -> AsyncLines[str]: ...
    @overload
    def logs(self, *, text: Literal[False], **options: Unpack[LogKeywords]) -> AsyncLines[bytes]: ...
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
    ) -> Union[AsyncLines[str], AsyncLines[bytes]]:
        """Its log, for `async for`; `await ….read()` gives all of it."""
        options = log_options(follow, stdout, stderr, since, until, tail, whole_lines=True)
        log = lambda: self.sync._entries(options)  # noqa: E731
        if text:
            return AsyncLines(log, lambda entries: TextLines(entries, False).decode)
        return AsyncLines(log, lambda _: lambda entry: entry.data)

    async def wait_ready(self, *, log: str | re.Pattern[str], timeout: float = 60.0) -> str:
        """Waits until a line of its log matches, and returns that line, or as much of it as was there by then."""
        from ._ready import Growing, ended, late, matches

        entries = lambda: self.sync.log_entries(follow=True)  # noqa: E731

        async def look() -> str:
            async with AsyncLines(entries, lambda _: Growing().add) as lines:
                async for line in lines:
                    if matches(log, line):
                        return line
            raise ended(self.sync, log)

        try:
            return await asyncio.wait_for(look(), timeout)
        except asyncio.TimeoutError:
            raise late(self.sync, log, timeout) from None

    @overload
    async def exec(
        self, command: Command, *, text: Literal[True] = True, **options: Unpack[ExecKeywords]
    ) -> Output: ...
    @overload
    async def exec(self, command: Command, *, text: Literal[False], **options: Unpack[ExecKeywords]) -> BytesOutput: ...
    async def exec(
        self, command: Command, *, text: bool = True, **options: Unpack[ExecKeywords]
    ) -> Union[Output, BytesOutput]:
        """Runs a command in it to the command's end; takes what `Container.exec` takes. A cancelled task kills it."""
        cancel = Cancel()
        run: Any = self.sync.exec
        return await _call(lambda: run(command, text=text, cancel=cancel, **options), cancel)

    async def exec_start(self, command: Command, **options: Unpack[ExecStartKeywords]) -> AsyncExec:
        """Starts a command in it and returns while it runs; takes what `Container.exec_start` takes but `text`.

        Its streams are of bytes.
        """
        cancel = Cancel()
        start = lambda: self.sync.exec_start(command, text=False, cancel=cancel, **options)  # noqa: E731
        started = await _call(start, cancel, lambda exec: exec.kill())
        return await AsyncExec.open(started)

    async def attach(self, *, interactive: bool = False) -> AsyncAttachment:
        """Joins its streams, of bytes, as they are from now on, its input among them when `interactive`."""
        cancel = Cancel()
        join = lambda: self.sync.attach(interactive=interactive, text=False, cancel=cancel)  # noqa: E731
        return await AsyncAttachment.open(await _call(join, cancel, lambda joined: joined.close()))

    async def copy_from(self, path: Path, dest: Path, *, archive: bool = False, follow_link: bool = False) -> None:
        """Copies what is at `path` in it to `dest` here, by the rules of `docker cp`."""
        cancel = Cancel()
        copy = lambda: self.sync.copy_from(path, dest, archive=archive, follow_link=follow_link, cancel=cancel)  # noqa: E731
        await _call(copy, cancel)

    async def copy_to(self, src: Path, path: Path, *, archive: bool = False, follow_link: bool = False) -> None:
        """Copies what is at `src` here to `path` in it, by the rules of `docker cp`."""
        cancel = Cancel()
        copy = lambda: self.sync.copy_to(src, path, archive=archive, follow_link=follow_link, cancel=cancel)  # noqa: E731
        await _call(copy, cancel)

    async def path_stat(self, path: Path, *, follow_link: bool = False) -> PathStat:
        """What is at `path` in it."""
        cancel = Cancel()
        return await _call(lambda: self.sync.path_stat(path, follow_link=follow_link, cancel=cancel), cancel)

    async def get_archive(self, path: Path, *, follow_link: bool = False) -> tuple[AsyncIterator[bytes], PathStat]:
        """A tar archive of what is at `path` in it, in chunks as it comes, and what that is."""
        cancel = Cancel()
        archive, stat = await _call(
            lambda: self.sync.get_archive(path, follow_link=follow_link, cancel=cancel),
            cancel,
            lambda got: got[0].close(),
        )
        return _chunks(archive), stat

    async def put_archive(self, path: Path, data: Union[bytes, IO[bytes], Iterable[bytes]]) -> bool:
        """Unpacks a tar archive into the directory at `path` in it; `True`."""
        cancel = Cancel()
        return await _call(lambda: self.sync.put_archive(path, data, cancel=cancel), cancel)

    async def open(self, path: Path, mode: str = "r", **options: Any) -> IO[Any]:
        """Opens a regular file in it; what is returned is a file as of `open`, whose methods may block."""
        cancel = Cancel()
        return await _call(
            lambda: self.sync.open(path, mode, cancel=cancel, **options), cancel, lambda file: file.close()
        )

    async def pause(self) -> None:
        """Freezes its processes; returns once all stand still."""
        cancel = Cancel()
        await _call(lambda: self.sync.pause(cancel=cancel), cancel)

    async def unpause(self) -> None:
        """Lets its frozen processes go on."""
        await _call(self.sync.unpause)

    async def top(self) -> list[ProcessInfo]:
        """Its processes, as this host sees them."""
        return await _call(self.sync.top)

    async def stats(self) -> ContainerStats:
        """What it uses now. A share of the processors follows from two of these."""
        return await _call(self.sync.stats)

    async def stats_stream(self, interval: float = 1.0) -> AsyncIterator[ContainerStats]:
        """What it uses now, and then again every `interval` seconds until it has ended; for `async for`."""
        cancel = Cancel()
        readings = await _call(lambda: self.sync.stats_stream(interval, cancel=cancel))
        while (reading := await _call(lambda: next(readings, None), cancel)) is not None:
            yield reading

    async def update(self, **limits: Any) -> None:
        """Changes its limits and its restart policy, now and for later starts; takes what `Container.update` takes."""
        await _call(lambda: self.sync.update(**limits))

    async def rename(self, name: str) -> None:
        """Gives it another name."""
        await _call(lambda: self.sync.rename(name))

    async def resize(self, height: int, width: int) -> None:
        """Sets the size of its terminal."""
        await _call(lambda: self.sync.resize(height, width))

    async def remove(self, *, force: bool = False, volumes: bool = False) -> None:
        """Removes it with all that it wrote."""
        await _call(lambda: self.sync.remove(force=force, volumes=volumes))

    async def aclose(self) -> None:
        """Removes it, running or not, with its anonymous volumes. A second call does nothing."""
        await _call(self.sync.close)

    async def __aenter__(self) -> AsyncContainer:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<AsyncContainer {self.short_id}>"


class _Starting(Awaitable[AsyncContainer]):
    """A container about to start: for `await`, and for `async with` that also removes it."""

    def __init__(self, start: Callable[[], Any]) -> None:
        self._start = start
        self._container: Optional[AsyncContainer] = None

    def __await__(self) -> Any:
        return self._start().__await__()

    async def __aenter__(self) -> AsyncContainer:
        self._container = await self
        return self._container

    async def __aexit__(self, *_: object) -> None:
        if self._container is not None:
            await self._container.aclose()


def _image(image: Any) -> Any:
    return image.sync if isinstance(image, AsyncImage) else image


async def _chunks(archive: Any) -> AsyncIterator[bytes]:
    """What comes of an archive, read in a thread of its own; the copy ends with the iteration."""
    try:
        while chunk := await _call(lambda: archive.read(1 << 16), archive._cancel):
            yield chunk
    finally:
        await _call(archive.close)


class AsyncContainers:
    """The containers of an engine."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @overload
    async def run(
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
        **options: Unpack[RunKeywords],
    ) -> Output: ...
    @overload
    async def run(
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
        **options: Unpack[RunKeywords],
    ) -> BytesOutput: ...
    @overload
    async def run(
        self,
        image: object,
        command: Command = None,
        *,
        detach: Literal[True],
        progress: Progress = None,
        **options: Unpack[RunKeywords],
    ) -> AsyncContainer: ...
    async def run(
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
        **options: Any,
    ) -> Union[Output, BytesOutput, AsyncContainer]:
        """Runs a container to its end, removes it, and returns what it wrote and how it ended.

        Takes what `Engine.containers.run` takes; with `detach` it returns an `AsyncContainer` while that runs.
        """
        if detach:
            refuse_to_wait(text, input, check, timeout)
            return await self.spawn(image, command, progress=progress, **options)
        containers, cancel, tell = (await self._engine.open()).containers, Cancel(), _in_loop(progress)
        run: Any = partial(containers.run, text=text, input=input, check=check, timeout=timeout)
        return await _call(lambda: run(_image(image), command, progress=tell, cancel=cancel, **options), cancel)

    async def spawn(
        self,
        image: object,
        command: Command = None,
        *,
        stdin: object = None,
        stdout: object = None,
        stderr: object = None,
        progress: Progress = None,
        **options: Unpack[RunKeywords],
    ) -> AsyncContainer:
        """Creates and starts a container and returns while it runs."""
        containers, cancel, tell = (await self._engine.open()).containers, Cancel(), _in_loop(progress)
        work = lambda: containers.spawn(  # noqa: E731
            _image(image),
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            progress=tell,
            cancel=cancel,
            **options,
        )
        return AsyncContainer(self._engine, await _call(work, cancel, Container.close))

    async def create(
        self, image: object, command: Command = None, *, progress: Progress = None, **options: Unpack[RunKeywords]
    ) -> AsyncContainer:
        """Creates a container without starting it."""
        containers, cancel, tell = (await self._engine.open()).containers, Cancel(), _in_loop(progress)
        work = lambda: containers.create(  # noqa: E731
            _image(image), command, progress=tell, cancel=cancel, **options
        )
        return AsyncContainer(self._engine, await _call(work, cancel, Container.close))

    async def list(self, all: bool = False, *, filters: Any = ()) -> list[AsyncContainer]:
        """The containers in the store, newest first."""
        containers = (await self._engine.open()).containers
        found = await _call(lambda: containers.list(all, filters=filters))
        return [AsyncContainer(self._engine, container) for container in found]

    async def get(self, container: str) -> AsyncContainer:
        """A container by name, id or unique prefix of an id."""
        containers = (await self._engine.open()).containers
        return AsyncContainer(self._engine, await _call(lambda: containers.get(container)))


class AsyncEngine:
    """A store of images and containers, for asyncio; takes what `Engine` takes.

    It belongs to no loop: any task of any loop may use it.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        self._arguments = args, options
        self._sync: Optional[Engine] = None
        self.containers = AsyncContainers(self)
        """Its containers."""
        self.images = AsyncImages(self)
        """Its images."""
        self.run = self.containers.run
        """As `containers.run`."""
        self.pull = self.images.pull
        """As `images.pull`."""

    async def open(self) -> Engine:
        """The same engine for code that may block; opened by the first call."""
        if self._sync is None:
            args, options = self._arguments
            self._sync = await _call(lambda: Engine(*args, **options))
        return self._sync

    def __getstate__(self) -> Any:
        return self._arguments

    def __setstate__(self, arguments: Any) -> None:
        args, options = arguments
        self.__init__(*args, **options)  # type: ignore[misc]

    async def info(self) -> EngineInfo:
        """Where this engine stands."""
        return await _call((await self.open()).info)

    async def doctor(self) -> DoctorReport:
        """What this host allows, which rung is chosen and why, and what to install."""
        return await _call((await self.open()).doctor)

    async def gc(self) -> PruneReport:
        """Removes blobs, layers and leftovers that no image, container or lease uses."""
        return await _call((await self.open()).gc)

    def events(
        self, *, since: Moment = None, until: Moment = None, filters: Any = ()
    ) -> AsyncIterator[EngineEvent]:
        """What happens in the store from now on; for `async for`. Takes what `Engine.events` takes."""
        # A generator begins late, with its first step.
        return self._events(datetime.now(timezone.utc) if since is None else since, until, filters)

    async def _events(self, since: Moment, until: Moment, filters: Any) -> AsyncIterator[EngineEvent]:
        engine = await self.open()
        events = await _call(lambda: engine.events(since=since, until=until, filters=filters))
        try:
            while True:
                cancel = Cancel()
                event = await _call(partial(events.take, cancel=cancel), cancel)
                if event is None:
                    return
                yield event
        finally:
            events.close()

    async def plan(self, image: object, command: Command = None, **options: Unpack[RunKeywords]) -> dict[str, Any]:
        """What a run would do, without doing it."""
        engine = await self.open()
        return await _call(lambda: engine.plan(_image(image), command, **options))

    def container(
        self, image: object, command: Command = None, *, progress: Progress = None, **options: Unpack[RunKeywords]
    ) -> _Starting:
        """Starts a container that goes when this process goes: `async with engine.container(…) as c`."""
        options.setdefault("tie", "host")
        return _Starting(lambda: self.containers.spawn(image, command, progress=progress, **options))

    async def aclose(self) -> None:
        """Lets go of the store. Containers go on; a later call opens it again."""
        self._sync = None

    async def __aenter__(self) -> AsyncEngine:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


__all__ = [
    "AsyncAttachment",
    "AsyncContainer",
    "AsyncContainers",
    "AsyncEngine",
    "AsyncExec",
    "AsyncImage",
    "AsyncImages",
    "AsyncLines",
]

"""The handle of a container."""

from __future__ import annotations

import io
import os

from . import _html
from ._attach import Attachment
from ._copy import Archive, put
from ._exceptions import NotFoundError
from ._exec import Exec
from ._logs import BytesLines, Entries, TextLines, log_options
from ._options import exec_options, signal_word, streams, update_options
from ._results import BytesOutput, ExitStatus, Output, check

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import IO, Any, Literal, Union, overload

    from typing_extensions import Unpack

    from . import _sampan
    from ._engine import Engine
    from ._keywords import ExecKeywords, LogKeywords
    from ._logs import Moment
    from ._options import Command, Path, Size
    from ._sampan import Cancel
    from ._types import ContainerInfo, ContainerStats, PathStat, ProcessInfo, Status


class Container:
    """A container of an engine's store; any process of the same user may hold one.

    In a `with` it is removed at the end, running or not. Without one, dropping it does nothing to the container.
    It pickles: in another process it is the same container, to be removed by `remove`; `close` there does nothing.
    """

    def __init__(self, engine: Engine, native: _sampan.Container) -> None:
        self._engine = engine
        self._handle: _sampan.Container | None = native
        self._pid = os.getpid()
        self._owner = self._pid
        self._closed = False
        self.id: str = native.id
        """Its id."""

    @property
    def _native(self) -> _sampan.Container:
        # A forked child looks it up anew: the handle belongs to its parent's engine. One that was pickled has none.
        if self._handle is None or self._pid != os.getpid():
            self._handle = self._engine._native.container(self.id)
            self._pid = os.getpid()
        return self._handle

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_handle": None}

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
        """`created`, `running`, `paused`, `restarting`, `exited` or `dead`, now."""
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
        self._native.stop({"timeout": timeout, "signal": signal_word(signal)}, cancel)

    def restart(
        self, *, timeout: float | None = None, signal: str | int | None = None, cancel: Cancel | None = None
    ) -> None:
        """Stops it when it runs, and starts it again."""
        self._native.restart({"timeout": timeout, "signal": signal_word(signal)}, cancel)

    def kill(self, signal: str | int = "SIGKILL") -> None:
        """Sends a signal to its process: `SIGHUP`, `HUP`, `1` or `signal.SIGHUP`."""
        self._native.kill(signal_word(signal) or "SIGKILL")

    def wait(self, timeout: float | None = None, *, cancel: Cancel | None = None) -> ExitStatus:
        """Waits until it has ended, at most `timeout` seconds; then `TimeoutError`.

        With a restart policy: until its next end, whether or not another start follows.
        """
        return ExitStatus(self._native.wait(timeout, cancel))

    def wait_healthy(self, timeout: float | None = None, *, cancel: Cancel | None = None) -> None:
        """Waits until its health check finds it healthy, at most `timeout` seconds; then `TimeoutError`.

        Raises `ConflictError` when it is unhealthy or has ended, `InvalidArgumentError` when it has no check.
        """
        self._native.wait_healthy(timeout, cancel)

    if TYPE_CHECKING:

        @overload
        def logs(
            self, *, text: Literal[True] = True, timestamps: bool = False, **options: Unpack[LogKeywords]
        ) -> TextLines: ...
        @overload
        def logs(
            self, *, text: Literal[False], timestamps: bool = False, **options: Unpack[LogKeywords]
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
        """Its log, an iterator of lines, each once it is whole; `.read()` gives all of it.

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
        options = log_options(follow, stdout, stderr, since, until, tail, whole_lines=True)
        return kind(self._entries(options), timestamps)

    def log_entries(
        self,
        *,
        follow: bool = False,
        stdout: bool = True,
        stderr: bool = True,
        since: Moment = None,
        until: Moment = None,
        tail: int | str | None = None,
        whole_lines: bool = False,
    ) -> Entries:
        """Its log as entries: time, stream and bytes.

        A line that was written with a pause has several, each as soon as it is there, or one with `whole_lines`.
        """
        return self._entries(log_options(follow, stdout, stderr, since, until, tail, whole_lines))

    def _entries(self, options: dict[str, Any]) -> Entries:
        return Entries(self._native.logs(options))

    def wait_ready(self, *, log: str | re.Pattern[str], timeout: float = 60.0) -> str:
        """Waits until a line of its log matches, and returns that line, or as much of it as was there by then.

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
            text: Literal[True] = True,
            cancel: Cancel | None = None,
            **options: Unpack[ExecKeywords],
        ) -> Output: ...
        @overload
        def exec(
            self,
            command: Command,
            *,
            text: Literal[False],
            cancel: Cancel | None = None,
            **options: Unpack[ExecKeywords],
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

    def exec_start(
        self,
        command: Command,
        *,
        env: Union[Mapping[str, object], Iterable[str], None] = None,
        user: str | int | None = None,
        workdir: Path | None = None,
        interactive: bool = False,
        tty: bool = False,
        rows: int | None = None,
        columns: int | None = None,
        privileged: bool = False,
        detach: bool = False,
        timeout: float | None = None,
        text: bool = True,
        cancel: Cancel | None = None,
    ) -> Exec:
        """Starts a command in it and returns while it runs, with its streams as files.

        Args:
            command: Words; a string is split as a shell would, without running one.
            env: Environment on top of the container's.
            user: `user[:group]` by name or number; the container's by default.
            workdir: Working directory; the container's by default.
            interactive: Give it an input: `stdin` of what is returned.
            tty: Give it a terminal; `stdout` then has both outputs.
            rows: Rows of its terminal.
            columns: Columns of its terminal.
            privileged: All capabilities. Not a security boundary.
            detach: Its output goes nowhere.
            timeout: Seconds after which it is killed; `wait` then raises `TimeoutError`.
            text: Streams of `str`; `False` for `bytes`.
            cancel: Ends the call from another thread.
        """
        options = exec_options(command, env, user, workdir, None, tty, privileged, timeout)
        options.update(interactive=interactive, rows=rows, columns=columns, detach=detach)
        return Exec(self._native.exec_start(options, cancel), text)

    def attach(self, *, interactive: bool = False, text: bool = True, cancel: Cancel | None = None) -> Attachment:
        """Joins its streams as they are from now on.

        Args:
            interactive: Its input too: `stdin` of what is returned.
            text: Streams of `str`; `False` for `bytes`.
            cancel: Ends the call from another thread.
        """
        return Attachment(self._native.attach(interactive, cancel), text)

    def pause(self, *, cancel: Cancel | None = None) -> None:
        """Freezes its processes; returns once all stand still."""
        self._native.pause(cancel)

    def unpause(self) -> None:
        """Lets its frozen processes go on."""
        self._native.unpause()

    def top(self) -> list[ProcessInfo]:
        """Its processes, as this host sees them."""
        return self._native.top()

    def stats(self) -> ContainerStats:
        """What it uses now. A share of the processors follows from two of these."""
        return self._native.stats()

    def stats_stream(self, interval: float = 1.0, *, cancel: Cancel | None = None) -> Iterator[ContainerStats]:
        """What it uses now, and then again every `interval` seconds until it has ended.

        Args:
            interval: Seconds between two readings.
            cancel: Ends it from another thread.
        """
        stream = self._native.stats_stream(interval)
        return iter(lambda: stream.next(cancel), None)

    def update(
        self,
        *,
        memory: Size | None = None,
        memory_swap: Size | None = None,
        memory_reservation: Size | None = None,
        cpus: float | None = None,
        cpu_shares: int | None = None,
        cpuset_cpus: str | None = None,
        pids_limit: int | None = None,
        restart: str | None = None,
        cpu_quota: int | None = None,
        cpu_period: int | None = None,
        cpuset_mems: str | None = None,
        cpu_rt_runtime: int | None = None,
        cpu_rt_period: int | None = None,
        blkio_weight: int | None = None,
    ) -> None:
        """Changes its limits and its restart policy, now and for later starts; what is not named stays.

        Args:
            memory: Memory limit: bytes, or `"512m"`.
            memory_swap: Memory and swap together; -1 for no limit.
            memory_reservation: Memory to be left with under pressure.
            cpus: CPUs as a fraction: 1.5 is one and a half.
            cpu_shares: Relative CPU weight; 1024 is the usual. Less than 2 is 2, and more than 262144 is that.
            cpuset_cpus: CPUs to run on: `0-2,4`; for a container that was created with such a list.
            pids_limit: Largest number of processes; -1 for no limit.
            restart: Which of its ends are followed by another start: `"no"`, `"on-failure"`, `"on-failure:3"`,
                `"always"`, `"unless-stopped"`.
            cpu_quota: Microseconds of CPU in each period, in place of `cpus`; -1 for no limit.
            cpu_period: That period in microseconds; 100000 by default.
            cpuset_mems: Memory nodes to allocate from: `0-1`; for a container that was created with such a list, or one
                of CPUs.
            cpu_rt_runtime: Microseconds for real-time schedulers in each of their periods; cgroup v1.
            cpu_rt_period: That period in microseconds; cgroup v1.
            blkio_weight: Relative weight of its block I/O, 10 to 1000.
        """
        given = {"memory": memory, "memory_swap": memory_swap, "memory_reservation": memory_reservation}
        rest = {"cpus": cpus, "cpu_shares": cpu_shares, "cpuset_cpus": cpuset_cpus, "pids_limit": pids_limit}
        time = {"cpu_quota": cpu_quota, "cpu_period": cpu_period, "cpuset_mems": cpuset_mems}
        rare = {"cpu_rt_runtime": cpu_rt_runtime, "cpu_rt_period": cpu_rt_period, "blkio_weight": blkio_weight}
        self._native.update(update_options(given, {**rest, **time, **rare, "restart": restart}))

    def copy_from(
        self,
        path: Path,
        dest: Path,
        *,
        archive: bool = False,
        follow_link: bool = False,
        cancel: Cancel | None = None,
    ) -> None:
        """Copies what is at `path` in it to `dest` here, by the rules of `docker cp`; it need not run.

        Devices and sockets are left out, and set-id bits but with `archive`.

        Args:
            path: In the container, from its root; with `/.` at the end what is in the directory.
            dest: Here: a directory, or a new name, or a file to be replaced.
            archive: Files keep their owners; else they are this user's.
            follow_link: Copy what a link leads to when `path` is a link.
            cancel: Ends the call from another thread.
        """
        options = {"archive": archive, "follow_link": follow_link}
        self._native.copy_from(os.fspath(path), os.fspath(dest), options, cancel)

    def copy_to(
        self,
        src: Path,
        path: Path,
        *,
        archive: bool = False,
        follow_link: bool = False,
        cancel: Cancel | None = None,
    ) -> None:
        """Copies what is at `src` here to `path` in it, by the rules of `docker cp`; it need not run.

        Devices and sockets are left out.

        Args:
            src: Here; with `/.` at the end what is in the directory.
            path: In the container: a directory, or a new name, or a file to be replaced.
            archive: Files keep their owners; else they are root's.
            follow_link: Copy what a link leads to when `src` is a link.
            cancel: Ends the call from another thread.
        """
        options = {"archive": archive, "follow_link": follow_link}
        self._native.copy_to(os.fspath(src), os.fspath(path), options, cancel)

    def path_stat(self, path: Path, *, follow_link: bool = False, cancel: Cancel | None = None) -> PathStat:
        """What is at `path` in it."""
        return self._native.path_stat(os.fspath(path), {"follow_link": follow_link}, cancel)

    def get_archive(
        self, path: Path, *, follow_link: bool = False, cancel: Cancel | None = None
    ) -> tuple[Archive, PathStat]:
        """A tar archive of what is at `path` in it, as it comes, and what that is.

        The archive is a file of bytes that can be iterated over in chunks. Closing it early ends the copy.
        """
        options: dict[str, Any] = {"follow_link": follow_link}
        native, text = self._native, os.fspath(path)
        stat = native.path_stat(text, options, cancel)
        return Archive(lambda fd, ended: native.get_archive(text, fd, options, ended)), stat

    def put_archive(
        self, path: Path, data: Union[bytes, IO[bytes], Iterable[bytes]], *, cancel: Cancel | None = None
    ) -> bool:
        """Unpacks a tar archive, plain or compressed by gzip or zstd, into the directory at `path` in it; `True`.

        Files get the owners that the archive says; devices are left out.

        Args:
            path: A directory in the container.
            data: The archive: bytes, a file of bytes, or chunks.
            cancel: Ends the call from another thread.
        """
        put(data, lambda fd: self._native.put_archive(os.fspath(path), fd, cancel))
        return True

    def open(
        self,
        path: Path,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        *,
        cancel: Cancel | None = None,
    ) -> IO[Any]:
        """Opens a regular file in it, as `open` does here; it need not run.

        The file stays open whatever becomes of the container.
        """
        name = os.fspath(path)
        # Python refuses what fits no file before it asks for one.
        opener: Callable[[str, int], int] = lambda *_: self._native.open(name, mode, cancel)  # noqa: E731
        return io.open(name, mode, buffering, encoding, errors, newline, opener=opener)

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


_check = check

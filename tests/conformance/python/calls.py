"""One call: its words taken apart, and the call made as a user would make it."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sampan
from values import Log, escape, unescape

if TYPE_CHECKING:
    from driver import World

# How many plain arguments an operation takes, and its record of options.
SIGNATURES = {
    "open": (0, "EngineOptions"),
    **dict.fromkeys(("mkdir", "fifo", "read", "inspect_image", "container", "kill"), (1, "")),
    **dict.fromkeys(("rename", "stats_stream", "attach"), (1, "")),
    **dict.fromkeys(("write", "tag", "resize", "put_archive", "read_in", "write_in"), (2, "")),
    "path_stat": (1, "CopyOptions"),
    **dict.fromkeys(("copy_from", "copy_to", "get_archive"), (2, "CopyOptions")),
    **dict.fromkeys(("info", "doctor", "images", "gc", "start", "wait", "wait_healthy", "inspect"), (0, "")),
    "pull": (1, "PullOptions"),
    "remove_image": (1, "RemoveImageOptions"),
    **dict.fromkeys(("create", "spawn", "run", "plan"), (0, "RunOptions")),
    "containers": (0, "ListOptions"),
    "events": (0, "EventOptions"),
    **dict.fromkeys(("stop", "restart"), (0, "StopOptions")),
    "logs": (0, "LogOptions"),
    "remove": (0, "RemoveOptions"),
    **dict.fromkeys(("exec", "exec_start"), (0, "ExecOptions")),
    "update": (0, "UpdateOptions"),
    **dict.fromkeys(("pause", "unpause", "top", "stats"), (0, "")),
}


class Call:
    """A call of a case."""

    def __init__(self, world: World, words: list[str]) -> None:
        target, _, self.operation = words[0].rpartition(".")
        self.target = world.names[target or "e"]
        self.cancel = sampan.Cancel()
        self.events: list[Any] = []
        count, self.record = SIGNATURES[self.operation]
        self.plain = words[1 : count + 1]
        # Words for the driver, without their colon.
        self.own = dict(word[1:].split("=", 1) for word in words[count + 1 :] if word.startswith(":"))
        fields = [field for word in words[count + 1 :] if not word.startswith(":") for field in _fields(word)]
        if self.record:
            self.options = world.schema.options(self.record, fields)
        else:
            self.options = {name: float(text) for name, text in fields}
        if self.record == "RunOptions":
            self.image = self.options.pop("image", world.image)
            self.command = self.options.pop("command", None)
        if self.operation == "open" and world.rung:
            self.options["rung"] = world.rung

    def make(self) -> Any:
        """Makes the call while whoever is to cancel it waits for the moment."""
        with self.cancelled():
            return getattr(self, f"do_{self.operation}")()

    @contextlib.contextmanager
    def cancelled(self) -> Iterator[None]:
        fifo = self.own.get("cancel_by")
        if "cancel" in self.own:
            self.cancel.cancel()
        if fifo is None:
            yield
            return
        thread = threading.Thread(target=lambda: (Path(fifo).read_bytes(), self.cancel.cancel()))
        thread.start()
        try:
            yield
        finally:
            # Had the call failed early, the reader would wait for ever.
            with contextlib.suppress(OSError):
                os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
            thread.join()

    def watch(self, event: Any) -> None:
        self.events.append(event)
        if event["event"] == self.own.get("cancel_on"):
            self.cancel.cancel()

    @property
    def watched(self) -> dict[str, Any]:
        return {"progress": self.watch, "cancel": self.cancel}

    @contextlib.contextmanager
    def streams(self) -> Iterator[dict[str, Any]]:
        with contextlib.ExitStack() as stack:
            modes = {"stdin": "rb", "stdout": "wb", "stderr": "wb"}
            given = {name: mode for name, mode in modes.items() if name in self.own}
            yield {name: stack.enter_context(open(self.own[name], mode)) for name, mode in given.items()}

    def do_mkdir(self) -> None:
        Path(self.plain[0]).mkdir()

    def do_fifo(self) -> None:
        os.mkfifo(self.plain[0])

    def do_write(self) -> None:
        Path(self.plain[0]).write_bytes(unescape(self.plain[1]))

    def do_read(self) -> bytes:
        return Path(self.plain[0]).read_bytes()

    def do_open(self) -> sampan.Engine:
        return sampan.Engine(run_dir=self.options.pop("run", None), **self.options)

    def do_info(self) -> Any:
        return self.target.info()

    def do_doctor(self) -> Any:
        return self.target.doctor()

    def do_gc(self) -> Any:
        return self.target.gc()

    def do_pull(self) -> Any:
        return self.target.images.pull(*self.plain, **self.watched, **self.options).attrs

    def do_images(self) -> Any:
        return [image.attrs for image in self.target.images.list()]

    def do_inspect_image(self) -> Any:
        return self.target.images.get(*self.plain).attrs

    def do_tag(self) -> None:
        self.target.images.tag(*self.plain)

    def do_remove_image(self) -> Any:
        return self.target.images.remove(*self.plain, **self.options)

    def do_create(self) -> sampan.Container:
        return self.target.containers.create(self.image, self.command, **self.watched, **self.options)

    def do_spawn(self) -> sampan.Container:
        with self.streams() as streams:
            options = {**streams, **self.options}
            return self.target.containers.spawn(self.image, self.command, **self.watched, **options)

    def do_run(self) -> sampan.BytesOutput:
        given = self.options.pop("stdin", None)
        options = {**self.watched, **self.options}
        return self.target.run(self.image, self.command, text=False, input=given, **options)

    def do_plan(self) -> str:
        return json.dumps(self.target.plan(self.image, self.command, **self.options))

    def do_containers(self) -> Any:
        return [container.inspect() for container in self.target.containers.list(**self.options)]

    def do_events(self) -> Any:
        with self.target.events(**self.options) as events:
            return list(iter(lambda: events.take(cancel=self.cancel), None))

    def do_container(self) -> sampan.Container:
        return self.target.containers.get(*self.plain)

    def do_start(self) -> None:
        with self.streams() as streams:
            self.target.start(cancel=self.cancel, **streams)

    def do_stop(self) -> None:
        self.target.stop(cancel=self.cancel, **self.options)

    def do_restart(self) -> None:
        self.target.restart(cancel=self.cancel, **self.options)

    def do_kill(self) -> None:
        self.target.kill(*self.plain)

    def do_wait_healthy(self) -> None:
        self.target.wait_healthy(cancel=self.cancel, **self.options)

    def do_wait(self) -> sampan.ExitStatus:
        return self.target.wait(cancel=self.cancel, **self.options)

    def do_logs(self) -> Log:
        options = dict(self.options)
        for stream in ("stdout", "stderr"):
            options[stream] = not options.pop(f"no_{stream}", False)
        stop, read = self.own.get("stop_at"), []
        with self.target.log_entries(**options) as entries:
            while (entry := entries.take(cancel=self.cancel)) is not None:
                read.append(entry)
                if escape(entry.data) == stop:
                    break
        return Log(read)

    def do_inspect(self) -> Any:
        return self.target.inspect()

    def do_rename(self) -> None:
        self.target.rename(*self.plain)

    def do_remove(self) -> None:
        self.target.remove(**self.options)

    def do_exec(self) -> dict[str, Any]:
        command = self.options.pop("command", ())
        output = self.target.exec(command, text=False, cancel=self.cancel, **self.options)
        return _ended(output.exit, output.stdout, output.stderr)

    def do_exec_start(self) -> dict[str, Any]:
        command = self.options.pop("command", ())
        started = self.target.exec_start(command, text=False, cancel=self.cancel, **self.options)
        with contextlib.closing(started):
            if started.stdin is not None:
                started.stdin.write(unescape(self.own.get("input", "")))
                started.stdin.close()
            read = [None if stream is None else stream.read() for stream in (started.stdout, started.stderr)]
            return _ended(started.wait(cancel=self.cancel), *read)

    def do_copy_from(self) -> None:
        self.target.copy_from(*self.plain, cancel=self.cancel, **self.options)

    def do_copy_to(self) -> None:
        self.target.copy_to(*self.plain, cancel=self.cancel, **self.options)

    def do_path_stat(self) -> Any:
        return self.target.path_stat(*self.plain, cancel=self.cancel, **self.options)

    def do_get_archive(self) -> None:
        archive, _ = self.target.get_archive(self.plain[0], cancel=self.cancel, **self.options)
        with archive, open(self.plain[1], "wb") as to:
            to.writelines(archive)

    def do_put_archive(self) -> None:
        with open(self.plain[1], "rb") as archive:
            assert self.target.put_archive(self.plain[0], archive, cancel=self.cancel)

    def do_read_in(self) -> bytes:
        path, mode = self.plain
        with self.target.open(path, f"{mode}b", cancel=self.cancel) as file:
            return file.read()

    def do_write_in(self) -> None:
        path, mode = self.plain
        with self.target.open(path, f"{mode}b", cancel=self.cancel) as file:
            file.write(unescape(self.own.get("input", "")))

    def do_attach(self) -> dict[str, Any]:
        joined = self.target.attach(interactive=self.plain[0] == "true", text=False, cancel=self.cancel)
        with joined:
            if joined.stdin is not None:
                joined.stdin.write(unescape(self.own.get("input", "")))
                joined.stdin.close()
            read = [None if stream is None else stream.read() for stream in (joined.stdout, joined.stderr)]
            return _ended(joined.wait(cancel=self.cancel), *read)

    def do_pause(self) -> None:
        self.target.pause(cancel=self.cancel)

    def do_unpause(self) -> None:
        self.target.unpause()

    def do_top(self) -> Any:
        return self.target.top()

    def do_stats(self) -> Any:
        return self.target.stats()

    def do_stats_stream(self) -> Any:
        readings = self.target.stats_stream(float(self.plain[0]), cancel=self.cancel)
        return list(itertools.islice(readings, int(self.own["count"])))

    def do_update(self) -> None:
        self.target.update(**self.options)

    def do_resize(self) -> None:
        self.target.resize(*map(int, self.plain))


def _ended(exit: sampan.ExitStatus, stdout: bytes | None, stderr: bytes | None) -> dict[str, Any]:
    told = {name: getattr(exit, name) for name in ("code", "signal", "oom_killed", "error")}
    return {**told, "stdout": stdout, "stderr": stderr}


def _fields(word: str) -> list[tuple[str, str]]:
    name, found, text = word.partition("=")
    if not found:
        raise ValueError(f"{word} has no =")
    return [("command", part) for part in ("sh", "-c", text)] if name == "sh" else [(name, text)]

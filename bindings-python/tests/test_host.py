"""What the host keeps: its signals, threads, descriptors and children."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import pathlib
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sampan


def _descriptors() -> set[str]:
    # A task that an earlier test cancelled has its call's in a cycle, until some collection.
    gc.collect()
    return set(os.listdir("/proc/self/fd"))


def _children() -> set[str]:
    tasks = pathlib.Path("/proc/self/task").glob("*/children")
    return {pid for task in tasks for pid in task.read_text().split()}


def _threads() -> int:
    return len(os.listdir("/proc/self/task"))


def _interrupt_once(started: threading.Event) -> threading.Thread:
    """Sends ourselves a Ctrl-C once `started` is set."""

    def send() -> None:
        started.wait()
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


def test_ctrl_c_ends_a_wait_at_once(engine: sampan.Engine, image: str) -> None:
    with engine.container(image, "sleep 60") as c:
        started = threading.Event()
        thread = _interrupt_once(started)
        started.set()
        with pytest.raises(KeyboardInterrupt):
            c.wait()
        thread.join()
        # Had the wait gone on, the container would have ended first.
        assert c.status == "running"


def test_ctrl_c_ends_a_run_and_leaves_nothing(engine: sampan.Engine, image: str, tmp_path: pathlib.Path) -> None:
    threads, descriptors = _threads(), _descriptors()
    os.mkfifo(tmp_path / "fifo")
    started = threading.Event()
    thread = _interrupt_once(started)

    def see_it_run() -> None:
        (tmp_path / "fifo").read_text()
        started.set()

    watcher = threading.Thread(target=see_it_run)
    watcher.start()
    with pytest.raises(KeyboardInterrupt):
        volumes = {tmp_path: "/x"}
        engine.run(image, "sh -c 'echo up >/x/fifo; sleep 60'", volumes=volumes, labels={"of": "ctrl-c"})
    thread.join()
    watcher.join()
    assert not engine.containers.list(all=True, filters={"label": "of=ctrl-c"})
    assert (_threads(), _descriptors()) == (threads, descriptors)


def test_ctrl_c_ends_a_pull(empty: sampan.Engine, silent_registry: str) -> None:
    started = threading.Event()
    thread = _interrupt_once(started)
    started.set()
    with pytest.raises(KeyboardInterrupt):
        empty.images.pull(f"{silent_registry}/busybox", progress=False)
    thread.join()
    assert empty.images.list() == []


@pytest.fixture
def silent_registry():  # type: ignore[no-untyped-def]
    """A port that takes connections and never answers."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


class _Interrupted:
    """A signal comes while a call waits in its worker; its handler raises once that worker has all the same done its work."""

    def __init__(self, finish: Callable[[], object] = lambda: None) -> None:
        self._finish = finish

    def _handle(self, *_: object) -> None:
        self._sender.join()
        self._finish()
        _awaited(lambda: _threads() <= self._threads)
        raise KeyboardInterrupt

    def _send(self) -> None:
        # This thread, and the call's.
        _awaited(lambda: _threads() > self._threads + 1)
        os.kill(os.getpid(), signal.SIGUSR1)

    def __enter__(self) -> None:
        self._before = signal.signal(signal.SIGUSR1, self._handle)
        self._threads = _threads()
        self._sender = threading.Thread(target=self._send)
        self._sender.start()

    def __exit__(self, *_: object) -> None:
        self._sender.join()
        signal.signal(signal.SIGUSR1, self._before)


def _awaited(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline


@pytest.mark.parametrize("make", ["create", "spawn"])
def test_an_interrupted_call_leaves_no_container_that_nobody_has(
    empty: sampan.Engine, image: str, make: str
) -> None:
    threads = _threads()

    def interrupt(_: object) -> None:
        _awaited(lambda: _threads() <= threads)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        getattr(empty.containers, make)(image, "sleep 60", progress=interrupt)
    assert not empty.containers.list(all=True)


def _shim(container: sampan.Container) -> int:
    status = pathlib.Path(f"/proc/{container.inspect()['pid']}/status").read_text()
    return int(status.partition("PPid:")[2].split()[0])


def test_an_interrupted_exec_leaves_no_command_that_nobody_has(engine: sampan.Engine, image: str) -> None:
    with engine.container(image, "sleep 60") as c:
        shim = _shim(c)
        # So that the call waits until it is interrupted.
        os.kill(shim, signal.SIGSTOP)
        with pytest.raises(KeyboardInterrupt), _Interrupted(lambda: os.kill(shim, signal.SIGCONT)):
            c.exec_start("sleep 61")
        _awaited(lambda: len(c.top()) == 1)


def test_an_interrupted_read_loses_nothing(engine: sampan.Engine, image: str, tmp_path: pathlib.Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    volumes = {tmp_path: "/x"}

    def write() -> None:
        (tmp_path / "fifo").write_text("heard\n")

    with engine.container(image, "sh -c 'cat /x/fifo; exec sleep 60'", volumes=volumes) as c:
        with c.logs(follow=True) as lines:
            with pytest.raises(KeyboardInterrupt), _Interrupted(write):
                next(lines)
            assert lines.entries.next(timeout=30).data == b"heard\n"
        with engine.events(filters={"event": "rename"}) as events:
            with pytest.raises(KeyboardInterrupt), _Interrupted(lambda: c.rename("heard")):
                next(events)
            c.rename("heard-later")
            assert [events.next(timeout=30)["attributes"]["name"] for _ in range(2)] == ["heard", "heard-later"]


def test_what_comes_as_the_time_runs_out_is_not_lost(engine: sampan.Engine, image: str) -> None:
    names, heard = [f"late-{n}" for n in range(200)], [""]
    with engine.container(image, "sleep 60") as c, engine.events(filters={"event": "rename"}) as events:
        renaming = threading.Thread(target=lambda: deque(map(c.rename, names)))
        renaming.start()
        while heard[-1] != names[-1]:
            # All have been told, so that nothing is waited for but what was lost.
            timeout = 0.001 if renaming.is_alive() else 30
            try:
                heard.append(events.next(timeout)["attributes"]["name"])
            except sampan.TimeoutError:
                assert timeout < 1
        renaming.join()
    assert heard[1:] == names


def test_another_threads_call_is_cancelled_by_its_token(engine: sampan.Engine, image: str) -> None:
    with engine.container(image, "sleep 60") as c, ThreadPoolExecutor() as pool:
        cancel = sampan.Cancel()
        waiting = pool.submit(c.wait, cancel=cancel)
        cancel.cancel()
        with pytest.raises(sampan.CancelledError):
            waiting.result(timeout=10)


def test_the_gil_is_free_while_a_call_waits(engine: sampan.Engine, image: str) -> None:
    with engine.container(image, "sleep 60") as c, ThreadPoolExecutor() as pool:
        waiting = pool.submit(c.wait)
        assert sum(range(1000)) == 499500 and not waiting.done()
        c.kill()
        assert waiting.result(timeout=10).signal == 9


def test_eight_threads_at_once(engine: sampan.Engine, image: str) -> None:
    def echo(n: int) -> str:
        return engine.run(image, ["echo", str(n)]).stdout

    threads, descriptors = _threads(), _descriptors()
    with ThreadPoolExecutor(8) as pool:
        outputs = list(pool.map(echo, range(16)))
    assert outputs == [f"{n}\n" for n in range(16)]
    assert _descriptors() == descriptors
    # The pool has seen its threads return; the kernel takes them off its list a moment later.
    deadline = time.monotonic() + 10
    while _threads() > threads:
        assert time.monotonic() < deadline


def test_nothing_is_left_of_all_that_is_done(engine: sampan.Engine, image: str, registry: str) -> None:
    def everything() -> None:
        engine.run(image, "true")
        engine.images.pull(image, progress=False)
        with pytest.raises(sampan.Error):
            engine.images.pull(f"{registry}/nothing:1", progress=False)
        with pytest.raises(FileNotFoundError):
            engine.run(image, "/no/such/command")
        with pytest.raises(sampan.TimeoutError):
            engine.run(image, "sleep 60", timeout=0.1)
        with engine.container(image, ["sh", "-c", "echo ready; exec sleep 60"]) as c:
            c.wait_ready(log="ready", timeout=10)
            with c.logs(follow=True) as lines:
                next(lines)
            c.stop(timeout=0)
            c.wait(10)
            c.restart(timeout=0)
        engine.doctor()

    everything()
    before = (_descriptors(), _threads(), _children(), os.getcwd(), dict(os.environ))
    for _ in range(3):
        everything()
    assert (_descriptors(), _threads(), _children(), os.getcwd(), dict(os.environ)) == before


def test_a_sigchld_handler_never_hears_of_a_container(engine: sampan.Engine, image: str) -> None:
    heard: list[int] = []
    children = _children()
    before = signal.signal(signal.SIGCHLD, lambda number, frame: heard.append(number))
    try:
        assert engine.run(image, "true").exit_code == 0
        assert heard == []
        assert subprocess.run(["true"]).returncode == 0
        assert heard != []
        assert _children() == children
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_subprocesses_beside_containers(engine: sampan.Engine, image: str) -> None:
    def both(n: int) -> tuple[int, int]:
        with subprocess.Popen(["sh", "-c", f"exit {n}"]) as process:
            code = engine.run(image, f"sh -c 'exit {n}'").exit_code
            return process.wait(), code

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(both, range(8))) == [(n, n) for n in range(8)]


def test_a_forked_child_uses_the_same_handles(engine: sampan.Engine, image: str) -> None:
    with engine.container(image, "sleep 60") as c:
        pid = os.fork()
        if pid == 0:
            try:
                ok = engine.run(image, "echo child").stdout == "child\n" and c.status == "running"
                c.close()
                os._exit(0 if ok else 1)
            except BaseException:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert c.status == "running"


def _echo(engine: sampan.Engine, image: str, word: str) -> str:
    return engine.run(image, ["echo", word]).stdout


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_multiprocessing(engine: sampan.Engine, image: str, method: str) -> None:
    with multiprocessing.get_context(method).Pool(2) as pool:
        words = pool.starmap(_echo, [(engine, image, word) for word in "abcd"])
    assert words == ["a\n", "b\n", "c\n", "d\n"]


def _told(container: sampan.Container) -> tuple[str, str]:
    with container:
        return container.id, container.exec(["echo", "from within"]).stdout


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_container_in_another_process(engine: sampan.Engine, image: str, method: str) -> None:
    with engine.container(image, "sleep 60") as c:
        with multiprocessing.get_context(method).Pool(1) as pool:
            assert pool.apply(_told, (c,)) == (c.id, "from within\n")
        # It is ours: the end of a block elsewhere is not its end.
        assert c.status == "running"
        copy = pickle.loads(pickle.dumps(c))
        assert copy == c and copy.name == c.name
    with pytest.raises(sampan.NotFoundError):
        copy.inspect()


async def _told_later(container: sampan.AsyncContainer) -> tuple[str, str]:
    async with container:
        return container.id, (await container.exec(["echo", "from within"])).stdout


def _told_by_a_loop(container: sampan.AsyncContainer) -> tuple[str, str]:
    return asyncio.run(_told_later(container))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_an_asynchronous_container_in_another_process(engine: sampan.Engine, image: str, method: str) -> None:
    async def main() -> None:
        async with sampan.AsyncEngine(**_own(engine)).container(image, "sleep 60") as c:
            assert pool.apply(_told_by_a_loop, (c,)) == (c.id, "from within\n")
            assert await c.status() == "running"

    # Made before there is a loop, which is not the children's.
    with multiprocessing.get_context(method).Pool(1) as pool:
        asyncio.run(main())


def _own(engine: sampan.Engine) -> Any:
    return {"root": engine.info()["root"], "run_dir": engine.info()["run"]}


def test_the_default_engine_after_a_fork(engine: sampan.Engine, image: str) -> None:
    sampan.use_engine(engine)
    try:
        pid = os.fork()
        if pid == 0:
            try:
                os._exit(0 if sampan.run(image, "true").exit_code == 0 else 1)
            except BaseException:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    finally:
        sampan.use_engine(None)


def test_a_tied_container_goes_with_its_process(engine: sampan.Engine, image: str, store: pathlib.Path) -> None:
    code = f"""
import sampan, os, signal
engine = sampan.Engine({str(store / "root")!r}, run_dir={str(store / "run")!r})
print(engine.container({image!r}, "sleep 60").id, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    told = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        engine.containers.get(told.stdout.strip()).wait(30)
    except sampan.NotFoundError:
        pass
    deadline = time.monotonic() + 30
    while told.stdout.strip() in {c.id for c in engine.containers.list(all=True)}:
        assert time.monotonic() < deadline

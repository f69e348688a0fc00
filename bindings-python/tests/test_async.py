"""asyncio: the loop is never blocked, and cancelling a task ends its call."""

from __future__ import annotations

import asyncio
import os
import pathlib
import threading
import time
from collections.abc import Coroutine
from typing import Any

import pytest
import sampan


@pytest.fixture
def make(store: pathlib.Path, engine: sampan.Engine) -> sampan.AsyncEngine:
    return sampan.AsyncEngine(store / "root", run_dir=store / "run")


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Runs it, and sees that no thread of ours is left."""
    result = asyncio.run(coroutine)
    assert not [t for t in threading.enumerate() if t.name == "sampan"]
    return result


def test_ready_in_parts(make: sampan.AsyncEngine, image: str) -> None:
    async def main() -> None:
        async with make as engine, engine.container(
            image, ["sh", "-c", "printf Rea; sleep 0.3; echo dy; printf 'login: '; exec sleep 60"]
        ) as c:
            assert await c.wait_ready(log="Ready", timeout=10) == "Ready\n"
            assert await c.wait_ready(log="login: ", timeout=10) == "login: "
            async with c.logs(follow=True) as lines:
                assert await lines.__anext__() == "Ready\n"

    run(main())


def test_the_main_path(make: sampan.AsyncEngine, image: str) -> None:
    async def main() -> None:
        async with make as engine:
            assert (await engine.run(image, "echo hi")).stdout == "hi\n"
            assert image in (await engine.images.get(image)).tags
            async with engine.container(image, ["sh", "-c", "echo a; echo b; exec sleep 60"]) as c:
                assert await c.wait_ready(log="b", timeout=10) == "b\n"
                assert await c.status() == "running"
                assert c.id in [other.id for other in await engine.containers.list()]
                await c.stop(timeout=0)
                assert (await c.wait()).code == 137
                assert await c.logs().read() == "a\nb\n"
                assert [line async for line in c.logs(follow=True, text=False)] == [b"a\n", b"b\n"]
            with pytest.raises(sampan.NotFoundError):
                await engine.containers.get(c.id)

    run(main())


def test_a_log_is_opened_outside_of_the_loops_thread(
    make: sampan.AsyncEngine, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with make.container(image, ["echo", "a"]) as c:
            await c.wait()
            threads: list[threading.Thread] = []
            open_it = c.sync._entries

            def entries(options: dict[str, Any]) -> Any:
                threads.append(threading.current_thread())
                return open_it(options)

            monkeypatch.setattr(c.sync, "_entries", entries)
            assert await c.logs().read() == "a\n"
            async with c.logs(text=False) as lines:
                assert len(threads) == 2
                assert [line async for line in lines] == [b"a\n"]
                assert len(threads) == 2
            assert [line async for line in lines] == []
            assert all(thread is not threading.main_thread() for thread in threads)
            with pytest.raises(sampan.InvalidArgumentError):
                await c.logs(since="yesterday").read()

    run(main())


def test_a_detached_run_is_a_container_of_the_loop(make: sampan.AsyncEngine, image: str) -> None:
    async def main() -> None:
        async with await make.containers.run(image, "sleep 60", detach=True) as c:
            assert isinstance(c, sampan.AsyncContainer) and await c.status() == "running"
        assert (await make.run(image, ["printf", r"\377"], text=False)).stdout == b"\xff"

    run(main())


def test_a_detached_run_whose_task_is_cancelled_early_leaves_nothing(make: sampan.AsyncEngine, image: str) -> None:
    async def main() -> None:
        containers = (await make.open()).containers
        before = {c.id for c in containers.list(all=True)}
        for turns in range(8):
            task = asyncio.ensure_future(make.run(image, "sleep 60", detach=True))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert {c.id for c in containers.list(all=True)} == before

    run(main())


@pytest.mark.parametrize("call", ["spawn", "create"])
def test_a_container_that_is_there_when_its_task_is_cancelled_is_removed(
    make: sampan.AsyncEngine, image: str, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    async def main() -> None:
        containers, loop = (await make.open()).containers, asyncio.get_running_loop()
        before = {c.id for c in containers.list(all=True)}
        real = getattr(containers, call)
        made: list[sampan.Container] = []

        def make_and_cancel(*args: Any, **options: Any) -> sampan.Container:
            made.append(real(*args, **options))
            # The loop hears of it before it hears of the container.
            loop.call_soon_threadsafe(task.cancel)
            return made[-1]

        monkeypatch.setattr(containers, call, make_and_cancel)
        task = asyncio.ensure_future(getattr(make.containers, call)(image, "sleep 60"))
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(made) == 1 and {c.id for c in containers.list(all=True)} == before

    run(main())


def test_more_waits_than_asyncio_has_threads(make: sampan.AsyncEngine, image: str) -> None:
    async def main() -> list[int]:
        many = (os.cpu_count() or 1) + 8
        containers = await asyncio.gather(*(make.containers.spawn(image, "sleep 60") for _ in range(many)))
        waits = [asyncio.ensure_future(c.wait()) for c in containers]
        # Were they queued for a few threads, this would never get its turn.
        await asyncio.gather(*(c.kill() for c in containers))
        codes = [status.code for status in await asyncio.gather(*waits)]
        await asyncio.gather(*(c.remove() for c in containers))
        return codes

    assert set(run(main())) == {137}


def test_cancelling_a_task_ends_its_call(make: sampan.AsyncEngine, image: str) -> None:
    async def main() -> None:
        c = await make.container(image, "sleep 60")
        wait = asyncio.ensure_future(c.wait())
        await asyncio.sleep(0)
        wait.cancel()
        with pytest.raises(asyncio.CancelledError):
            await wait
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(make.run(image, "sleep 60", labels={"of": "async"}), 0.5)
        assert not await make.containers.list(all=True, filters={"label": "of=async"})
        await c.aclose()
        await c.aclose()

    run(main())


def test_a_line_that_a_cancelled_task_has_read_is_the_next(
    make: sampan.AsyncEngine, image: str, tmp_path: pathlib.Path
) -> None:
    async def main() -> None:
        volumes = {tmp_path: "/x"}
        async with make.container(image, "sh -c 'cat /x/fifo; exec sleep 60'", volumes=volumes) as c:
            async with c.logs(follow=True) as lines:
                threads = len(os.listdir("/proc/self/task"))
                reading = asyncio.ensure_future(lines.__anext__())
                await asyncio.sleep(0)
                (tmp_path / "fifo").write_text("heard\n")
                # The loop hears of nothing meanwhile.
                deadline = time.monotonic() + 30
                while len(os.listdir("/proc/self/task")) > threads:
                    assert time.monotonic() < deadline
                reading.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await reading
                assert await asyncio.wait_for(lines.__anext__(), 30) == "heard\n"

    os.mkfifo(tmp_path / "fifo")
    run(main())


def test_subprocesses_of_asyncio_beside_containers(make: sampan.AsyncEngine, image: str) -> None:
    async def child(n: int) -> int:
        process = await asyncio.create_subprocess_exec("sh", "-c", f"exit {n}")
        return await process.wait()

    async def main() -> Any:
        containers = (make.run(image, f"sh -c 'exit {n}'") for n in range(4))
        return await asyncio.gather(*(child(n) for n in range(4)), *containers)

    results = run(main())
    assert results[:4] == [0, 1, 2, 3] and [r.exit_code for r in results[4:]] == [0, 1, 2, 3]


def test_progress_comes_in_the_loop(tmp_path: pathlib.Path, image: str) -> None:
    seen: set[threading.Thread] = set()

    async def main() -> None:
        engine = sampan.AsyncEngine(tmp_path / "root", run_dir=tmp_path / "run")
        await engine.pull(image, progress=lambda event: seen.add(threading.current_thread()))
        await asyncio.sleep(0)

    run(main())
    assert seen == {threading.main_thread()}


def test_errors_are_the_same(tmp_path: pathlib.Path) -> None:
    async def main() -> None:
        await sampan.AsyncEngine(tmp_path / "root", run_dir=tmp_path / "run").containers.get("nobody")

    with pytest.raises(sampan.NotFoundError):
        run(main())

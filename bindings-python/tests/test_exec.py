"""Commands that run meanwhile, and what a container does."""

from __future__ import annotations

import asyncio
import gc
import pathlib
import threading
from typing import Any

import pytest
import sampan


def test_streams_are_files(engine: sampan.Engine, image: str) -> None:
    with engine.container(image, "sleep 1000") as container:
        with container.exec_start(["sh", "-c", "while read w; do echo got $w; done; exit 3"], interactive=True) as e:
            assert e.stdin and e.stdout and e.stderr and e.pid > 0
            for word in ("one", "two"):
                e.stdin.write(f"{word}\n")
                assert e.stdout.readline() == f"got {word}\n"
            e.stdin.close()
            assert list(e.stdout) == [] and e.stderr.read() == ""
            assert e.wait() == 3
        e = container.exec_start("printf '\\377'", text=False)
        assert e.stdout and e.stdout.read() == b"\xff" and e.stdin is None
        e.close()


def test_a_terminal_ends(engine: sampan.Engine, image: str) -> None:
    with engine.container(image, "sleep 1000") as container:
        with container.exec_start("stty size", tty=True, rows=12, columns=34) as e:
            assert e.stdout and e.stdout.read() == "12 34\r\n"
            assert e.stderr is None and e.wait() == 0


def test_it_is_killed_with_its_with(engine: sampan.Engine, image: str) -> None:
    with engine.container(image, "sleep 1000") as container:
        with container.exec_start("sleep 2000") as e:
            with pytest.raises(sampan.TimeoutError):
                e.wait(0.01)
            assert len(container.top()) == 2
        assert e.wait().signal == 9
        assert [p["command"] for p in container.top()] == ["sleep 1000"]


def test_a_time_that_is_up_spares_the_token(engine: sampan.Engine, image: str) -> None:
    cancel = sampan.Cancel()
    with engine.container(image, "sleep 1000") as container, container.exec_start("sleep 2000") as e:
        with pytest.raises(sampan.TimeoutError):
            e.wait(0.01, cancel=cancel)
        assert not cancel.cancelled
        threading.Timer(0, cancel.cancel).start()
        with pytest.raises(sampan.CancelledError):
            e.wait(60, cancel=cancel)


def test_a_stream_needs_no_handle(engine: sampan.Engine, image: str) -> None:
    with engine.container(image, "sleep 1000") as container:
        stdout = container.exec_start("seq 300000").stdout
        assert stdout and len(stdout.read().splitlines()) == 300000
        # The output, which is dropped here, doesn't stop the command.
        stderr = container.exec_start("sh -c 'head -c 1000000 /dev/zero; seq 300000 >&2'").stderr
        assert stderr and len(stderr.read().splitlines()) == 300000


def test_what_nobody_reads_any_more_is_thrown_away(engine: sampan.Engine, image: str) -> None:
    with engine.container(image, "sleep 1000") as container:
        for tty in (False, True):
            e = container.exec_start("head -c 1000000 /dev/zero", tty=tty)
            e.close()
            assert e.wait(timeout=60) == 0


def test_input_that_comes_too_late_is_no_error(engine: sampan.Engine, image: str) -> None:
    with engine.container(image, "sleep 1000") as container:
        for tty in (False, True):
            with container.exec_start("cat", interactive=True, tty=tty) as e:
                assert e.stdin
                e.stdin.write("no end of a line")
                e.kill()
                e.wait()


def test_statistics(engine: sampan.Engine, image: str) -> None:
    with engine.container(image, "sleep 1000") as container:
        assert container.stats()["id"] == container.id
        readings = container.stats_stream(0.01)
        assert next(readings)["time"] < next(readings)["time"]
        container.kill()
        container.wait()
        assert list(container.stats_stream(1000)) == []


def test_the_same_for_asyncio(store: pathlib.Path, engine: sampan.Engine, image: str) -> None:
    async def main() -> None:
        make = sampan.AsyncEngine(store / "root", run_dir=store / "run")
        async with make.container(image, "sleep 1000") as c:
            async with await c.exec_start(["sh", "-c", "cat; exit 5"], interactive=True) as e:
                assert e.stdin and e.stdout
                e.stdin.write(b"over\n")
                assert await e.stdout.readline() == b"over\n"
                e.stdin.close()
                assert await e.stdout.read() == b"" and await e.wait() == 5
            async with await c.exec_start("tty", tty=True) as e:
                assert e.stdout and (await e.stdout.read()).startswith(b"/dev/pts/")
            async with await c.exec_start("sleep 2000") as e:
                pass
            assert (await e.wait()).signal == 9
            assert [p["command"] for p in await c.top()] == ["sleep 1000"]
            # A stream needs no handle, and what nobody reads any more is thrown away.
            stdout = (await c.exec_start("seq 300000")).stdout
            assert stdout and len((await stdout.read()).splitlines()) == 300000
            e = await c.exec_start("head -c 1000000 /dev/zero")
            await e.aclose()
            assert await e.wait(timeout=60) == 0
            async for reading in c.stats_stream(0.01):
                assert reading["id"] == c.id
                break
            # A task that is cancelled while it waits for the next ends at once.
            readings = c.stats_stream(1000)
            await readings.__anext__()
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(readings.__anext__(), 0.05)

    asyncio.run(main())


def test_a_start_that_is_cancelled_leaves_no_command(
    store: pathlib.Path, engine: sampan.Engine, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        opening = asyncio.Event()

        async def never(*_: object) -> None:
            opening.set()
            await asyncio.Event().wait()

        make = sampan.AsyncEngine(store / "root", run_dir=store / "run")
        async with make.container(image, "sleep 1000") as c:
            monkeypatch.setattr(asyncio.get_running_loop(), "connect_read_pipe", never)
            start = asyncio.ensure_future(c.exec_start("sleep 2000"))
            await opening.wait()
            start.cancel()
            with pytest.raises(asyncio.CancelledError):
                await start
            while [p["command"] for p in await c.top()] != ["sleep 1000"]:
                await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(main(), 60))


def test_the_loop_reads_no_statistics_itself(
    store: pathlib.Path, engine: sampan.Engine, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []

    async def main() -> None:
        make = sampan.AsyncEngine(store / "root", run_dir=store / "run")
        async with make.container(image, "sleep 1000") as c:
            stream = c.sync.stats_stream

            def noted(*args: Any, **options: Any) -> Any:
                threads.append(threading.get_ident())
                return stream(*args, **options)

            monkeypatch.setattr(c.sync, "stats_stream", noted)
            async for _ in c.stats_stream(0.01):
                break

    asyncio.run(main())
    assert len(threads) == 1 and threads != [threading.get_ident()]


def test_a_container_is_joined(engine: sampan.Engine, image: str) -> None:
    script = "while read w; do echo got $w; done"
    with engine.containers.spawn(image, ["sh", "-c", script], interactive=True) as container:
        with container.attach(interactive=True) as one:
            assert one.stdin and one.stdout
            one.stdin.write("first\n")
            assert one.stdout.readline() == "got first\n"
            with pytest.raises(sampan.TimeoutError):
                one.wait(0.01)
        # Whoever has a stream alone is joined, and one that has left is in nobody's way.
        stdin, two = container.attach(interactive=True).stdin, container.attach()
        assert stdin and two.stdin is None and two.stdout
        gc.collect()
        stdin.write("second\n")
        assert two.stdout.readline() == "got second\n"
        container.kill()
        assert two.stdout.read() == "" and two.wait().signal == 9


def test_a_terminal_that_is_joined_has_a_size(engine: sampan.Engine, image: str) -> None:
    command = ["sh", "-c", "read w; stty size"]
    container = engine.containers.spawn(image, command, interactive=True, tty=True)
    with container, container.attach(interactive=True) as joined:
        assert joined.stdin and joined.stdout and joined.stderr is None
        joined.resize(12, 34)
        joined.stdin.write("on\n")
        assert joined.stdout.read().endswith("12 34\r\n") and joined.wait() == 0


def test_a_container_is_joined_by_asyncio(store: pathlib.Path, image: str) -> None:
    async def main() -> None:
        make = sampan.AsyncEngine(store / "root", run_dir=store / "run")
        script = "read w; echo got $w; exit 3"
        async with make.container(image, ["sh", "-c", script], interactive=True) as c:
            async with await c.attach(interactive=True) as joined:
                assert joined.stdin and joined.stdout
                joined.stdin.write(b"it\n")
                assert await joined.stdout.readline() == b"got it\n"
                assert (await joined.wait()).code == 3

    asyncio.run(asyncio.wait_for(main(), 60))

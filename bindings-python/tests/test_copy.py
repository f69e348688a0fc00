"""Files into containers and out of them, as Python has them."""

from __future__ import annotations

import asyncio
import gc
import io
import os
import pathlib
import tarfile
import threading
import time
import weakref
from collections.abc import Iterator

import pytest
import sampan
from sampan import _async, _copy


def packed(name: str, content: bytes, mode: str = "w") -> bytes:
    """An archive with one file."""
    to = io.BytesIO()
    with tarfile.open(fileobj=to, mode=mode) as archive:  # type: ignore[call-overload]
        info = tarfile.TarInfo(name)
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return to.getvalue()


def test_files_and_directories(engine: sampan.Engine, image: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_text("one")
    with engine.container(image, "sleep 1000") as container:
        container.copy_to(tmp_path / "d", "/tmp")
        container.copy_from("/tmp/d/f", tmp_path / "back")
        assert (tmp_path / "back").read_text() == "one"
        stat = container.path_stat("/tmp/d")
        assert stat["name"] == "d" and stat["mode"] & 0o170000 == 0o040000
        with pytest.raises(FileNotFoundError):
            container.copy_from("/none", tmp_path / "x")


def test_an_open_file_is_a_file(engine: sampan.Engine, image: str) -> None:
    with engine.container(image, "sleep 1000") as container:
        with container.open("/tmp/f", "w") as file:
            file.write("ä\nb\n")
        with container.open("/tmp/f") as file:
            assert list(file) == ["ä\n", "b\n"]
        with container.open("/tmp/f", "r+b") as file:
            file.seek(3)
            file.write(b"c")
        assert container.exec("cat /tmp/f").stdout == "ä\nc\n"
        with pytest.raises(FileExistsError):
            container.open("/tmp/f", "x")
        kept = container.open("/tmp/f", "rb")
    assert kept.read() == "ä\nc\n".encode()
    kept.close()


def test_arguments_that_fit_no_file_leave_nothing_open(engine: sampan.Engine, image: str) -> None:
    with engine.container(image, "sleep 1000") as container:
        with container.open("/tmp/f", "w") as file:
            file.write("kept")
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(ValueError, match="encoding"):
            container.open("/tmp/f", "wb", encoding="utf-8")
        assert container.exec("cat /tmp/f").stdout == "kept"
        with pytest.raises(LookupError):
            container.open("/tmp/f", encoding="none-such")
        assert len(os.listdir("/proc/self/fd")) == before


def test_archives_are_streams(engine: sampan.Engine, image: str) -> None:
    given = packed("d/f", b"one", "w:gz")
    with engine.container(image, "sleep 1000") as container:
        assert container.put_archive("/tmp", given) is True
        container.put_archive("/", io.BytesIO(given))
        container.put_archive("/tmp", iter([given[:10], given[10:]]))
        chunks, stat = container.get_archive("/tmp/d")
        assert stat["name"] == "d"
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
            member = archive.extractfile("d/f")
            assert member and member.read() == b"one"
        with container.get_archive("/tmp/d")[0] as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            assert [member.name for member in archive] == ["d", "d/f"]
        # One that is closed early ends the copy.
        stream, _ = container.get_archive("/bin")
        stream.read(1)
        stream.close()
        with pytest.raises(sampan.NotFoundError):
            container.get_archive("/none")
        with pytest.raises(ZeroDivisionError):
            container.put_archive("/tmp", (b"" if n else bytes(1 // n) for n in (1, 0)))
        with pytest.raises(sampan.InvalidArgumentError, match="tar"):
            container.put_archive("/tmp", bytes(range(256)) * 4)


def test_a_closed_archive_reads_nothing_of_others(engine: sampan.Engine, image: str) -> None:
    with engine.container(image, "sleep 1000") as container:
        archive, _ = container.get_archive("/bin")
        archive.close()
        archive.close()
        # They get the numbers that became free.
        strangers = [os.open("/proc/self/status", os.O_RDONLY) for _ in range(3)]
        for read in (lambda: archive.read(8), lambda: archive.readinto(bytearray(8)), lambda: next(iter(archive))):
            with pytest.raises(ValueError, match="closed"):
                read()
        assert [os.lseek(fd, 0, os.SEEK_CUR) for fd in strangers] == [0, 0, 0]
        for fd in strangers:
            os.close(fd)


def test_an_archive_that_is_dropped_lets_go_of_the_container(engine: sampan.Engine, image: str) -> None:
    with engine.containers.create(image, "true") as container:
        archive, _ = container.get_archive("/bin")
        assert archive.read(1)
        dropped = weakref.ref(archive)
        del archive
        gc.collect()
        assert dropped() is None
        # It would be refused while the copy goes on.
        container.start()
        assert container.wait() == 0


@pytest.mark.parametrize("cancelled", [True, False])
def test_a_source_that_gives_nothing_keeps_no_failed_call(engine: sampan.Engine, image: str, cancelled: bool) -> None:
    idle, cancel = threading.Event(), sampan.Cancel()

    def source() -> Iterator[bytes]:
        # So little is waited for more of; so much is no archive.
        yield bytes(range(256)) * (4 if cancelled else 768)
        if cancelled:
            cancel.cancel()
        idle.wait(60)

    with engine.container(image, "sleep 1000") as container:
        began = time.monotonic()
        with pytest.raises(sampan.CancelledError if cancelled else sampan.InvalidArgumentError):
            container.put_archive("/tmp", source(), cancel=cancel)
        assert time.monotonic() - began < 30
        idle.set()


def test_a_source_that_stays_open_behind_the_end_keeps_no_call(engine: sampan.Engine, image: str) -> None:
    idle = threading.Event()

    def source() -> Iterator[bytes]:
        yield packed("f", b"one")
        idle.wait(60)

    with engine.container(image, "sleep 1000") as container:
        began = time.monotonic()
        assert container.put_archive("/tmp", source()) is True
        assert time.monotonic() - began < 30
        idle.set()
        assert container.exec("cat /tmp/f").stdout == "one"


# The second is what writing to a call that has ended is told by.
@pytest.mark.parametrize("error", [ZeroDivisionError, BrokenPipeError])
def test_a_source_that_fails_behind_the_end_is_heard(
    engine: sampan.Engine, image: str, error: type[Exception]
) -> None:
    def source() -> Iterator[bytes]:
        yield packed("f", b"one")
        raise error

    with engine.container(image, "sleep 1000") as container, pytest.raises(error):
        container.put_archive("/tmp", source())


# What a source makes of its end is no answer to who ended it.
@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_is_raised_whatever_its_source_says(interrupt: type[BaseException]) -> None:
    def source() -> Iterator[bytes]:
        yield b"one"
        raise ZeroDivisionError

    def take(fd: int) -> None:
        while os.read(fd, 16):
            pass
        raise interrupt

    with pytest.raises(interrupt) as raised:
        _copy.put(source(), take)
    assert isinstance(raised.value.__context__, ZeroDivisionError)


def test_a_forked_child_ends_no_copy_of_its_parent(
    engine: sampan.Engine, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with engine.container(image, "sleep 1000") as container:
        archive, _ = container.get_archive("/bin")
        with monkeypatch.context() as child:
            child.setattr(os, "getpid", lambda: 0)
            archive.close()
        # A process has its own flag, but shares what its waits are woken by.
        assert not archive._cancel.cancelled


def test_a_task_that_waits_for_an_archive_is_cancelled(store: pathlib.Path, image: str) -> None:
    async def main() -> None:
        make = sampan.AsyncEngine(store / "root", run_dir=store / "run")
        async with make.container(image, "sleep 1000") as c:
            # One that writes nothing.
            archive = _copy.Archive(lambda _, cancel: c.sync.wait(cancel=cancel) and None)
            reading = asyncio.ensure_future(_async._chunks(archive).__anext__())
            await asyncio.sleep(0)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            assert archive.closed

    asyncio.run(main())


def test_the_same_for_asyncio(store: pathlib.Path, image: str, tmp_path: pathlib.Path) -> None:
    async def main() -> None:
        make = sampan.AsyncEngine(store / "root", run_dir=store / "run")
        async with make.container(image, "sleep 1000") as c:
            (tmp_path / "f").write_text("one")
            await c.copy_to(tmp_path / "f", "/tmp")
            chunks, stat = await c.get_archive("/tmp/f")
            assert await c.put_archive("/", b"".join([chunk async for chunk in chunks])) and stat["size"] == 3
            with await c.open("/f") as file:
                assert file.read() == "one"
            await c.copy_from("/f", tmp_path / "back")
            assert (tmp_path / "back").read_text() == "one" and (await c.path_stat("/f"))["size"] == 3

    asyncio.run(asyncio.wait_for(main(), 60))

"""The main path: pull, run, start, stop, logs, remove."""

from __future__ import annotations

import pathlib
import sys
import threading
from typing import Any

import pytest
import sampan
from sampan._logs import Entries


def test_pull_tells_its_progress(empty: sampan.Engine, image: str) -> None:
    events: list[Any] = []
    threads: set[threading.Thread] = set()

    def take(event: Any) -> None:
        events.append(event)
        threads.add(threading.current_thread())

    pulled = empty.images.pull(image, progress=take)
    assert image in pulled.tags and pulled.attrs["os"] == "linux"
    assert events[0]["event"] == "resolved" and events[-1]["event"] == "done"
    assert threads == {threading.current_thread()}


def test_what_a_progress_callable_raises_ends_the_pull(empty: sampan.Engine, image: str) -> None:
    def refuse(event: Any) -> None:
        raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        empty.images.pull(image, progress=refuse)


def test_run_and_its_output(engine: sampan.Engine, image: str) -> None:
    out = engine.run(image, ["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert (out.stdout, out.stderr, out.exit_code) == ("out\n", "err\n", 3)
    assert str(out) == "out\n"
    raw = engine.run(image, ["printf", r"\377"], text=False)
    assert raw.stdout == b"\xff"
    assert out.id not in [c.id for c in engine.containers.list(all=True)]


def test_check(engine: sampan.Engine, image: str) -> None:
    with pytest.raises(sampan.ExitError, match="exited with 4: last words") as caught:
        engine.run(image, "sh -c 'echo last words >&2; exit 4'", check=True)
    assert caught.value.exit_code == 4 and caught.value.output.stderr == "last words\n"


def test_input_env_workdir_user(engine: sampan.Engine, image: str) -> None:
    assert engine.run(image, "wc -c", input=b"x" * 100_000).stdout.strip() == "100000"
    out = engine.run(image, 'sh -c "echo $A; pwd; id -u"', env={"A": "b c"}, workdir="/var/x", user="app")
    assert out.stdout == "b c\n/var/x\n1000\n"


def test_volumes(engine: sampan.Engine, image: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("hello")
    out = engine.run(image, "sh -c 'cat /data/file; touch /data/no'", volumes={tmp_path: "/data:ro"})
    assert out.stdout == "hello" and "Read-only" in out.stderr and out.exit_code != 0


@pytest.mark.parametrize(
    ("command", "kind", "code"),
    [(["/no/such"], sampan.CommandNotFoundError, 127), (["/etc/passwd"], sampan.CommandNotExecutableError, 126)],
)
def test_a_command_that_cannot_run(
    engine: sampan.Engine, image: str, command: list[str], kind: type[sampan.Error], code: int
) -> None:
    with pytest.raises(kind) as caught:
        engine.run(image, command)
    assert caught.value.exit_code == code
    assert not engine.containers.list(all=True, filters={"ancestor": image})


def test_an_image_that_is_not_there(engine: sampan.Engine, registry: str) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        engine.run(f"{registry}/nothing:1", progress=False)
    assert isinstance(caught.value, sampan.NotFoundError) and caught.value.subject


def test_a_container_from_start_to_removal(engine: sampan.Engine, image: str) -> None:
    with engine.containers.run(image, "sleep 60", detach=True, name="py-life") as c:
        assert (c.name, c.status, len(c.short_id)) == ("py-life", "running", 12)
        assert engine.containers.get("py-life") == c
        assert c in engine.containers.list()
        c.rename("py-life-2")
        c.stop(timeout=0)
        assert c.wait().code == 137 and c.status == "exited" and c.exit_code == 137
        c.start()
        c.kill("TERM")
        c.kill(9)
        assert int(c.wait(10)) == 137
    c.close()
    with pytest.raises(sampan.NotFoundError):
        engine.containers.get("py-life-2")


def test_wait_has_a_timeout(engine: sampan.Engine, image: str) -> None:
    with engine.container(image, "sleep 60") as c, pytest.raises(TimeoutError):
        c.wait(timeout=0.05)


def test_run_has_a_timeout_and_leaves_nothing(engine: sampan.Engine, image: str) -> None:
    with pytest.raises(sampan.TimeoutError, match=r"0\.2 s"):
        engine.run(image, "sleep 60", timeout=0.2, labels={"of": "timeout"})
    assert not engine.containers.list(all=True, filters={"label": "of=timeout"})


def test_logs(engine: sampan.Engine, image: str) -> None:
    with engine.containers.spawn(image, ["sh", "-c", "echo ä; echo b >&2; printf c"]) as c:
        c.wait()
        assert "".join(sorted(c.logs())) == "".join(sorted(["ä\n", "b\n", "c"]))
        assert c.logs(stderr=False).read() == "ä\nc"
        assert c.logs(text=False, stdout=False).read() == b"b\n"
        assert c.logs(tail=1, stderr=False).read() == "c"
        assert c.logs(timestamps=True, stdout=False).read().endswith("Z b\n")
        entries = list(c.log_entries())
        assert {e.stream for e in entries} == {"stdout", "stderr"} and entries == sorted(entries, key=lambda e: e.time)


IN_PARTS = "printf Rea; sleep 0.3; echo dy; printf 'no '; sleep 0.3; printf end"


def test_a_line_that_was_written_with_a_pause_is_one(engine: sampan.Engine, image: str) -> None:
    with engine.container(image, ["sh", "-c", IN_PARTS]) as c:
        assert c.wait_ready(log="Ready", timeout=10) == "Ready\n"
        assert list(c.logs(follow=True)) == ["Ready\n", "no end"]
        assert list(c.logs(tail=1, text=False)) == [b"no end"]
        times = [line.partition(" ")[0] for line in c.logs(timestamps=True)]
        assert times == [e.time for e in c.log_entries(whole_lines=True)] and len(times) == 2
        assert b"".join(e.data for e in c.log_entries()) == b"Ready\nno end"


def test_what_waits_within_a_line_is_ready(engine: sampan.Engine, image: str) -> None:
    with engine.container(image, ["sh", "-c", "printf 'log'; sleep 0.3; printf 'in: '; exec sleep 60"]) as c:
        assert c.wait_ready(log="login: ", timeout=10) == "login: "


def test_logs_followed_and_closed(engine: sampan.Engine, image: str) -> None:
    with engine.container(image, ["sh", "-c", "echo ready; sleep 60"]) as c:
        assert c.wait_ready(log="ready", timeout=10) == "ready\n"
        with pytest.raises(TimeoutError, match="no line with"):
            c.wait_ready(log="never", timeout=0.1)
        lines = c.logs(follow=True)
        assert next(lines) == "ready\n"
        closer = threading.Timer(0.1, lines.close)
        closer.start()
        assert list(lines) == []
        closer.join()


def test_what_is_at_hand_of_a_followed_log_comes_at_once(
    engine: sampan.Engine, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0
    pull = Entries._pull

    def counted(self: Entries, *args: Any) -> Any:
        nonlocal calls
        calls += 1
        return pull(self, *args)

    with engine.container(image, ["sh", "-c", "seq 1000; echo ready; exec sleep 60"]) as c:
        c.wait_ready(log="ready", timeout=10)
        monkeypatch.setattr(Entries, "_pull", counted)
        with c.logs(follow=True) as lines:
            seen = [next(lines) for _ in range(1001)]
    assert seen == [*(f"{n}\n" for n in range(1, 1001)), "ready\n"]
    # A call may cost a thread, so that Ctrl-C can end it.
    assert calls <= 20


def test_streams(engine: sampan.Engine, image: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "in").write_text("abc")
    with (tmp_path / "in").open() as stdin, (tmp_path / "out").open("wb") as stdout:
        c = engine.containers.spawn(image, "cat", stdin=stdin, stdout=stdout)
    with c:
        assert c.wait(10).code == 0
    assert (tmp_path / "out").read_text() == "abc"


def test_images(engine: sampan.Engine, image: str) -> None:
    pulled = engine.images.get(image)
    pulled.tag("mine:1")
    assert pulled in engine.images.list() and image in engine.images and "nope:1" not in engine.images
    assert any(tag.endswith("mine:1") for tag in pulled.tags)
    assert engine.images.remove("mine:1")[0]["untagged"]
    assert engine.run(pulled, "true").exit_code == 0


def test_notebook_tables(engine: sampan.Engine, image: str) -> None:
    assert image in engine.images.get(image)._repr_html_()
    assert "<table>" in engine.images._repr_html_()
    with engine.container(image, ["sh", "-c", "exec sleep 60", "<b>"]) as c:
        assert "&lt;b&gt;" in c._repr_html_()
        assert c.short_id in engine.containers._repr_html_()
    assert "removed" in c._repr_html_()


def test_the_cell_magic(engine: sampan.Engine, image: str, capsys: pytest.CaptureFixture[str]) -> None:
    from sampan._magic import container_magic

    sampan.use_engine(engine)
    try:
        container_magic(f"-e A=1 {image}", "echo $A\necho err >&2\nexit 5\n")
        with pytest.raises(sampan.Error, match="usage"):
            container_magic("--nope", "")
    finally:
        sampan.use_engine(None)
    assert capsys.readouterr() == ("1\n", "err\nexit code 5\n")


def test_doctor_and_info(engine: sampan.Engine) -> None:
    report = engine.doctor()
    assert report["ok"] and report["checks"]
    assert engine.info()["rung"] == report["rung"]


def test_plan(engine: sampan.Engine, image: str) -> None:
    before = len(engine.containers.list(all=True))
    assert isinstance(engine.plan(image, "true"), dict)
    assert len(engine.containers.list(all=True)) == before


def test_version() -> None:
    assert sampan.__version__.count(".") == 2 and "sampan" in sys.modules


def test_exec(engine: sampan.Engine, image: str) -> None:
    with engine.containers.run(image, ["sleep", "1000"], detach=True, env={"OWN": "1"}) as container:
        script = "echo $OWN $MORE; pwd; cat; exit 3"
        out = container.exec(["sh", "-c", script], env={"MORE": 2}, workdir="/tmp", stdin="in")
        assert (out.stdout, out.exit_code) == ("1 2\n/tmp\nin", 3)
        assert container.exec("printf '\\377'", text=False).stdout == b"\xff"
        with pytest.raises(sampan.ExitError, match="exited with 4: last words"):
            container.exec("sh -c 'echo last words >&2; exit 4'", check=True)
        with pytest.raises(sampan.CommandNotFoundError):
            container.exec("nosuchcommand")
        with pytest.raises(TimeoutError):
            container.exec("sleep 1000", timeout=0.1)
    with pytest.raises(sampan.NotFoundError):
        container.exec("true")

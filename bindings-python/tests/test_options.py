"""What is handy in Python becomes what the engine takes."""

from __future__ import annotations

import asyncio
import datetime
import inspect
import os
import pathlib
import pickle
import sys
from typing import Any, get_type_hints

import pytest
import sampan
from sampan import _exceptions, _keywords, _logs, _options, _types


def test_command_as_words_or_as_a_line() -> None:
    assert _options.words("echo 'a b' c") == ["echo", "a b", "c"]
    assert _options.words(("cat", pathlib.Path("/etc/hosts"))) == ["cat", "/etc/hosts"]
    assert _options.words(None) == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [(5, 5), ("5", 5), ("1k", 1024), ("64m", 64 << 20), ("64MiB", 64 << 20), ("1.5GB", 3 << 29), ("7b", 7), (-1, -1)],
)
def test_sizes(given: Any, expected: int) -> None:
    assert _options.size("memory", given) == expected


@pytest.mark.parametrize("given", ["", "m", "5x", "five", "1e400"])
def test_a_size_that_is_none(given: str) -> None:
    with pytest.raises(sampan.InvalidArgumentError, match="is not a size"):
        _options.size("memory", given)


def test_volumes(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    monkeypatch.chdir(tmp_path)

    def mounts(volumes: Any) -> list[tuple[Any, ...]]:
        made = _options.run_options("i", None, {"volumes": volumes})["mounts"]
        return [(m["kind"], m.get("source"), m["target"], m.get("read_only"), m.get("options")) for m in made]

    assert mounts({"/a": "/b"}) == [("bind", "/a", "/b", False, [])]
    assert mounts({"/a": "/b:ro,nosuid"}) == [("bind", "/a", "/b", True, ["nosuid"])]
    assert mounts({"/a": {"bind": "/b", "mode": "ro"}}) == [("bind", "/a", "/b", True, [])]
    assert mounts({pathlib.Path("sub"): pathlib.PurePosixPath("/b")}) == [("bind", f"{tmp_path}/sub", "/b", False, [])]
    assert mounts(["data:/var/lib/data"]) == [("volume", "data", "/var/lib/data", False, [])]
    assert mounts(["./x:/y:rw"]) == [("bind", f"{tmp_path}/x", "/y", False, [])]
    with pytest.raises(sampan.InvalidArgumentError):
        mounts(["a:b:c:d"])


def test_env(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OURS", "x")
    env = _options.run_options("i", None, {"env": ["A=1=2", "OURS"]})["env"]
    assert env == {"A": "1=2", "OURS": "x"}
    assert _options.run_options("i", None, {"env": {"A": 1}})["env"] == {"A": "1"}


def test_what_has_no_value_is_left_out_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTSET", raising=False)

    def env(given: Any) -> Any:
        command = _options.exec_options(None, given, None, None, None, False, False, None)
        assert command["env"] == _options.run_options("i", None, {"env": given})["env"]
        return command["env"]

    assert env({"A": None, "B": ""}) == {"B": ""}
    assert env(["NOTSET", "B="]) == {"B": ""}
    monkeypatch.setenv("NOTSET", "set")
    assert env(["NOTSET"]) == env("NOTSET") == {"NOTSET": "set"}
    assert env("A=1") == {"A": "1"}


def test_one_text_is_a_list_of_itself(tmp_path: pathlib.Path) -> None:
    def mounts(**options: Any) -> Any:
        return _options.run_options("i", None, options)["mounts"]

    assert mounts(volumes="/etc:/x:ro") == mounts(volumes=["/etc:/x:ro"])
    assert mounts(tmpfs="/x") == mounts(tmpfs=["/x"]) == mounts(tmpfs={"/x": None})
    assert mounts(tmpfs=pathlib.PurePosixPath("/x")) == mounts(tmpfs=["/x"])
    labels = [_options.run_options("i", None, {"labels": given})["labels"] for given in ("a=b", ["a=b"], ["a"])]
    assert labels == [{"a": "b"}, {"a": "b"}, {"a": ""}]
    mount = {"kind": "tmpfs", "target": "/x"}
    assert mounts(mounts=mount) == mounts(mounts=[mount])
    engine = sampan.Engine(tmp_path, additional_stores="/x", insecure_registries="r:1")
    assert (engine._options["additional_stores"], engine._options["insecure_registries"]) == (["/x"], ["r:1"])
    assert engine.containers.list(filters="status=exited") == []


def test_what_is_of_no_use_is_refused_by_its_name(empty: sampan.Engine) -> None:
    for image in (5, None):
        with pytest.raises(sampan.InvalidArgumentError, match="^read option image: "):
            empty.containers.run(image)
    for mounts in (5, "/x", [5]):
        given: Any = {"mounts": mounts}
        with pytest.raises(sampan.InvalidArgumentError, match="^read option mounts: "):
            empty.containers.run("image", **given)
    for given in ({"command": ["sleep", 0]}, {"command": 5}, {"input": 5}, {"stdin": 5}):
        with pytest.raises(sampan.InvalidArgumentError, match=f"^read option {next(iter(given))}: "):
            empty.containers.run("image", **given)
    for given in ({"timeout": "soon"}, {"timeout": -1.0}):
        with pytest.raises(sampan.InvalidArgumentError, match=f"^read option {next(iter(given))}: "):
            empty.containers.run("image", **given)
    for given in ({"tmpfs": {"/x": 5}}, {"tmpfs": [5]}, {"volumes": [5]}, {"volumes": {5: "/x"}}, {"env": [5]}):
        with pytest.raises(sampan.InvalidArgumentError, match=f"^read option {next(iter(given))}: "):
            empty.containers.run("image", **given)
    with pytest.raises(OverflowError, match="^cpu_shares: "):
        empty.containers.run("image", cpu_shares=1 << 70)


@pytest.mark.parametrize(
    "volumes",
    [
        5,
        {"/etc": "/d:ro:x"},
        {"/etc": None},
        {"/etc": ""},
        {"/etc": {"mode": "ro"}},
        {"/etc": {"bind": "/d", "propagation": "shared"}},
    ],
)
def test_a_volume_that_is_none(volumes: Any) -> None:
    with pytest.raises(sampan.InvalidArgumentError, match="^read option volumes: "):
        _options.run_options("i", None, {"volumes": volumes})


def test_ports_are_refused() -> None:
    with pytest.raises(sampan.UnsupportedError, match="none and host") as caught:
        _options.run_options("i", None, {"ports": {80: 8080}})
    assert caught.value.hint and isinstance(caught.value, NotImplementedError)


def test_moments() -> None:
    zone = datetime.timezone(datetime.timedelta(hours=2))
    options = _logs.log_options(
        False, True, False, datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=zone), 1700000000.5, "all"
    )
    assert options["since"] == "2024-01-02T01:04:05Z"
    assert options["until"] == "1700000000.5"
    assert options["no_stderr"] and options["tail"] is None


def test_keywords_are_those_of_the_facade(empty: sampan.Engine) -> None:
    """The native side refuses what it knows for its value alone."""
    converted = {"volumes", "tmpfs", "ports", "env", "labels", "entrypoint", "mounts"}
    sizes = {"memory", "memory_swap", "memory_reservation", "shm_size"}
    for name in set(get_type_hints(_keywords.RunKeywords)) - converted - sizes:
        wrong: Any = {name: [[1]]}
        with pytest.raises(sampan.InvalidArgumentError, match=rf"^read option {name}(\[0\])*: invalid type"):
            empty.containers.run("image", **wrong)


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("environment", "env"),
        ("mem_limit", "memory"),
        ("working_dir", "workdir"),
        ("remove", "auto_remove"),
        ("nano_cpus", "cpus"),
        ("network_mode", "network"),
        ("volume", "volumes"),
        ("cap_ad", "cap_add"),
        ("readOnly", "read_only"),
        # The call's own words.
        ("imput", "input"),
        ("chek", "check"),
        ("timout", "timeout"),
        ("texts", "text"),
        ("detatch", "detach"),
        ("on_progress", "progress"),
        ("cansel", "cancel"),
    ],
)
def test_a_word_of_another_tool(empty: sampan.Engine, word: str, meant: str) -> None:
    given: Any = {word: 1}
    with pytest.raises(sampan.InvalidArgumentError) as caught:
        empty.containers.run("image", **given)
    assert str(caught.value) == f"read options of run: unknown option `{word}`; did you mean `{meant}`?"
    assert caught.value.subject == "run"


@pytest.mark.parametrize(
    ("call", "word", "meant"),
    [
        ("spawn", "stdOut", "stdout"),
        ("spawn", "std_err", "stderr"),
        ("spawn", "on_progress", "progress"),
        ("create", "cancell", "cancel"),
        ("create", "on_progress", "progress"),
    ],
)
def test_a_word_that_a_call_alone_has(empty: sampan.Engine, call: str, word: str, meant: str) -> None:
    given: Any = {word: 1}
    with pytest.raises(sampan.InvalidArgumentError, match=f"unknown option `{word}`; did you mean `{meant}`"):
        getattr(empty.containers, call)("image", **given)
    # Nor is one taken for another call's.
    with pytest.raises(sampan.InvalidArgumentError, match=f"unknown option `{word}`$"):
        empty.plan("image", **given)


def test_an_option_like_none(empty: sampan.Engine) -> None:
    given: Any = {"no_such_option": 1}
    with pytest.raises(sampan.InvalidArgumentError) as caught:
        empty.containers.create("image", **given)
    assert str(caught.value) == "read options of run: unknown option `no_such_option`"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"hostname": 5}, "hostname: invalid type: integer `5`, expected a string"),
        ({"cap_add": "NET_ADMIN"}, 'cap_add: invalid type: string "NET_ADMIN", expected a list'),
        ({"user": 1.5}, "user: invalid type: floating point `1.5`, expected a string"),
        ({"labels": {"a": 1}}, "labels.a: invalid type: integer `1`, expected a string"),
        ({"ulimits": [{"name": 1}]}, "ulimits[0].name: invalid type: integer `1`, expected a string"),
    ],
)
def test_a_wrong_value_is_told_with_its_name(empty: sampan.Engine, options: dict[str, Any], told: str) -> None:
    with pytest.raises(sampan.InvalidArgumentError) as caught:
        empty.containers.run("image", **options)
    assert str(caught.value) == f"read option {told}"


def test_an_input_of_a_command_that_is_none() -> None:
    given: Any = 5
    with pytest.raises(sampan.InvalidArgumentError, match="^read option stdin: int is neither text nor ") as caught:
        _options.exec_options("cat", None, None, None, given, False, False, None)
    assert caught.value.subject == "stdin" and caught.value.hint
    for held in ("ab", b"ab", bytearray(b"ab"), memoryview(b"ab")):
        given = held
        assert _options.exec_options("cat", None, None, None, given, False, False, None)["stdin"] == b"ab"
    assert _options.exec_options("cat", None, None, None, None, False, False, None)["stdin"] is None


def test_a_user_may_be_a_number() -> None:
    assert _options.run_options("i", None, {"user": 1000})["user"] == "1000"


@pytest.mark.parametrize("word", [{"input": b""}, {"timeout": 1.0}, {"check": True}, {"text": False}])
def test_words_that_a_detached_run_has_no_use_for(empty: sampan.Engine, word: dict[str, Any]) -> None:
    asynchronous = sampan.AsyncEngine(empty.info()["root"])
    with pytest.raises(sampan.InvalidArgumentError, match=f"^read option {next(iter(word))}: ") as caught:
        empty.containers.run("image", detach=True, **word)
    assert caught.value.hint
    with pytest.raises(sampan.InvalidArgumentError, match=f"^read option {next(iter(word))}: "):
        asyncio.run(asynchronous.containers.run("image", detach=True, **word))


def test_an_update_has_all_that_the_facade_changes() -> None:
    members = set(get_type_hints(_types.UpdateOptions))
    assert set(inspect.signature(sampan.Container.update).parameters) == {"self", *members}


@pytest.mark.parametrize(
    ("options", "subject"),
    [
        ({"pids_limit": "many"}, "pids_limit"),
        ({"env": {"A": "1"}, "cpus": object()}, "cpus"),
        ({"tie": "sometimes"}, "sometimes"),
        ({"mounts": [{"kind": "bind", "sauce": "/"}]}, "sauce"),
    ],
)
def test_a_value_of_the_wrong_kind(empty: sampan.Engine, options: dict[str, Any], subject: str) -> None:
    with pytest.raises((sampan.InvalidArgumentError, TypeError)):
        empty.containers.run("image", **options)


def test_a_list_in_itself(empty: sampan.Engine) -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(TypeError, match="too deeply"):
        empty.containers.run("image", security_opt=loop)


def test_exceptions_pickle_and_are_builtins_too() -> None:
    error = sampan.NotFoundError("pull x: gone", operation="pull", subject="x", errno=2, hint="look elsewhere")
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.kind, copy.errno, copy.subject, copy.hint, str(copy)) == ("not_found", 2, "x", error.hint, str(error))
    assert isinstance(error, FileNotFoundError) and isinstance(error, sampan.Error)
    assert all(kind.kind == word for word, kind in _exceptions.by_kind.items())


def test_an_engine_pickles(empty: sampan.Engine) -> None:
    copy = pickle.loads(pickle.dumps(empty))
    assert copy.info()["root"] == empty.info()["root"]


def test_an_asynchronous_engine_pickles(empty: sampan.Engine) -> None:
    engine = sampan.AsyncEngine(empty.info()["root"], rung="chroot")
    copy = pickle.loads(pickle.dumps(engine))
    assert copy._arguments == engine._arguments and copy.run == copy.containers.run


def test_import_is_light() -> None:
    """No asyncio, no typing: an import costs milliseconds."""
    import subprocess

    code = "import sys; before = set(sys.modules); import sampan; print(*sorted(set(sys.modules) - before))"
    loaded = subprocess.run([sys.executable, "-Sc", code], capture_output=True, text=True, env=_bare()).stdout.split()
    assert "sampan" in loaded
    heavy = {"asyncio", "typing", "json", "shlex", "datetime", "argparse", "re", "inspect", "IPython", "tqdm", "rich"}
    assert not heavy & set(loaded)


def _bare() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(pathlib.Path(sampan.__file__).parents[1])}


def test_elsewhere_than_on_linux_the_import_says_what_is_missing() -> None:
    import subprocess

    code = "import sys; sys.platform = 'darwin'; import sampan"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr.splitlines()[-1]
    assert said.startswith("ImportError: sampan runs containers on the Linux kernel, which darwin lacks")

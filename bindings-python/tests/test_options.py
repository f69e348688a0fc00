"""What is handy in Python becomes what the engine takes."""

from __future__ import annotations

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
    """The native side names every field it knows when it refuses one."""
    with pytest.raises(sampan.InvalidArgumentError) as caught:
        empty.containers.run("image", no_such_option=1)  # type: ignore
    told = str(caught.value)
    keywords = set(get_type_hints(_keywords.RunKeywords)) - {"volumes", "tmpfs", "ports"}
    missing = {name for name in keywords if f"`{name}`" not in told}
    assert not missing


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

"""The fixtures that the package gives to pytest."""

from __future__ import annotations

import pathlib

import pytest
import sampan

pytest_plugins = ["pytester"]


def test_the_fixture_starts_and_removes(pytester: pytest.Pytester, engine: sampan.Engine, image: str) -> None:
    root = engine.info()["root"]
    pytester.makepyfile(f"""
        def test_it(sampan_container):
            c = sampan_container({image!r}, ["sh", "-c", "echo up; exec sleep 60"], ready="up",
                                 labels={{"of": "plugin"}})
            assert c.status == "running"
    """)
    result = pytester.runpytest_subprocess("--sampan-root", str(pathlib.Path(root)))
    result.assert_outcomes(passed=1)
    assert not engine.containers.list(all=True, filters={"label": "of=plugin"})

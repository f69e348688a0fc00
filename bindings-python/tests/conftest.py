"""A registry on loopback with a busybox image, and an engine on a store of its own."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator

import pytest
import sampan

IMAGES = pathlib.Path(__file__).resolve().parents[2] / "tests" / "lib" / "images.sh"


@pytest.fixture(scope="session")
def image() -> Iterator[str]:
    """The image of `SAMPAN_TEST_IMAGE`, or one that a registry of our own serves."""
    given = os.environ.get("SAMPAN_TEST_IMAGE")
    if given:
        yield given
        return
    directory = tempfile.mkdtemp(prefix="sampan-registry-")
    # It ends when its standard input closes.
    command = ["bash", str(IMAGES), "serve", directory, "busybox"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None and server.stdin is not None
        address = server.stdout.readline().strip()
        assert address, "the registry did not start"
        yield f"{address}/busybox:latest"
        server.stdin.close()
        server.wait()
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def registry(image: str) -> str:
    """`127.0.0.1:PORT`."""
    return image.partition("/")[0]


@pytest.fixture(scope="session")
def store() -> Iterator[pathlib.Path]:
    directory = pathlib.Path(tempfile.mkdtemp(prefix="sampan-store-"))
    yield directory
    for container in sampan.Engine(directory / "root", run_dir=directory / "run").containers.list(all=True):
        container.remove(force=True, volumes=True)
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def engine(store: pathlib.Path, image: str) -> Iterator[sampan.Engine]:
    """An engine that has the image."""
    with sampan.Engine(store / "root", run_dir=store / "run") as engine:
        engine.images.pull(image, progress=False)
        yield engine


@pytest.fixture
def empty(tmp_path: pathlib.Path) -> sampan.Engine:
    """An engine on an empty store."""
    return sampan.Engine(tmp_path / "root", run_dir=tmp_path / "run")

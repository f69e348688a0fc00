"""Fixtures for pytest; the plugin is found by itself once sampan is installed.

- `sampan_engine`: the engine of the whole session; `--sampan-root` names another store.
- `sampan_container`: starts containers that are removed after the test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from . import Container, Engine


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds `--sampan-root`."""
    group = parser.getgroup("sampan")
    group.addoption("--sampan-root", default=None, help="store of images and containers for the sampan fixtures")


@pytest.fixture(scope="session")
def sampan_engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """The engine of the whole session."""
    import sampan

    with sampan.Engine(request.config.getoption("--sampan-root")) as engine:
        yield engine


@pytest.fixture
def sampan_container(sampan_engine: Engine) -> Iterator[Callable[..., Container]]:
    """Starts containers: `sampan_container("redis:7", ready="Ready to accept connections")`.

    They are removed after the test, last one first; when the test failed their logs are in its report.
    """
    started: list[Container] = []

    def start(image: str, command: Any = None, *, ready: Any = None, **options: Any) -> Container:
        container = sampan_engine.container(image, command, progress=False, **options)
        started.append(container)
        if ready is not None:
            container.wait_ready(log=ready)
        return container

    yield start
    for container in reversed(started):
        print(f"--- log of container {container.short_id} ---")
        print(_last_lines(container), end="")
        container.close()


def _last_lines(container: Container) -> str:
    from . import Error

    try:
        return container.logs(tail=50).read()
    except Error as error:
        return f"{error}\n"

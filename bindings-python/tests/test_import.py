"""What `import sampan` costs, and that what is left for later is there all the same."""

from __future__ import annotations

import subprocess
import sys

import sampan

LOADED = """
import sys
before = set(sys.modules)
import sampan
print(*sorted(set(sys.modules) - before))
"""

SEEN = """
import sampan, sys
listed = dir(sampan)
assert "asyncio" not in sys.modules
from sampan import *
assert set(sampan.__all__) <= set(listed) and set(sampan.__all__) <= set(globals())
assert AsyncEngine is sampan.AsyncEngine is sampan._async.AsyncEngine
try:
    sampan.AsyncNothing
except AttributeError as error:
    print(error)
"""


def fresh(code: str) -> str:
    """What an interpreter prints that has loaded nothing yet."""
    return subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True).stdout


def test_an_import_loads_nothing_but_the_package() -> None:
    # asyncio, typing, dataclasses, contextlib, json, …: each takes as long as all of this package.
    loaded = set(fresh(LOADED).split())
    assert "sampan._sampan" in loaded
    foreign = {name for name in loaded if name.partition(".")[0] != "sampan"}
    # What is compiled into the interpreter is there already.
    assert foreign - set(sys.builtin_module_names) <= {"__future__"}


def test_what_is_loaded_late_is_there_all_the_same() -> None:
    assert fresh(SEEN) == "module 'sampan' has no attribute 'AsyncNothing'\n"
    assert {"AsyncEngine", "AsyncContainer", "AsyncExec", "AsyncImage"} <= set(sampan.__all__)

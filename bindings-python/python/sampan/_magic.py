"""`%%container IMAGE`: a notebook's cell, run in a container."""

from __future__ import annotations

import sys

from ._exceptions import Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

_USAGE = "usage: %%container [-i INTERPRETER] [-e KEY=VALUE]… [-v SOURCE:TARGET[:ro]]… [-w DIR] [--network NAME] IMAGE"


def register(shell: Any) -> None:
    """Gives the magic to a shell."""
    shell.register_magic_function(container_magic, "cell", "container")


def container_magic(line: str, cell: str) -> None:
    """Runs the cell by an interpreter of the image, `/bin/sh` by default, and prints what it writes as it comes."""
    from . import _default

    asked = _parse(line)
    interpreter = asked.pop("interpreter")
    image = asked.pop("image")
    # The cell is an argument, not standard input, so that the script may read that itself.
    engine = _default.engine()
    command = [*interpreter.split(), "-c", cell]
    with engine.container(image, command, entrypoint=[""], **asked) as container:
        for entry in container.log_entries(follow=True):
            print(entry.text, end="", file=sys.stderr if entry.stream == "stderr" else sys.stdout, flush=True)
        code = container.wait().code
    if code:
        print(f"exit code {code}", file=sys.stderr)


def _parse(line: str) -> dict[str, Any]:
    import argparse
    import shlex

    class Parser(argparse.ArgumentParser):
        def error(self, message: str) -> NoReturn:
            raise Error(f"{message}; {_USAGE}", operation="read cell options", subject=line, hint=_USAGE)

    parser = Parser(prog="%%container", add_help=False)
    parser.add_argument("-i", "--interpreter", default="/bin/sh")
    parser.add_argument("-e", "--env", action="append", default=[])
    parser.add_argument("-v", "--volume", action="append", default=[], dest="volumes")
    parser.add_argument("-w", "--workdir")
    parser.add_argument("--network")
    parser.add_argument("image")
    return vars(parser.parse_args(shlex.split(line)))

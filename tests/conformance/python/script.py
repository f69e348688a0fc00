"""The cases of a file: lines of words."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

# A word is made of plain parts and quoted ones, in which everything stands for itself.
_WORD = re.compile(r"""(?:[^\s'"]|'[^']*'|"[^"]*")+""")
_QUOTED = re.compile(r"""'([^']*)'|"([^"]*)\"""")


@dataclass
class Line:
    """One line, and where it stands."""

    place: str
    words: list[str]


@dataclass
class Case:
    """A case."""

    id: str
    lines: list[Line] = field(default_factory=list)


def read(path: Path) -> list[Case]:
    """The cases of a file."""
    cases: list[Case] = []
    for number, text in enumerate(path.read_text().splitlines(), 1):
        if not text.strip() or text.startswith("#"):
            continue
        words = [_QUOTED.sub(lambda m: m[1] or m[2] or "", word) for word in _WORD.findall(text)]
        if words[0] == "case":
            cases.append(Case(words[1]))
        else:
            cases[-1].lines.append(Line(f"{path.name}:{number}", words))
    return cases

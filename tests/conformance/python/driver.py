"""The conformance driver of Python; what it does is told in tests/conformance/README.md."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import sampan
from calls import Call
from script import Case, Line, read
from values import Schema, find, show

FACTS = ("image", "registry", "root", "run", "dir")


class Broken(Exception):
    """A line does not hold."""


class World:
    """What a case can name, and the lines of a case, one by one."""

    def __init__(self, schema: Schema, scratch: Path, image: str) -> None:
        self.schema, self.scratch, self.image = schema, scratch, image
        self.rung = os.environ.get("SAMPAN_TEST_RUNG")
        self.engine = sampan.Engine(scratch / "root", run_dir=scratch / "run", rung=self.rung)
        self.engine.images.pull(image, progress=False)
        self.names: dict[str, Any] = {}
        self.events: list[Any] = []
        self.cases = 0

    def run(self, case: Case) -> bool:
        """False when the case is not for this host."""
        directory = self.begin()
        try:
            ran = all(self.placed(line) for line in case.lines)
        finally:
            left = self.clean()
            # Layers of a store below it may belong to other ids; whoever made the scratch directory removes those.
            shutil.rmtree(directory, ignore_errors=True)
        if left:
            raise Broken(f"{case.id}: a container is left")
        return ran

    def begin(self) -> Path:
        self.cases += 1
        directory = self.scratch / f"case-{self.cases}"
        directory.mkdir()
        registry = self.image.partition("/")[0]
        facts = (self.image, registry, self.scratch / "root", self.scratch / "run", directory)
        self.names = {name: str(fact) for name, fact in zip(FACTS, facts)}
        self.names["e"] = self.engine
        return directory

    def placed(self, line: Line) -> bool:
        try:
            return self.line([self.filled(word) for word in line.words])
        except Exception as error:
            raise Broken(f"{line.place}: {error!r}") from error

    def line(self, words: list[str]) -> bool:
        if words[0] == "needs":
            return show(find(self.engine.info(), words[1])) in words[2:]
        if words[0] == "expect":
            self.expect(words[1], words[2], words[3] if len(words) > 3 else "")
        elif words[0] == "fails":
            self.fails(words[1], words[2:])
        elif words[1:2] == ["="]:
            self.names[words[0]] = self.call(words[2:])
        else:
            self.call(words)
        return True

    def call(self, words: list[str]) -> Any:
        call = Call(self, words)
        try:
            return call.make()
        finally:
            self.events = call.events

    def fails(self, kind: str, words: list[str]) -> None:
        try:
            self.call(words)
        except sampan.Error as error:
            self.names["error"] = error
            if error.kind != kind:
                raise
        else:
            raise Broken("it did not fail")

    def expect(self, path: str, verb: str, want: str) -> None:
        got = self.show(path)
        holds = {
            "is": got == want,
            "not": got != want,
            "has": want in got,
            "lacks": want not in got,
            "begins": got.startswith(want),
            "ends": got.endswith(want),
        }
        if not holds[verb]:
            raise Broken(f"expected {path} {verb} {want}, got {got}")

    def show(self, path: str) -> str:
        name, _, rest = path.partition(".")
        value = self.events if name == "events" else self.names[name]
        return show(find(value, rest))

    def filled(self, word: str) -> str:
        before, found, after = word.partition("%{")
        if not found:
            return word
        path, _, after = after.partition("}")
        return before + self.show(path) + self.filled(after)

    def clean(self) -> int:
        """Removes what a case has left in the store, and tells how much it was."""
        left = self.engine.containers.list(all=True)
        for container in left:
            container.remove(force=True, volumes=True)
        return len(left)


def main(cases: str, scratch: str, part: str = "") -> int:
    world = World(Schema(os.environ["SAMPAN_TEST_API"]), Path(scratch), os.environ["SAMPAN_TEST_IMAGE"])
    passed = failed = skipped = 0
    for case in (case for file in sorted(Path(cases).iterdir()) for case in read(file) if part in case.id):
        try:
            ran = world.run(case)
        except Broken as why:
            failed += 1
            print(f"FAILED {case.id}: {why}", flush=True)
        else:
            passed, skipped = passed + ran, skipped + (not ran)
            print(f"{'ok' if ran else 'skipped'} {case.id}", flush=True)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

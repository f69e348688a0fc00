"""Records by their schema: from the words of a case to options, and from results to text that can be compared."""

from __future__ import annotations

import json
import re
from typing import Any

import sampan

_SCALARS = {"bool": {"true": True, "false": False}.__getitem__, "f64": float}
_SCALARS.update(dict.fromkeys(("i32", "i64", "u32", "u64"), int))


class Schema:
    """core/api.json: the members of every record and their types."""

    def __init__(self, path: str) -> None:
        with open(path) as file:
            api = json.load(file)
        self.records = {r["name"]: {f["name"]: f["type"] for f in r["fields"]} for r in api["records"]}

    def options(self, record: str, words: list[tuple[str, str]]) -> dict[str, Any]:
        """A record of options from words `field.key=text`."""
        options: dict[str, Any] = {}
        for path, text in words:
            self._put(options, record, path, text)
        return options

    def _put(self, into: dict[str, Any], record: str, path: str, text: str) -> None:
        name, _, rest = path.partition(".")
        kind = re.sub(r"^option<(.*)>$", r"\1", self.records[record][name])
        inner = re.fullmatch(r"list<(.*)>", kind)
        if kind == "map":
            into.setdefault(name, {})[rest] = text
        elif kind == "list<string>":
            into.setdefault(name, []).append(text)
        elif inner:
            index, _, member = rest.partition(".")
            items = into.setdefault(name, [])
            if len(items) == int(index):
                items.append({})
            self._put(items[-1], inner[1], member, text)
        elif kind == "bytes":
            into[name] = unescape(text)
        else:
            into[name] = _SCALARS.get(kind, str)(text)


def find(value: Any, path: str) -> Any:
    """The member of a value that a path leads to."""
    while path:
        if isinstance(value, dict) and path in value:
            return value[path]
        name, _, path = path.partition(".")
        if name == "len":
            value = len(value)
        elif isinstance(value, list):
            value = value[-1 if name == "last" else int(name)]
        elif isinstance(value, dict):
            value = value[name]
        else:
            value = getattr(value, name)
    return value


def show(value: Any) -> str:
    """A value as a case has it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return f"{value:g}" if isinstance(value, float) else str(value)
    if isinstance(value, list):
        return " ".join(map(show, value))
    if isinstance(value, (str, bytes)):
        return escape(value.encode() if isinstance(value, str) else value)
    raise TypeError(f"{value!r} is not a plain value")


_NAMED = {ord("\n"): "\\n", ord("\t"): "\\t", ord("\\"): "\\\\"}


def escape(data: bytes) -> str:
    """Printable ASCII but for `\\n`, `\\t`, `\\\\` and `\\xNN`."""
    return "".join(_NAMED.get(b) or (chr(b) if 32 <= b < 127 else f"\\x{b:02x}") for b in data)


def unescape(text: str) -> bytes:
    """The bytes that `escape` would have shown as this."""
    plain = {"n": b"\n", "t": b"\t", "\\": b"\\"}
    parts = re.split(r"\\(x[0-9a-f]{2}|[nt\\])", text)
    data = [plain.get(part) or bytes([int(part[1:], 16)]) if at % 2 else part.encode() for at, part in enumerate(parts)]
    return b"".join(data)


class Log:
    """What `logs` gives to a case."""

    def __init__(self, entries: list[sampan.LogEntry]) -> None:
        self.entries = entries
        self.stdout = b"".join(e.data for e in entries if e.stream == "stdout")
        self.stderr = b"".join(e.data for e in entries if e.stream == "stderr")

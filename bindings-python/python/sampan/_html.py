"""How images and containers look in a notebook."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; every cell is escaped, since names and commands come from strangers."""
    from html import escape

    def row(tag: str, cells: Sequence[object]) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(str(cell))}</{tag}>" for cell in cells) + "</tr>"

    body = "".join(row("td", cells) for cells in rows)
    return f"<table><thead>{row('th', head)}</thead><tbody>{body}</tbody></table>"


def bytes_text(count: int) -> str:
    """`1.5 MB`, in powers of ten as Docker writes them."""
    number, units = float(count), ["TB", "GB", "MB", "kB", "B"]
    while number >= 1000 and len(units) > 1:
        number /= 1000
        units.pop()
    return f"{number:.3g} {units[-1]}"


def command_text(command: Sequence[str], width: int = 60) -> str:
    """A command as one would type it, cut when it is long."""
    import shlex

    text = " ".join(shlex.quote(word) for word in command)
    return text if len(text) <= width else text[: width - 1] + "…"

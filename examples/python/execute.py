"""Executes a notebook in a kernel of this Python and prints what each cell has shown:

    python execute.py NOTEBOOK [EXECUTED]

With a second name the notebook is written there with its outputs. A cell that raises ends it.
"""

from __future__ import annotations

import sys

import nbformat
from nbclient import NotebookClient


def shown(output: nbformat.NotebookNode) -> str:
    """What one sees of an output."""
    if output.output_type == "stream":
        return output.text
    return output.get("data", {}).get("text/plain", "")


def tidy(notebook: nbformat.NotebookNode) -> None:
    """Leaves out what is only of this run: when a cell ran, and with which Python."""
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    notebook.metadata.pop("language_info", None)


def main(source: str, target: str | None) -> None:
    notebook = nbformat.read(source, as_version=4)
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            print(f"\n{cell.source}")
            continue
        print("".join(f"  > {line}\n" for line in cell.source.splitlines()), end="")
        for output in cell.outputs:
            print(shown(output).rstrip("\n"))
    if target:
        tidy(notebook)
        nbformat.write(notebook, target)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)

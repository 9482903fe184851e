"""A chapter, run: its cells one after another, and what each of them showed."""

import contextlib
import linecache
import time
from pathlib import Path
from typing import Any, NamedTuple

import jupytext

from experiments.tutorial.shown import Claim, Output

FOLDER = Path(__file__).parent


class Piece(NamedTuple):
    """A cell and what came of it.

    text    Markdown, or Python.
    code    whether it is Python.
    tags    "solution": the page folds it away; "claim": the page leaves its code out.
    things  what it printed (str) and showed (figures, tables), in order.
    """

    text: str
    code: bool
    tags: tuple[str, ...]
    things: list[Any]


class Chapter(NamedTuple):
    """A chapter that was run."""

    name: str
    title: str
    pieces: list[Piece]
    claims: list[Claim]
    seconds: float


def run_chapter(name: str, small: bool = False, weights: str = "") -> Chapter:
    """Runs a chapter's cells in one namespace. A cell that fails raises its own error.

    What is given takes the place of what the cell tagged `parameters` has set, as
    papermill does it: SMALL shrinks sizes to what the tests can afford, WEIGHTS is a
    file of the tutorial's own weights.
    """
    began = time.perf_counter()
    notebook: Any = jupytext.read(FOLDER / f"{name}.py")
    space: dict[str, Any] = {"__name__": f"chapter_{name}"}
    pieces, given = [], {"SMALL": small, "WEIGHTS": weights}
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "raw":
            continue
        tags, output = cell.metadata.get("tags", []), Output()
        if cell.cell_type == "code":
            run_cell(cell.source, f"<{name}, cell {number}>", space, output)
            if "parameters" in tags:
                space |= {k: v for k, v in given.items() if k in space}
        code = cell.cell_type == "code"
        pieces.append(Piece(cell.source, code, tuple(tags), output.things))
    seconds = time.perf_counter() - began
    title = pieces[0].text.splitlines()[0].removeprefix("# ")
    return Chapter(name, title, pieces, list(space["claims"]), seconds)


def run_cell(source: str, where: str, space: dict[str, Any], output: Output) -> None:
    """Runs one cell; a traceback shows its lines."""
    lines = source.splitlines(keepends=True)
    linecache.cache[where] = (len(source), None, lines, where)
    with contextlib.redirect_stdout(output):
        exec(compile(source, where, "exec"), space)

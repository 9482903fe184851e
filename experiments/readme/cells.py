"""The README's table of cells: their names, their forms, their papers and claims."""

from lm.cells import CELLS, make_cell
from lm.cells.papers import PAPERS, Paper
from lm.types import Cell


def cells() -> str:
    """A Markdown table, a line for each paper, by families."""
    lines = ["| cell | form | paper | its claim |", "| --- | --- | --- | --- |"]
    for family, papers in PAPERS.items():
        lines.append(f"| **{family}** | | | |")
        lines += [_line(paper) for paper in papers]
    named = {name for papers in PAPERS.values() for p in papers for name in p.cells}
    rest = tuple(name for name in CELLS if name not in named)
    lines += [_line(Paper((name,), "", "")) for name in rest]
    return "\n".join(lines) + "\n"


def _line(paper: Paper) -> str:
    names = ", ".join(f"`{name}`" for name in paper.cells)
    forms = dict.fromkeys(form(make_cell(name, 4)) for name in paper.cells)
    return f"| {names} | {', '.join(forms)} | {paper.source} | {paper.claim} |"


def form(cell: Cell) -> str:
    """The most specific form that a cell has."""
    if cell.coefficients is not None:
        return "linear"
    return "factored" if cell.pointwise is not None else "general"

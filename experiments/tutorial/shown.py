"""What a chapter shows: figures, tables, and claims beside what was measured.

A chapter runs in three places: under `python -m experiments.tutorial`, which puts what
is shown onto a page; in a notebook, which shows it below the cell; and as a script,
which prints it.
"""

import io
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from experiments.figures.page import table_block
from experiments.figures.style import reading_of
from experiments.gradients.study import Table, aligned
from experiments.results.rows import machine, rows

try:
    from IPython import get_ipython  # type: ignore[import-not-found]
    from IPython.display import display  # type: ignore[import-not-found]
except ImportError:  # no notebook

    def get_ipython() -> Any:
        """Nothing: there is no notebook."""
        return None

    display = print

HOLDS = {True: "yes", False: "no", None: "–"}


class Grid:
    """A table, as a notebook, a page and a terminal show it.

    head  the columns' names.
    rows  of texts and numbers, as long as the head.
    """

    def __init__(self, head: Sequence[str], rows: Iterable[Sequence[Any]]):
        self.head, self.rows = list(head), [list(row) for row in rows]

    def _repr_html_(self) -> str:
        return table_block(self.head, self.rows, numbers=False)

    def __str__(self) -> str:
        return aligned(Table(self.head, [[str(c) for c in row] for row in self.rows]))


class Claim(NamedTuple):
    """What the original says, and what was measured.

    what      of what.
    original  its number, or its words.
    measured  ours, made of values of the chapter.
    holds     whether it was confirmed; None: nothing to confirm.
    """

    what: str
    original: str
    measured: str
    holds: bool | None

    @property
    def row(self) -> list[str]:
        """The claim as cells of a table."""
        return [self.what, self.original, self.measured, HOLDS[self.holds]]


CLAIM_HEAD = ("", "the original says", "we measured", "holds")


class Claims(list[Claim]):
    """The claims of a chapter, in its order."""

    def add(
        self, what: str, original: str, measured: Any, holds: Any | None = None
    ) -> None:
        """One more."""
        sure = None if holds is None else bool(holds)
        self.append(Claim(what, original, str(measured), sure))

    def number(self, what: str, original: str, measured: float) -> None:
        """One that holds where the numbers are the same in all digits given."""
        digits = len(original.partition(".")[2])
        ours = f"{measured:.{digits}f}"
        self.add(what, original, ours, ours == original)

    def table(self) -> Grid:
        """All of them."""
        return Grid(CLAIM_HEAD, [claim.row for claim in self])


def elsewhere(chapter: int, what: str) -> str:
    """What was measured of a claim where that chapter alone was recorded, and on what;
    nothing where it never was."""
    row = rows().get(f"tutorial_{chapter}")
    if row is None:
        return ""
    (measured,) = (c[3] for c in row["metrics"]["claims"] if c[1] == what)
    return f"; {machine(row)}: {measured}"


class Output(io.TextIOBase):
    """Standard output of a cell: printed text, and what was shown, in order."""

    def __init__(self):
        self.things: list[Any] = []

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, text: str, /) -> int:
        """Printed text joins what was printed just before."""
        if self.things and isinstance(self.things[-1], str):
            self.things[-1] += text
        else:
            self.things.append(text)
        return len(text)

    def show(self, thing: Any) -> None:
        """A figure or a table."""
        self.things.append(thing)


def show(*things: Any) -> None:
    """Shows figures and tables wherever the chapter runs."""
    for thing in things:
        if isinstance(sys.stdout, Output):
            sys.stdout.show(thing)
        elif get_ipython() is not None:
            display(thing)
        elif isinstance(thing, Figure):
            print(f"[figure: {reading_of(thing)}]")
        else:
            print(thing)

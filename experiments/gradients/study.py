"""What a study is: a question, the answer expected, and a function that finds one."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple


class Table(NamedTuple):
    """Column heads, and rows of texts as long as the heads."""

    head: Sequence[str]
    body: Sequence[Sequence[str]]


class Result(NamedTuple):
    """What a study found.

    headline  one sentence with the numbers found; it says so where the answer is not
              the expected one.
    rows      a dict of JSON values for each variant.
    table     what is printed of the rows.
    figure    a matplotlib Figure.
    """

    headline: str
    rows: list[dict[str, Any]]
    table: Table
    figure: Any


class Job(NamedTuple):
    """How a study is run: where its runs go, how many seeds of each variant, what shows
    the work, and how many runs at once."""

    directory: Path
    seeds: int
    display: Any
    processes: int = 1


class Study(NamedTuple):
    """One study. Nothing heavy is imported before `run` is called.

    name   as on the command line.
    asks   the question, in a line.
    sizes  the study's settings by the name of a size; "small" is there, and fits a
           few minutes of one core. Each is a frozen record, its docstring the
           expected answer, with a field `seeds`.
    run    (settings, job) -> Result. Every run is a run directory below the job's: a
           finished one is read, a begun one goes on. Raises `Interrupted` where a
           signal stopped it.
    """

    name: str
    asks: str
    sizes: Mapping[str, Any]
    run: Callable[[Any, Job], Result]


class Interrupted(Exception):
    """A signal came; what was trained is saved, and the same command goes on."""


def expected(study: Study) -> str:
    """The answer that was expected before the study was run."""
    return (study.sizes["small"].__doc__ or "").strip()


def aligned(table: Table) -> str:
    """The table as text: first column to the left, the others to the right."""
    rows = [list(table.head), *map(list, table.body)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, ["─" * width for width in widths])
    lines = []
    for first, *rest in rows:
        cells = [c.rjust(w) for c, w in zip(rest, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *cells]).rstrip())
    return "\n".join(lines)

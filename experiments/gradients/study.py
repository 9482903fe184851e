"""What a study is: a question, the answer expected, and a function that finds one."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments.console.interrupts import Interrupt


class Table(NamedTuple):
    """Column heads, and rows of texts as long as the heads."""

    head: Sequence[str]
    body: Sequence[Sequence[str]]


class Result(NamedTuple):
    """What a study found.

    headline  what the rows say, in a sentence.
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
    the work, how many runs at once, and whether a signal came."""

    directory: Path
    seeds: int
    display: Any
    processes: int = 1
    stop: Interrupt = Interrupt()


class Study(NamedTuple):
    """One study; its question stands in the registry.

    expects  the answer that was expected before the study was run.
    sizes    the study's settings by the name of a size; "small" is there, and fits a
             few minutes of one core. Each is a frozen record with a field `seeds`.
    run      (settings, job) -> Result. Every run is a run directory below the job's: a
             finished one is read, a begun one goes on. Raises `Interrupted` where a
             signal stopped it.
    headline (rows) -> one sentence of at most 30 words with the numbers found, which
             says whether they were expected: of rows as `run` makes them, and as they
             are recorded, without their curves.
    usual    the size where the command says none.
    own_rows what the names of its rows in experiments/results begin with, where `run`
             writes them, one a variant; "": `--record` writes all as `study_NAME`.
    """

    expects: str
    sizes: Mapping[str, Any]
    run: Callable[[Any, Job], Result]
    headline: Callable[[Sequence[dict[str, Any]]], str]
    usual: str = "small"
    own_rows: str = ""


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

"""Rows as tables in Markdown."""

from collections.abc import Iterable
from typing import Any

from experiments.results.rows import Row, machine


def markdown(head: Iterable[str], lines: Iterable[Iterable[Any]]) -> str:
    """A Markdown table, ended by a newline."""
    head = list(head)
    rows = [head, ["---"] * len(head), *([str(c) for c in line] for line in lines)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def measured(row: Row) -> str:
    """Command, duration and machine."""
    seconds = row["seconds"]
    took = f"{seconds / 60:.0f} min" if seconds >= 60 else f"{seconds:.0f} s"
    return f"`{row['command']}`, {took} on {machine(row)}"

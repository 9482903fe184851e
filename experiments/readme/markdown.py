"""Tables in Markdown, and the marks between which they stand."""

from collections.abc import Iterable
from typing import Any

from experiments.results.rows import Row, machine
from experiments.run.files import RunError


def markdown(head: Iterable[str], lines: Iterable[Iterable[Any]]) -> str:
    """A Markdown table, ended by a newline."""
    head = list(head)
    rows = [head, ["---"] * len(head), *([str(c) for c in line] for line in lines)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def measured(row: Row) -> str:
    """Command, duration and machine."""
    return f"`{row['command']}`, {row['seconds'] / 60:.0f} min on {machine(row)}"


def with_tables(readme: str, tables: dict[str, str]) -> str:
    """The README's text with each generated table put between its two marks."""
    for name, table in tables.items():
        begin, end = f"<!-- table: {name} -->\n", f"<!-- end: {name} -->"
        if begin not in readme or end not in readme:
            raise RunError(f"README.md has no marks for the table {name!r}: {begin}")
        head, _, rest = readme.partition(begin)
        tail = rest.partition(end)[2]
        readme = f"{head}{begin}{table}{end}{tail}"
    return readme

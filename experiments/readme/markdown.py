"""Tables in Markdown, and the marks between which they stand."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from experiments.results.rows import Row, machine
from experiments.run.files import RunError

MARKED = re.compile(r"<!-- table: (\w+) -->\n(?:(.*?)<!-- end: \1 -->)?", re.DOTALL)


def markdown(head: Iterable[str], lines: Iterable[Iterable[Any]]) -> str:
    """A Markdown table, ended by a newline."""
    head = list(head)
    rows = [head, ["---"] * len(head), *([str(c) for c in line] for line in lines)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def measured(row: Row) -> str:
    """Command, duration and machine."""
    return f"`{row['command']}`, {row['seconds'] / 60:.0f} min on {machine(row)}"


def marks(text: str) -> list[str]:
    """Names of the tables that a README has marks for, in its order."""
    return [found[1] for found in MARKED.finditer(text)]


def with_tables(text: str, tables: Mapping[str, str], where: str = "README.md") -> str:
    """A README's text with a generated table between each two marks of its name.

    Raises:
      RunError: where a mark names no table, or has no end.
    """

    def table(found: re.Match[str]) -> str:
        name = found[1]
        if name not in tables:
            raise RunError(
                f"{where} has a mark for a table {name!r} that is not made "
                f"(made are {', '.join(sorted(tables))})"
            )
        if found[2] is None:
            raise RunError(
                f"{where}: the table {name!r} lacks its <!-- end: {name} -->"
            )
        return f"<!-- table: {name} -->\n{tables[name]}<!-- end: {name} -->"

    return MARKED.sub(table, text)

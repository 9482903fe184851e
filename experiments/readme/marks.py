"""The marks of a README between which its generated tables stand."""

import re
from collections.abc import Mapping

from experiments.run.files import RunError

MARKED = re.compile(r"<!-- table: (\w+) -->\n(?:(.*?)<!-- end: \1 -->)?", re.DOTALL)


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

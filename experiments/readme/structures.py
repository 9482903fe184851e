"""The README's table of structures around cells: their names, and what they are."""

from functools import partial

from lm.structure import STRUCTURES, WHOLE, Structure


def structures() -> str:
    """A Markdown table: a line for each name, with the docstring of what makes it."""
    lines = ["| `--model.structure` | what it is |", "| --- | --- |"]
    lines += [f"| `{name}` | {told(make)} |" for name, make in STRUCTURES.items()]
    lines += [
        f"| `--model.cell {name}` | {told(make)} |" for name, make in WHOLE.items()
    ]
    return "\n".join(lines) + "\n"


def told(make: Structure) -> str:
    """The first paragraph of its docstring, in one line."""
    function = make.func if isinstance(make, partial) else make
    whole = (function.__doc__ or "").strip()
    return " ".join(whole.split("\n\n")[0].split())

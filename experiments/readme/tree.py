"""The README's list of files: one line each, the first of the file's docstring."""

import ast
from pathlib import Path

from experiments.run.provenance import ROOT

PACKAGES = ("lm", "data_pipeline", "experiments")


def tree(root: Path = ROOT) -> str:
    """Every module of the three packages with its first line, as a Markdown block."""
    lines = []
    for package in PACKAGES:
        paths = sorted((root / package).rglob("*.py"), key=lambda p: _order(root, p))
        for path in paths:
            about = first_line(path)
            if about:
                lines.append((str(path.relative_to(root)), about))
    width = max(len(name) for name, _ in lines)
    return "".join(["```\n", *(f"{n:{width}}  {a}\n" for n, a in lines), "```\n"])


def first_line(path: Path) -> str:
    """The first line of a module's docstring; empty where there is none."""
    found = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    return (found or "").partition("\n")[0]


def _order(root: Path, path: Path) -> tuple[int, str]:
    """Files before folders, each by name."""
    relative = path.relative_to(root)
    return len(relative.parts), str(relative)

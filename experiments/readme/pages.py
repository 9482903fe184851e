"""The READMEs, each with its generated parts: tables of rows, and its list of files."""

import os
import re
from pathlib import Path

from experiments.readme.cells import cells
from experiments.readme.marks import marks, with_tables
from experiments.readme.structures import structures
from experiments.readme.tables import tables
from experiments.readme.tree import readmes, tree
from experiments.results.rows import rows
from experiments.run.files import RunError
from experiments.run.provenance import ROOT

LINK = re.compile(r"\]\((experiments/[^)]*)\)")


def generated(root: Path = ROOT) -> dict[Path, str]:
    """Each README's path and its text with all tables made anew.

    Raises:
      RunError: where a README has a mark for no table, or a table no mark in any.
    """
    made, texts, marked = tables(rows()), {}, set()
    for path in readmes(root):
        text = path.read_text(encoding="utf-8")
        folder = path.parent.relative_to(root)
        parts = {name: _seen_from(folder, table) for name, table in made.items()}
        for name, table in (("cells", cells), ("structures", structures)):
            parts |= {name: table()} if name in marks(text) else {}
        if "files" in marks(text):  # not at the root, where .venv lies
            parts["files"] = tree(path.parent)
        texts[path] = with_tables(text, parts, path.relative_to(root).as_posix())
        marked |= set(marks(text))
    if missing := made.keys() - marked:
        raise RunError(f"no README has marks for the tables {', '.join(missing)}")
    return texts


def _seen_from(folder: Path, table: str) -> str:
    """A table with its links, which start at the root, as they are from a folder."""
    return LINK.sub(lambda found: f"]({os.path.relpath(found[1], folder)})", table)

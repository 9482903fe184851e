"""The READMEs' lists of files: each with the first sentence of its docstring."""

import ast
import re
from pathlib import Path

PACKAGES = ("lm", "data_pipeline", "experiments")
SENTENCE = re.compile(r".*?[.?!](?=\s+[A-Z`(‖∂]|$)", re.DOTALL)


def readmes(root: Path) -> list[Path]:
    """The project's READMEs: its own, and those of its packages and their rooms."""
    rooms = (path for name in PACKAGES for path in (root / name).rglob("README.md"))
    return [root / "README.md", *sorted(rooms)]


def tree(folder: Path) -> str:
    """What lies in a folder, a line each: its files, and those of folders without a
    README of their own; of a folder with one, that it is there."""
    lines = []
    for path in sorted(folder.rglob("*.py"), key=lambda path: _order(folder, path)):
        room = _room(folder, path)
        name = path.relative_to(folder).as_posix()
        if room is None:
            lines.append(f"- `{name}`: {first_sentence(path)}\n")
        elif path == room / "__init__.py":
            link = room.relative_to(folder).as_posix()
            lines.append(f"- [`{link}/`]({link}/README.md): {first_sentence(path)}\n")
    return "".join(line for line in lines if not line.endswith(": \n"))


def first_sentence(path: Path) -> str:
    """The first sentence of a module's docstring; empty where there is none."""
    found = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    paragraph = " ".join(found.partition("\n\n")[0].split())
    sentence = SENTENCE.match(paragraph)
    return sentence[0] if sentence else paragraph


def _room(folder: Path, path: Path) -> Path | None:
    """The outermost folder between the two that has a README of its own."""
    between = [p for p in path.parents if folder in p.parents]
    return next((p for p in reversed(between) if (p / "README.md").exists()), None)


def _order(folder: Path, path: Path) -> tuple[int, str]:
    """Files before folders, each by name."""
    relative = path.relative_to(folder)
    return len(relative.parts), relative.as_posix()

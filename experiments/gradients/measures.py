"""What a study measured of a run: RUN/measures/STEP.npz, and by what, in made.json.

Measures are read again only where the same function with the same settings and the
same code made them.
"""

import ast
import hashlib
import inspect
import zipfile
from collections.abc import Callable, Iterable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

import lm.gradflow
from experiments.config import Config
from experiments.run.files import (
    RunError,
    note,
    plain,
    read_json,
    reading,
    write_json_atomic,
    write_npz_atomic,
)

Arrays = dict[str, Any]
Measure = Callable[[Any], Arrays]
MakeMeasure = Callable[[Config, Any, Any], Measure]
FOLDER, MADE = "measures", "made.json"


def nothing(config: Config, model: Any, dataset: Any) -> Measure:
    """`make_measure` of a study that measures nothing besides the loss."""
    return lambda params: {}


def made_by(make_measure: MakeMeasure) -> dict[str, Any]:
    """What identifies measures: a function of a module, the settings that a `partial`
    gives it by keyword, and a digest of its code and that of the instruments."""
    function, settings = make_measure, {}
    if isinstance(make_measure, partial):
        function, settings = make_measure.func, make_measure.keywords
    instruments = Path(lm.gradflow.__file__).parent.glob("*.py")
    files = (Path(inspect.getfile(function)), *sorted(instruments))
    return {
        "measure": f"{function.__module__}.{function.__qualname__}",  # type: ignore
        "settings": plain(settings),
        "code": code_of(files),
    }


@cache
def code_of(files: tuple[Path, ...]) -> str:
    """A digest of Python files that comments, blanks and docstrings do not change."""
    digest = hashlib.sha256()
    for path in files:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list):
                node.body = [n for n in body if not _only_text(n)]  # type: ignore
        digest.update(ast.dump(tree).encode())
    return digest.hexdigest()


def _only_text(node: ast.stmt) -> bool:
    """Whether a statement is a string and nothing else, as docstrings are."""
    value = node.value if isinstance(node, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def check_made(run: Path, made: dict[str, Any]) -> None:
    """Whether what was measured of a run was made so; writes nothing.

    Raises:
      RunError: where it was made otherwise.
    """
    folder = run / FOLDER
    if not folder.is_dir() or not any(folder.glob("*.npz")):
        return
    if not (folder / MADE).exists():
        note(f"{folder} is of before it was kept how measures are made: taken as it is")
        return
    old = read_json(folder / MADE)
    differ = [name for name in made if not old or old.get(name) != made[name]]
    if differ:
        told = ", ".join(f"{n} was {old.get(n)}, is {made[n]}" for n in differ)
        raise RunError(
            f"{folder} was measured otherwise: {told}; nothing was changed: give "
            "another --dir"
        )


def keep_measures(run: Path, made: dict[str, Any], step: int, arrays: Arrays) -> None:
    """measures/STEP.npz, whole or not at all."""
    folder = run / FOLDER
    if not folder.is_dir():
        folder.mkdir()
        write_json_atomic(folder / MADE, made)
    write_npz_atomic(folder / f"{step}.npz", arrays)


def read_measures(run: Path, steps: Iterable[int]) -> dict[int, Arrays]:
    """What was measured after each of these steps.

    Raises:
      RunError: where a file is damaged or not there.
    """
    found = {}
    for step in steps:
        path = run / FOLDER / f"{step}.npz"
        with reading(path):
            try:
                with np.load(path, allow_pickle=False) as arrays:
                    found[step] = dict(arrays)
            except (zipfile.BadZipFile, EOFError) as error:
                raise RunError(f"{path} is damaged ({error}): remove {run}") from None
    return found

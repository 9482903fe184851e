"""What a sweep leaves when it is done: tables, figures, the page, a result row."""

import io
import json
import resource
import shlex
import sys
from pathlib import Path
from typing import Any

import optuna
from matplotlib.figure import Figure

from experiments.figures.style import styled
from experiments.results.rows import RESULTS, portable, write_row
from experiments.run.files import RunError, plain, read_json, whole_or_nothing
from experiments.sweep.directory import write_own
from experiments.sweep.drawing import ceiling, draw, shares_of
from experiments.sweep.page import sweep_page
from experiments.sweep.rows import (
    SHOWN,
    Row,
    as_csv,
    best_by_cell,
    counted,
    first_steps,
    ranked,
    rows_of,
    told,
    varied,
)
from experiments.sweep.sampling import varied_fields
from experiments.sweep.space_file import Plan
from experiments.sweep.workers import StudyState
from lm.config import unknown

# Words of the command that only say where it was run.
LOCAL = ("--sweep-dir", "--storage", "--study", "--record")


def write(
    study: optuna.Study, plan: Plan, directory: Path, state: StudyState, row: str = ""
) -> int:
    """Prints the best, writes table.csv, table.json, sweep.html and its figures; the
    exit code. row: the figure that goes beside a result row, if one is wanted.

    Raises:
      RunError: where a file is in the way that the sweep did not write, or where it
        has no such figure.
    """
    rows, fields = rows_of(study, directory), varied_fields(plan)
    drawn = draw(study, plan, rows)
    pictures = {k: as_png(d.figure) for k, d in drawn.items() if d.figure is not None}
    for line in told(rows, fields, plan.application):
        print(line)
    for origin, reason in state.failed.items():
        print(f"trial {origin} failed: {reason}")
    files = {
        "table.csv": as_csv(rows, fields).encode(),
        "table.json": as_json(rows),
        "sweep.html": sweep_page(plan, fields, rows, drawn).encode(),
        **{f"figures/{name}.png": picture for name, picture in pictures.items()},
    }
    write_own(directory, files)
    print(f"table {directory}/table.csv, page {directory}/sweep.html")
    if row:
        if row not in pictures:
            raise RunError(unknown("figure", row, pictures))
        record(study, plan, summary(study, rows, fields), pictures[row])
    return 1 if state.failed else 0


def as_png(figure: Figure) -> bytes:
    """A figure as a file."""
    file = io.BytesIO()
    with styled():
        figure.savefig(file, format="png", dpi=100, facecolor="white")
    return file.getvalue()


def as_json(rows: list[Row]) -> bytes:
    """The rows for a program."""
    whole = json.dumps(plain(rows), indent=2, ensure_ascii=False, allow_nan=False)
    return f"{whole}\n".encode()


def add_session(study: optuna.Study, seconds: float) -> None:
    """Keeps with the study for how long this process has worked on it, and how much
    its workers have computed; a session that trained nothing is none."""
    cpu = resource.getrusage(resource.RUSAGE_CHILDREN)
    computed = cpu.ru_utime + cpu.ru_stime
    if computed < 1:
        return
    sessions = study.user_attrs.get("sessions", [])
    study.set_user_attr("sessions", [*sessions, [seconds, computed]])


def record(
    study: optuna.Study, plan: Plan, metrics: dict[str, Any], picture: bytes
) -> None:
    """Writes a result row of a finished sweep, and a figure beside it.

    Raises:
      RunError: where there is such a row already, of another space.
    """
    words = ["python", "-m", "experiments.sweep", *sys.argv[1:]]
    name, command = f"sweep_{plan.name}", portable(words, LOCAL, ("--resume",))
    path = RESULTS / f"{name}.json"
    there = space_of(read_json(path)["command"]) if path.exists() else ""
    if there not in ("", space_of(command)):
        raise RunError(
            f"{path} is the row of another space, {there}: give your space file "
            "another name"
        )
    sessions = study.user_attrs.get("sessions", [])
    metrics["worker_cpu_seconds"] = sum(cpu for _, cpu in sessions)
    write_row(name, command, sum(seconds for seconds, _ in sessions), metrics)
    with whole_or_nothing(RESULTS / f"{name}.png") as file:
        file.write(picture)
    print(f"results/{name}.json and results/{name}.png written")


def space_of(command: str) -> str:
    """The space that a recorded command swept."""
    words = shlex.split(command)[3:]
    return next((word for word in words if not word.startswith("-")), "")


def summary(study: optuna.Study, rows: list[Row], fields: list[str]) -> dict[str, Any]:
    """The numbers of a result row."""
    runs = [run for row in rows for run in row["runs"]]
    kept = ("trial", "valid", "valid_half", "test")
    return {
        "trials": counted(rows),
        "runs": len(runs),
        "training_seconds": sum(run["seconds"] for run in runs),
        **first_steps(runs),
        "best": [
            {**varied(row, fields), **{key: row[key] for key in kept}}
            for row in ranked(rows)[:SHOWN]
        ],
        "best_by_cell": best_by_cell(rows, fields),
        "importance": shares_of(study, ceiling([row["valid"] for row in ranked(rows)])),
    }

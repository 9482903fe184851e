"""What a sweep found: a table as CSV and JSON, and the page."""

import csv
import io
import resource
import shlex
import shutil
import statistics
import sys
from pathlib import Path
from typing import Any

from experiments.figures import save
from experiments.results.intervals import Mean, mean
from experiments.results.rows import RESULTS, write_row
from experiments.run.files import RunError, write_json_atomic, write_text_atomic
from experiments.sweep.drawing import ceiling, draw, shares_of
from experiments.sweep.page import sweep_page
from experiments.sweep.reading import Plan
from experiments.sweep.space import fields_of
from experiments.sweep.trials import all_trials, finals, folder_of, origin_of
from lm.config import unknown
from lm.losses import perplexity

Row = dict[str, Any]
SHOWN = 5


def rows_of(study: Any, plan: Plan, directory: Path) -> list[Row]:
    """A row a trial, in the order of their numbers, whichever way each ended.

    trial      the number under which its runs are kept.
    state      complete, pruned, diverged or failed.
    fields     what the space set, by dotted field.
    valid      mean over seeds of the best validation loss, nats per token;
               valid_half the half-width of its 95 % interval, None with one seed.
    runs       what each seed came to.
    directory  where the runs are, None if on another machine.
    """
    found = all_trials(study)
    ended = finals(found)
    failed = {origin_of(t): t for t in found if t.state.name == "FAIL"}
    chosen = {**{k: t for k, t in failed.items() if k not in ended}, **ended}
    return [row_of(chosen[key], directory) for key in sorted(chosen)]


def row_of(trial: Any, directory: Path) -> Row:
    """One trial's row."""
    attributes = trial.user_attrs
    runs = attributes.get("runs", [])
    value = mean([run["valid"] for run in runs]) if runs else None
    folder = folder_of(directory, origin_of(trial))
    return {
        "trial": origin_of(trial),
        "state": state_of(trial),
        "fields": attributes.get("fields", {}),
        "valid": value.value if value else None,
        "valid_half": half_of(value),
        "test": mean([run["test"] for run in runs]).value if runs else None,
        "runs": runs,
        "heard": {int(k): v for k, v in sorted(trial.intermediate_values.items())},
        "reason": attributes.get("diverged") or attributes.get("error"),
        "host": attributes.get("host"),
        "deaths": attributes.get("deaths", 0),
        "directory": str(folder) if folder.is_dir() else None,
    }


def half_of(value: Mean | None) -> float | None:
    """The half-width of an interval; None where one seed gives none."""
    return value.half if value and value.half == value.half else None


def state_of(trial: Any) -> str:
    """How a trial ended, in a word."""
    if trial.user_attrs.get("diverged"):
        return "diverged"
    return {"COMPLETE": "complete", "PRUNED": "pruned"}.get(trial.state.name, "failed")


def ranked(rows: list[Row]) -> list[Row]:
    """The complete trials, the smallest mean validation loss first."""
    complete = [row for row in rows if row["state"] == "complete"]
    return sorted(complete, key=lambda row: row["valid"])


def as_csv(rows: list[Row], fields: list[str]) -> str:
    """The table for a spreadsheet: a line a trial, a column a field."""
    file = io.StringIO()
    plain = ("trial", "state", "valid", "valid_half", "test")
    tail = ("steps", "parameters", "seconds", "tokens_per_second")
    writer = csv.writer(file, lineterminator="\n")
    seeds = max((len(row["runs"]) for row in rows), default=0)
    each = [f"valid seed {number}" for number in range(seeds)]
    writer.writerow([*plain, *fields, *each, *tail, "reason", "directory"])
    for row in rows:
        runs = row["runs"]
        values = [run["valid"] for run in runs] + [None] * (seeds - len(runs))
        means = [
            mean([run[key] for run in runs]).value if runs else None for key in tail
        ]
        cells = [row[key] for key in plain]
        cells += [row["fields"].get(field) for field in fields]
        cells += [*values, *means, row["reason"], row["directory"]]
        writer.writerow(["" if cell is None else cell for cell in cells])
    return file.getvalue()


def write(study: Any, plan: Plan, directory: Path, count: Any) -> int:
    """Writes table.csv, table.json, sweep.html and its figures, and prints the best;
    the exit code."""
    rows = rows_of(study, plan, directory)
    fields = fields_of(plan.space)
    write_text_atomic(directory / "table.csv", as_csv(rows, fields))
    write_json_atomic(directory / "table.json", rows)
    drawn = draw(study, plan, rows)
    (directory / "figures").mkdir(exist_ok=True)
    for name, picture in drawn.items():
        if picture.figure is not None:
            save(picture.figure, directory / "figures" / f"{name}.png", dpi=100)
    write_text_atomic(directory / "sweep.html", sweep_page(plan, rows, drawn))
    for line in told(rows, fields):
        print(line)
    print(f"table {directory}/table.csv, page {directory}/sweep.html")
    for origin, reason in count.failed.items():
        print(f"trial {origin} failed: {reason}")
    return 1 if count.failed else 0


def add_session(study: Any, seconds: float) -> None:
    """Keeps with the study for how long this process has worked on it, and how much
    its workers have computed; a session that trained nothing is none."""
    cpu = resource.getrusage(resource.RUSAGE_CHILDREN)
    computed = cpu.ru_utime + cpu.ru_stime
    if computed < 1:
        return
    sessions = study.user_attrs.get("sessions", [])
    study.set_user_attr("sessions", [*sessions, [seconds, computed]])


def record(study: Any, plan: Plan, directory: Path, figure: str) -> None:
    """Writes a result row of a finished sweep, and puts one of its figures beside it.

    Raises:
      RunError: where the sweep has no such figure.
    """
    picture = directory / "figures" / f"{figure}.png"
    if not picture.exists():
        there = [path.stem for path in (directory / "figures").glob("*.png")]
        raise RunError(unknown("figure", figure, there))
    rows = rows_of(study, plan, directory)
    name = f"sweep_{plan.name}"
    sessions = study.user_attrs.get("sessions", [])
    metrics = summary(study, rows, fields_of(plan.space))
    metrics["worker_cpu_seconds"] = sum(cpu for _, cpu in sessions)
    seconds = sum(seconds for seconds, _ in sessions)
    write_row(name, command_line_of(), seconds, metrics)
    shutil.copy(picture, RESULTS / f"{name}.png")
    print(f"results/{name}.json and results/{name}.png written")


def command_line_of() -> str:
    """The command, without what only says where it was run."""
    words, kept = sys.argv[1:], []
    local = ("--sweep-dir", "--storage", "--study", "--record")
    while words:
        word = words.pop(0)
        if word in local:
            words = words[1:]
        elif word != "--resume" and word.partition("=")[0] not in local:
            kept.append(word)
    return shlex.join(["python", "-m", "experiments.sweep", *kept])


def summary(study: Any, rows: list[Row], fields: list[str]) -> dict[str, Any]:
    """The numbers of a result row."""
    states = [row["state"] for row in rows]
    runs = [run for row in rows for run in row["runs"]]
    kept = ("trial", "valid", "valid_half", "test")
    return {
        "trials": {state: states.count(state) for state in dict.fromkeys(states)},
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


def varied(row: Row, fields: list[str]) -> dict[str, Any]:
    """What the space varied, of one trial."""
    return {key: row["fields"][key] for key in fields if key in row["fields"]}


def first_steps(runs: list[Row]) -> dict[str, Any]:
    """Seconds from the start of a trial to the numbers of its first step."""
    pairs = [run["first_step"] for run in runs if run.get("first_step")]
    if not pairs:
        return {}
    wall, processor = zip(*pairs, strict=True)
    return {
        "start_to_first_step": {
            "median_seconds": statistics.median(wall),
            "largest_seconds": max(wall),
            "median_cpu_seconds": statistics.median(processor),
        }
    }


def best_by_cell(rows: list[Row], fields: list[str]) -> dict[str, dict[str, Any]]:
    """The best trial of each cell, where cells vary."""
    found: dict[str, dict[str, Any]] = {}
    for row in ranked(rows):
        cell = row["fields"].get("model.cell")
        if cell is not None:
            value = {key: row[key] for key in ("valid", "valid_half")}
            found.setdefault(cell, {**varied(row, fields), **value})
    return found


def told(rows: list[Row], fields: list[str]) -> list[str]:
    """The best trials, a line each."""
    best = ranked(rows)[:SHOWN]
    states = [row["state"] for row in rows]
    counts = ", ".join(f"{states.count(s)} {s}" for s in dict.fromkeys(states))
    lines = [f"{len(rows)} trials: {counts}"]
    for row in best:
        value = Mean(row["valid"], row["valid_half"] or float("nan"))
        config = ", ".join(
            f"{key} {shown(row['fields'][key])}"
            for key in fields
            if key in row["fields"]
        )
        lines.append(
            f"  {value} nats (perplexity {perplexity(value.value):.4g})  "
            f"trial {row['trial']}: {config}"
        )
    return lines


def shown(value: Any) -> str:
    """A value, short."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)

"""What a sweep found, as rows: one a trial, for tables, figures and the page."""

import csv
import io
import statistics
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from experiments.applications.application import Application
from experiments.results.intervals import Mean, mean
from experiments.results.rows import Row, shown
from experiments.sweep.trials import all_trials, finals, folder_of, origin_of
from lm.losses import perplexity

SHOWN = 5
NATS = "nats"
FORMULAS = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")  # begin one


def rows_of(study: optuna.Study, directory: Path) -> list[Row]:
    """A row a trial, in the order of their numbers, whichever way each ended.

    trial      the number under which its runs are kept.
    state      complete, pruned, diverged or failed.
    fields     what the space set, by dotted field.
    valid      mean over seeds of the best validation score, smaller being better;
               valid_half the half-width of its 95 % interval, None with one seed.
    runs       what each seed came to.
    directory  where the runs are, None if on another machine.
    """
    found = all_trials(study)
    failed = {origin_of(t): t for t in found if t.state.name == "FAIL"}
    chosen = failed | finals(found)
    return [row_of(chosen[key], directory) for key in sorted(chosen)]


def row_of(trial: FrozenTrial, directory: Path) -> Row:
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


def state_of(trial: FrozenTrial) -> str:
    """How a trial ended, in a word."""
    if trial.user_attrs.get("diverged"):
        return "diverged"
    return {"COMPLETE": "complete", "PRUNED": "pruned"}.get(trial.state.name, "failed")


def ranked(rows: list[Row]) -> list[Row]:
    """The complete trials, the smallest mean validation loss first."""
    complete = [row for row in rows if row["state"] == "complete"]
    return sorted(complete, key=lambda row: row["valid"])


def counted(rows: list[Row]) -> dict[str, int]:
    """How many trials ended in which way."""
    states = [row["state"] for row in rows]
    return {state: states.count(state) for state in dict.fromkeys(states)}


def as_csv(rows: list[Row], fields: list[str]) -> str:
    """The table for a spreadsheet: a line a trial, a column a field."""
    plain = ("trial", "state", "valid", "valid_half", "test")
    tail = ("steps", "parameters", "seconds", "tokens_per_second")
    lines = []
    for row in rows:
        runs = row["runs"]
        means = {k: mean([run[k] for run in runs]).value for k in tail if runs}
        seeds = {f"valid seed {n}": run["valid"] for n, run in enumerate(runs)}
        lines.append({**row, **row["fields"], **seeds, **means})
    most = max((len(row["runs"]) for row in rows), default=0)
    each = [f"valid seed {number}" for number in range(most)]
    columns = [*plain, *fields, *each, *tail, "reason", "directory"]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    for line in lines:
        writer.writerow([as_cell(line.get(column)) for column in columns])
    return file.getvalue()


def as_cell(value: Any) -> Any:
    """A value that no spreadsheet takes for a formula: numbers as they are, text that
    would begin one behind an apostrophe, None as nothing."""
    if value is None:
        return ""
    if isinstance(value, bool | int | float):
        return value
    text = str(value)
    return f"'{text}" if text.lstrip(" ").startswith(FORMULAS) else text


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


def told(rows: list[Row], fields: list[str], application: Application) -> list[str]:
    """The best trials, a line each."""
    lines, unit = [f"{len(rows)} trials: {counts(rows)}"], unit_of(application)
    for row in ranked(rows)[:SHOWN]:
        own = varied(row, fields).items()
        config = ", ".join(f"{key} {short(value)}" for key, value in own)
        more = f" (perplexity {perplexity(row['valid']):.4g})" if unit == NATS else ""
        lines.append(f"  {value_of(row)} {unit}{more}  trial {row['trial']}: {config}")
    return lines


def counts(rows: list[Row]) -> str:
    """`counted`, in words."""
    return ", ".join(f"{number} {state}" for state, number in counted(rows).items())


def unit_of(application: Application) -> str:
    """Of the values of trials: `NATS`, or the name of what is looked at."""
    name = application.monitor.replace("_", " ")
    if application.nats and name == "loss":
        return NATS
    return f"minus {name[1:]}" if name.startswith("-") else name


def value_of(row: Row) -> str:
    """mean ± half-width over seeds."""
    half = row["valid_half"]
    return str(Mean(row["valid"], float("nan") if half is None else half))


def short(value: Any) -> str:
    """A field's value, floats to four digits."""
    return shown(value, 4)

"""What a sweep found, as rows: one a trial, for tables, figures and the page."""

import csv
import io
import statistics
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from experiments.results.intervals import Mean, mean
from experiments.results.rows import Row, shown
from experiments.sweep.monitor import Monitor
from experiments.sweep.trials import all_trials, finals, folder_of, origin_of
from lm.losses import perplexity

SHOWN = 5
FORMULAS = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")  # begin one


def rows_of(study: optuna.Study, directory: Path) -> list[Row]:
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
        writer.writerow([as_cell(cell) for cell in cells])
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


def told(rows: list[Row], fields: list[str], monitor: Monitor) -> list[str]:
    """The best trials, a line each."""
    counts = ", ".join(f"{number} {state}" for state, number in counted(rows).items())
    lines = [f"{len(rows)} trials: {counts}"]
    for row in ranked(rows)[:SHOWN]:
        value = value_of(row)
        own = varied(row, fields).items()
        config = ", ".join(f"{key} {short(value)}" for key, value in own)
        more = f" (perplexity {perplexity(row['valid']):.4g})" if monitor.nats else ""
        lines.append(f"  {value} {monitor.unit}{more}  trial {row['trial']}: {config}")
    return lines


def value_of(row: Row) -> str:
    """mean ± half-width over seeds."""
    half = row["valid_half"]
    return str(Mean(row["valid"], float("nan") if half is None else half))


def short(value: Any) -> str:
    """A field's value, floats to four digits."""
    return shown(value, 4)

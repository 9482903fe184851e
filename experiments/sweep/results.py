"""What a sweep found: a table as CSV and JSON, and the page."""

import csv
import io
from pathlib import Path
from typing import Any

from experiments.files import write_json_atomic, write_text_atomic
from experiments.gradients.statistics import Mean, mean
from experiments.sweep.reading import Plan
from experiments.sweep.space import fields_of
from experiments.sweep.trials import all_trials, finals, folder_of, origin_of

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


def write(study: Any, plan: Plan, directory: Path, count: Any, options: Any) -> int:
    """Writes table.csv, table.json and sweep.html, and prints the best; the exit
    code."""
    from experiments.sweep.page import sweep_page

    rows = rows_of(study, plan, directory)
    fields = fields_of(plan.space)
    write_text_atomic(directory / "table.csv", as_csv(rows, fields))
    write_json_atomic(directory / "table.json", rows)
    write_text_atomic(directory / "sweep.html", sweep_page(study, plan, rows))
    for line in told(rows, fields):
        print(line)
    print(f"table {directory}/table.csv, page {directory}/sweep.html")
    for origin, reason in count.failed.items():
        print(f"trial {origin} failed: {reason}")
    return 1 if count.failed else 0


def told(rows: list[Row], fields: list[str]) -> list[str]:
    """The best trials, a line each."""
    from lm.losses import perplexity

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

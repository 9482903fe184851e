"""Which figures a sweep has, drawn from its rows."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import optuna
from matplotlib.figure import Figure
from optuna.importance import FanovaImportanceEvaluator, get_param_importances

from experiments.figures import sweeps as figures
from experiments.results.intervals import mean
from experiments.run.files import RunError
from experiments.run.probes import grouped, read_probe
from experiments.sweep.rows import NATS, Row, ranked, short, unit_of
from experiments.sweep.sampling import log_fields, varied_fields
from experiments.sweep.space_file import Plan

CURVES, EXACT, BINS = 5, 16, 8
CELL = "model.cell"
DECADES = 50.0  # largest over smallest value, from where an axis is logarithmic


class Drawn(NamedTuple):
    """A figure, if there is anything to draw, and what has to be said of it."""

    figure: Figure | None
    note: str = ""


def draw(study: optuna.Study, plan: Plan, rows: list[Row]) -> dict[str, Drawn]:
    """importance, response FIELD (one a field), parallel, curves, reach."""
    top = ceiling([row["valid"] for row in ranked(rows)])
    rows = [capped(row, top) for row in rows]
    best = ranked(rows)
    unit = unit_of(plan.application)
    label = "loss, nats per token" if unit == NATS else unit
    label = f"validation {label}" if math.isinf(top) else f"{label} (cut at {top:.3g})"
    fields, logs = varied_fields(plan), log_fields(plan)
    return {
        "importance": importance(study, top),
        **responses(rows, fields, logs, label),
        "parallel": parallel(best, fields, logs),
        "curves": Drawn(curves(rows, best, fields, label)),
        "reach": reach(best, label),
    }


def ceiling(losses: list[float]) -> float:
    """The loss at which worse ones are drawn, so that one run out of hand does not hide
    all others: four times as far above the median as the best is below it. Infinite
    where none is worse."""
    if len(losses) < 3:
        return math.inf
    middle = float(np.median(losses))
    top = middle + 4 * (middle - min(losses))
    return top if max(losses) > top > min(losses) else math.inf


def capped(row: Row, top: float) -> Row:
    """A row with no loss over `top`."""
    if row["valid"] is None:
        return row
    runs = [{**run, "valid": min(run["valid"], top)} for run in row["runs"]]
    heard = {step: min(value, top) for step, value in row["heard"].items()}
    return {**row, "valid": min(row["valid"], top), "runs": runs, "heard": heard}


def importance(study: optuna.Study, top: float) -> Drawn:
    """Each parameter's importance by fANOVA."""
    shares = shares_of(study, top)
    if not shares:
        return Drawn(None, "fANOVA needs several trials with different losses.")
    named = {name for trial in study.trials for name in trial.params}
    missing = ", ".join(sorted(named - set(shares)))
    note = f"Left out, since only some trials have it: {missing}." if missing else ""
    return Drawn(figures.importance_bars(shares), note)


def shares_of(study: optuna.Study, top: float = math.inf) -> dict[str, float]:
    """Shares of the loss's variance, largest first, of what all trials have; empty
    where there is nothing to share out. Losses over `top` count as `top`: else the
    runs that got out of hand would be all the variance."""
    try:
        evaluator = FanovaImportanceEvaluator(seed=0)
        return get_param_importances(
            study, evaluator=evaluator, target=lambda trial: min(trial.values[0], top)
        )
    except (ValueError, RuntimeError, ZeroDivisionError):
        return {}


def responses(
    rows: list[Row], fields: list[str], logs: set[str], label: str
) -> dict[str, Drawn]:
    """A response curve a field with numbers, the learning rate first. logs: the fields
    that are drawn on a log scale."""
    drawn = {}
    for field in sorted(fields, key=lambda f: f != "optim.learning_rate"):
        values = [row["fields"].get(field) for row in rows]
        numbers = {v for v in values if _number(v)}
        if len(numbers) < 2:
            continue
        log = field in logs or spans_decades(numbers)
        groups = by_group(rows, field)
        found = {name: response(part, field, log) for name, part in groups.items()}
        found = {k: v for k, v in found.items() if len(v.x) or len(v.diverged)}
        drawn[f"response {field}"] = Drawn(
            figures.response_curves(found, field, log, label)
        )
    return drawn or {"response": Drawn(None, "No field of this space is a number.")}


def spans_decades(numbers: Iterable[float]) -> bool:
    """Whether values lie so far apart that only a log scale shows them all."""
    low, high = min(numbers), max(numbers)
    return low > 0 and high / low >= DECADES


def by_group(rows: list[Row], field: str) -> dict[str, list[Row]]:
    """The rows that have the field, by cell where cells vary, else under no name."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        if _number(row["fields"].get(field)):
            found.setdefault(str(row["fields"].get(CELL, "")), []).append(row)
    return (
        found if len(found) > 1 else {"": [r for part in found.values() for r in part]}
    )


def response(rows: list[Row], field: str, log: bool) -> figures.Response:
    """Means and intervals of the loss at each value, or in bins of equal counts."""
    done = [(row["fields"][field], [r["valid"] for r in row["runs"]]) for row in rows]
    done = sorted((x, ys) for x, ys in done if ys)
    xs = sorted({x for x, _ in done})
    if len(xs) <= EXACT:
        bins = [[pair for pair in done if pair[0] == x] for x in xs]
    else:
        ends = np.linspace(0, len(done), min(BINS, len(done)) + 1).astype(int)
        bins = [done[a:b] for a, b in zip(ends, ends[1:], strict=False)]
    means = [mean([y for _, ys in pairs for y in ys]) for pairs in bins]
    centre = (lambda v: math.exp(np.mean(np.log(v)))) if log else np.mean
    return figures.Response(
        x=np.array([centre([x for x, _ in pairs]) for pairs in bins]),
        mean=np.array([m.value for m in means]),
        half=np.array([m.half for m in means]),
        diverged=np.array(
            [row["fields"][field] for row in rows if row["state"] == "diverged"], float
        ),
    )


def parallel(best: list[Row], fields: list[str], logs: set[str]) -> Drawn:
    """Parallel coordinates of the complete trials."""
    if len(best) < 2:
        return Drawn(None, "There are not two complete trials to compare.")
    axes = [
        axis(label, [row["fields"].get(field) for row in best], field in logs)
        for field, label in short_labels(fields).items()
    ]
    losses = np.array([row["valid"] for row in best])
    axes.append(axis("validation loss", list(losses), False))
    return Drawn(figures.parallel_coordinates(axes, losses))


def short_labels(fields: list[str]) -> dict[str, str]:
    """Each dotted field's last names, as many as tell it from the others."""

    def tail(field: str, names: int) -> str:
        return ".".join(field.split(".")[-names:])

    def enough(field: str) -> int:
        others = [other for other in fields if other != field]
        names = 1
        while tail(field, names) in [tail(other, names) for other in others]:
            names += 1
        return names

    return {field: tail(field, enough(field)) for field in fields}


def axis(label: str, values: list[Any], log: bool) -> figures.Axis:
    """Values as heights in [0, 1]: numbers to scale, names evenly spread."""
    there = [v for v in values if v is not None]
    if there and all(map(_number, there)) and len(set(there)) > 1:
        scale = math.log if log or spans_decades(there) else float
        low, high = scale(min(there)), scale(max(there))
        at = [
            math.nan if v is None else (scale(v) - low) / (high - low) for v in values
        ]
        return figures.Axis(
            label, np.array(at), {0.0: short(min(there)), 1.0: short(max(there))}
        )
    names = list(dict.fromkeys(str(v) for v in there))
    heights = {n: i / max(1, len(names) - 1) for i, n in enumerate(sorted(names))}
    at = [math.nan if v is None else heights[str(v)] for v in values]
    return figures.Axis(label, np.array(at), {h: n for n, h in heights.items()})


def curves(rows: list[Row], best: list[Row], fields: list[str], label: str) -> Figure:
    """Learning curves, from what the study has heard of each trial's first seed."""

    def heard(row: Row) -> tuple[np.ndarray, np.ndarray]:
        return np.array(list(row["heard"])), np.array(list(row["heard"].values()))

    def named(row: Row) -> str:
        values = [short(row["fields"][f]) for f in fields if f in row["fields"]]
        return f"{row['trial']}: {', '.join(values)}"[:40]

    told = [row for row in rows if row["heard"]]
    top = [row for row in best[:CURVES] if row["heard"]]
    rest = [r for r in told if r["state"] == "complete" and r not in top]
    ended = [row for row in told if row["state"] in ("pruned", "diverged")]
    return figures.trial_curves(
        {named(row): heard(row) for row in top},
        [*map(heard, rest)],
        [*map(heard, ended)],
        label,
    )


def reach(best: list[Row], label: str) -> Drawn:
    """Lag profiles and horizons after training, of the runs that are here."""
    several = len({row["fields"].get(CELL) for row in best}) > 1
    profiles, horizons, losses, groups = [], [], [], []
    for row in best:
        try:
            probe = read_probe(Path(row["directory"] or "") / "seed-0")
            *_, top = grouped(probe).values()
        except RunError:
            continue
        lag_K = top["lag_LK"][-1, -1]
        profiles.append(lag_K / max(lag_K[0], 1e-30))
        horizons.append(top["horizon_L"][-1, -1])
        losses.append(row["valid"])
        groups.append(str(row["fields"].get(CELL, "")) if several else "")
    if not profiles:
        return Drawn(None, "No run on this machine made probes (gradflow.every).")
    there = f"{len(profiles)} of {len(best)}"
    note = f"The probes of {there} complete trials are here."
    figure = figures.reach_against_loss(
        profiles, np.array(horizons), np.array(losses), groups, label
    )
    return Drawn(figure, note if len(profiles) < len(best) else "")


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

"""The page of a sweep: best configs, what matters, and how far gradients reach."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from experiments.files import RunError
from experiments.gradients.statistics import Mean, mean
from experiments.report.page import (
    Cell,
    Html,
    figure_block,
    figure_grid,
    page,
    section,
    table_block,
    text_block,
)
from experiments.sweep import figures
from experiments.sweep.reading import Plan
from experiments.sweep.results import Row, ranked, shown
from experiments.sweep.space import Interval, decisions, fields_of
from lm.losses import perplexity

BEST, CURVES, EXACT, BINS = 10, 5, 16, 8
CELL = "model.cell"


def sweep_page(study: Any, plan: Plan, rows: list[Row]) -> Html:
    """The whole page, self-contained."""
    fields = fields_of(plan.space)
    best = ranked(rows)
    sections = [section("Best configs", best_table(best[:BEST], fields))]
    if len(best) > 1:
        sections += [
            section("Which fields matter", *importance(study)),
            section("Response curves", *responses(rows, plan, fields)),
            section("Parallel coordinates", parallel(best, plan, fields)),
        ]
    sections += [
        section("Learning curves", figure_block(curves(rows, best, fields))),
        section("Lag profile against validation loss", *reach(best)),
        section("Every trial", trial_table(rows, fields)),
    ]
    states = [row["state"] for row in rows]
    told = ", ".join(f"{states.count(s)} {s}" for s in dict.fromkeys(states))
    seeds = max((len(row["runs"]) for row in rows), default=0)
    each = f"{seeds} seeds" if seeds > 1 else "one seed"
    each = f"{seeds} seeds" if seeds > 1 else "one seed"
    lead = (
        f"{len(rows)} trials ({told}), {each} each. A trial's value is the mean over "
        "its seeds of the best validation loss, ± half its 95 % interval. "
        "Numbers: table.csv, table.json. Base config: "
        f"{plan.raw.get('config', 'default')}."
    )
    return page(f"Sweep {plan.name}", sections, lead)


def best_table(best: list[Row], fields: list[str]) -> Html:
    """The best trials; the test split is shown and chosen by nobody."""
    if not best:
        return text_block("No trial came to an end.")
    head = ["rank", *fields, "valid, nats", "perplexity", "test perplexity", "trial"]
    lines = [
        [
            rank,
            *(shown(row["fields"].get(field, "")) for field in fields),
            Cell(value_of(row), strong=rank == 1),
            f"{perplexity(row['valid']):.4g}",
            f"{perplexity(row['test']):.4g}",
            row["trial"],
        ]
        for rank, row in enumerate(best, 1)
    ]
    return table_block(head, lines, "Ranked by validation loss.")


def value_of(row: Row) -> str:
    """mean ± half-width over seeds."""
    half = row["valid_half"]
    return str(Mean(row["valid"], math.nan if half is None else half))


def importance(study: Any) -> list[Html]:
    """Each parameter's importance by fANOVA."""
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    try:
        shares = get_param_importances(
            study, evaluator=FanovaImportanceEvaluator(seed=0)
        )
    except (ValueError, RuntimeError, ZeroDivisionError) as error:
        return [text_block(f"fANOVA has no answer here: {error}")]
    if not shares:
        return [text_block("No parameter is there in all trials: fANOVA needs that.")]
    blocks = [figure_block(figures.importance_bars(shares))]
    named = {name for trial in study.trials for name in trial.params}
    missing = sorted(named - set(shares))
    if missing:
        left_out = ", ".join(missing)
        blocks.append(
            text_block(f"Left out, since only some trials have it: {left_out}.")
        )
    return blocks


def responses(rows: list[Row], plan: Plan, fields: list[str]) -> list[Html]:
    """A response curve a field with numbers, the learning rate first."""
    logs = {n.field for n in decisions(plan.space) if isinstance(n, Interval) and n.log}
    logs.add("optim.learning_rate")
    blocks = []
    for field in sorted(fields, key=lambda f: f != "optim.learning_rate"):
        values = [row["fields"].get(field) for row in rows]
        numbers = {v for v in values if _number(v)}
        if len(numbers) > 1:
            log = field in logs and min(numbers) > 0
            groups = by_group(rows, field)
            found = {name: response(part, field, log) for name, part in groups.items()}
            found = {k: v for k, v in found.items() if len(v.x) or len(v.diverged)}
            blocks.append(figure_block(figures.response_curves(found, field, log)))
    if not blocks:
        return [text_block("No field of this space is a number.")]
    return [figure_grid(*blocks)]


def by_group(rows: list[Row], field: str) -> dict[str, list[Row]]:
    """The rows that have the field, by cell where cells vary, else under no name."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        if _number(row["fields"].get(field)):
            found.setdefault(str(row["fields"].get(CELL, "")), []).append(row)
    return found


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


def parallel(best: list[Row], plan: Plan, fields: list[str]) -> Html:
    """Parallel coordinates of the complete trials."""
    logs = {n.field for n in decisions(plan.space) if isinstance(n, Interval) and n.log}
    axes = [
        axis(field, [row["fields"].get(field) for row in best], field in logs)
        for field in fields
    ]
    losses = np.array([row["valid"] for row in best])
    axes.append(axis("validation loss", list(losses), False))
    return figure_block(figures.parallel_coordinates(axes, losses))


def axis(name: str, values: list[Any], log: bool) -> figures.Axis:
    """Values as heights in [0, 1]: numbers to scale, names evenly spread."""
    label = name.rpartition(".")[2]
    there = [v for v in values if v is not None]
    if there and all(map(_number, there)) and len(set(there)) > 1:
        scale = math.log if log and min(there) > 0 else float
        low, high = scale(min(there)), scale(max(there))
        at = [
            math.nan if v is None else (scale(v) - low) / (high - low) for v in values
        ]
        return figures.Axis(
            label, np.array(at), {0.0: shown(min(there)), 1.0: shown(max(there))}
        )
    names = list(dict.fromkeys(str(v) for v in there))
    heights = {n: i / max(1, len(names) - 1) for i, n in enumerate(sorted(names))}
    at = [math.nan if v is None else heights[str(v)] for v in values]
    return figures.Axis(label, np.array(at), {h: n for n, h in heights.items()})


def curves(rows: list[Row], best: list[Row], fields: list[str]) -> Any:
    """Learning curves, from what the study has heard of each trial's first seed."""

    def heard(row: Row) -> tuple[np.ndarray, np.ndarray]:
        return np.array(list(row["heard"])), np.array(list(row["heard"].values()))

    def named(row: Row) -> str:
        values = [shown(row["fields"][f]) for f in fields if f in row["fields"]]
        return f"{row['trial']}: {', '.join(values)}"[:40]

    told = [row for row in rows if row["heard"]]
    top = [row for row in best[:CURVES] if row["heard"]]
    rest = [r for r in told if r["state"] == "complete" and r not in top]
    ended = [row for row in told if row["state"] in ("pruned", "diverged")]
    return figures.trial_curves(
        {named(row): heard(row) for row in top},
        [*map(heard, rest)],
        [*map(heard, ended)],
    )


def reach(best: list[Row]) -> list[Html]:
    """Lag profiles and horizons after training, of the runs that are here."""
    from experiments.probe import read_probe

    profiles, horizons, losses, groups = [], [], [], []
    for row in best:
        try:
            probe = read_probe(Path(row["directory"] or "") / "seed-0")
        except RunError:
            continue
        lag_K = probe["lag_LK"][-1, -1]
        profiles.append(lag_K / max(lag_K[0], 1e-30))
        horizons.append(probe["horizon_L"][-1, -1])
        losses.append(row["valid"])
        groups.append(str(row["fields"].get(CELL, "")))
    if not profiles:
        return [text_block("No run on this machine made probes (gradflow.every).")]
    figure = figures.reach_against_loss(
        profiles, np.array(horizons), np.array(losses), groups
    )
    blocks = [figure_block(figure)]
    if len(profiles) < len(best):
        there = f"{len(profiles)} of {len(best)}"
        blocks.append(text_block(f"The probes of {there} complete trials are here."))
    return blocks


def trial_table(rows: list[Row], fields: list[str]) -> Html:
    """A line a trial."""
    head = ["trial", "state", *fields, "valid, nats", "steps", "seconds", "why"]
    lines = []
    for row in rows:
        steps = [run["steps"] for run in row["runs"]] or list(row["heard"])[-1:]
        seconds = sum(run["seconds"] for run in row["runs"])
        lines.append(
            [
                row["trial"],
                row["state"],
                *(shown(row["fields"].get(field, "")) for field in fields),
                value_of(row) if row["valid"] is not None else "",
                f"{max(steps):,}" if steps else "",
                f"{seconds:.1f}" if row["runs"] else "",
                (row["reason"] or "")[:60],
            ]
        )
    return table_block(head, lines)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

"""The report's tables: what came out, and what the runs were made of."""

from typing import Any

import numpy as np

from experiments.config import flatten, to_dict
from experiments.figures.page import Cell, Html, table_block
from experiments.report.reading import RunFiles
from experiments.results.rows import shown
from lm.losses import perplexity


def summary_table(runs: list[RunFiles]) -> Html:
    """One row a run; the best validation score is set off."""
    score = "perplexity" if all(run.nats for run in runs) else "loss"
    values = [_valid(run, score) for run in runs]
    known = [value for value in values if value is not None]
    best = min(known) if len(known) > 1 else None
    rows = [
        _summary_row(run, score, value, value is not None and value == best)
        for run, value in zip(runs, values, strict=True)
    ]
    head = ["run", "model", "parameters", "steps", f"valid {score}", f"test {score}"]
    head += ["horizon by layer, steps", "clipped", "tokens/s", "time", "state"]
    return table_block(head, rows)


def _summary_row(
    run: RunFiles, score: str, valid: float | None, best: bool
) -> list[Any]:
    found, steps = run.summary or {}, run.metrics.steps
    last = int(steps["step"][-1]) if len(steps["step"]) else 0
    clipped = steps["clipped_norm"] < 0.999 * steps["gradient_norm"]
    horizon = {g: columns["horizon_L"][-1] for g, columns in run.probes.items()}
    return [
        run.name,
        run.model,
        number(found.get("parameters"), ",.0f"),
        number(found.get("steps", last), ",.0f"),
        Cell(number(valid, ",.2f"), best, "best" if best else ""),
        number(_of_split(found, "test", score), ",.2f"),
        ", ".join(f"{g} {_numbers(h)}".strip() for g, h in horizon.items()) or "–",
        f"{clipped.mean():.0%}" if len(clipped) else "–",
        number(found.get("tokens_per_second"), ",.0f"),
        duration(found.get("seconds")),
        "finished" if run.summary else f"unfinished, at step {last:,}",
    ]


def _numbers(horizon_L: np.ndarray) -> str:
    return " / ".join(str(int(h)) for h in horizon_L)


def _valid(run: RunFiles, score: str) -> float | None:
    """A score of the validation split: the summary's, else that of the best
    evaluation."""
    ended = _of_split(run.summary or {}, "valid", score)
    evaluations = run.metrics.valid.get("loss", ())
    if ended is not None or len(evaluations) == 0:
        return ended
    least = float(np.nanmin(evaluations))
    return perplexity(least) if score == "perplexity" else least


def _of_split(summary: dict[str, Any], split: str, score: str) -> float | None:
    """A score that a summary tells of a split; a loss in nats is a loss."""
    found = summary.get(split, {})
    return found.get(score, found.get("nats_per_token") if score == "loss" else None)


def config_table(runs: list[RunFiles]) -> Html:
    """Every field, one column a run; those that differ come first and are set off."""
    flat = [flatten(to_dict(run.config)) for run in runs]
    differing = [k for k in flat[0] if any(f[k] != flat[0][k] for f in flat)]
    same = [k for k in flat[0] if k not in differing]
    head = ["field", *(run.name for run in runs)]
    if len(runs) == 1:
        return table_block(head, [[k, shown(flat[0][k])] for k in flat[0]], "", False)
    rows: list[list[Any]] = [
        [k, *(Cell(shown(f[k]), f[k] != flat[0][k]) for f in flat)] for k in differing
    ]
    told = "Fields that differ; what is unlike the first run's is set off."
    parts = [table_block(head, rows, told, False)] if rows else []
    common = [[k, shown(flat[0][k])] for k in same]
    parts.append(table_block(["field", "in all runs"], common, "", False))
    return Html("\n".join(parts))


def origin_table(runs: list[RunFiles]) -> Html:
    """Command, commit, machine and versions of each run."""
    rows = []
    for run in runs:
        record = run.record
        git = record.get("git") or {}
        hardware, versions = record.get("hardware", {}), record.get("versions", {})
        changed = ", files changed" if git.get("changed") else ""
        rows.append(
            [
                run.name,
                record.get("command", "–"),
                f"{git.get('commit', 'unknown')[:12]}{changed}",
                f"{hardware.get('cpu', '?')}, {hardware.get('cores', '?')} cores, "
                + ", ".join(sorted(set(hardware.get("devices", [])))),
                ", ".join(f"{k} {v}" for k, v in versions.items()),
                str(1 + len(record.get("resumed", []))),
            ]
        )
    head = ["run", "command", "commit", "machine", "versions", "sessions"]
    return table_block(head, rows)


def number(value: Any, form: str) -> str:
    """A number, or a dash where there is none."""
    try:
        return format(float(value), form)
    except (TypeError, ValueError):
        return "–"


def duration(seconds: Any) -> str:
    """Seconds as hours and minutes."""
    if not isinstance(seconds, int | float):
        return "–"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"

"""The table of applications: what each committed run scored on its test split, beside
the best that can be, what no neural network scores there, and what others published."""

from collections.abc import Mapping
from typing import Any

from experiments.results.markdown import markdown
from experiments.results.rows import Row, machine

# What others have published on the same data, and whose it is.
PUBLISHED = {
    "benchmark_reviews": "73.69 (LSTM), 75.90 (convolution): a public replication",
}
SHOWN, LOSSES = 5, ("loss", "nats_per_token")


def applications(rows: dict[str, Row]) -> str:
    """One line a run of an application that scores more than a language model does."""
    found = [
        _line(name, row)
        for name, row in rows.items()
        if row["metrics"].get("baselines") or _optimum(row)
    ]
    head = ("run", "test scores", "best possible", "without a neural network")
    more = ("published", "parameters", "measured")
    return markdown((*head, *more), found)


def _line(name: str, row: Row) -> tuple[str, ...]:
    metrics = row["metrics"]
    final, test = metrics["scores"]["test"], metrics["test"]
    own = _scores({n: v for n, v in final.items() if n not in test} | test)
    best = {n: v for n, v in _optimum(row).items() if n in own}
    others = [
        f"{what}: {_told(shown)}"
        for what, splits in metrics.get("baselines", {}).items()
        if (shown := {n: v for n, v in splits.get("test", {}).items() if n in own})
    ]
    command = f"`{row['command']}`"
    took = f"{row['seconds'] / 60:.1f} min on {machine(row)}: {command}"
    return (
        f"`{name}`",
        _told(own),
        _told(best) or "not known",
        "; ".join(others) or "–",
        PUBLISHED.get(name, "–"),
        f"{metrics['parameters']:,}",
        took,
    )


def _optimum(row: Row) -> Mapping[str, float]:
    """Best scores by name; a perplexity alone is a language model's."""
    found = row["metrics"].get("optimum")
    return found if isinstance(found, Mapping) else {}


def _scores(found: Mapping[str, Any]) -> dict[str, float]:
    """The few that are shown, losses and counts only where there is nothing else."""
    kept = {n: v for n, v in found.items() if n not in ("count", "tokens", *LOSSES)}
    shown = dict(list(kept.items())[:SHOWN])
    return shown or {"loss": found["loss"]}


def _told(scores: Mapping[str, float]) -> str:
    return ", ".join(f"{n.replace('_', ' ')} {v:.3g}" for n, v in scores.items())

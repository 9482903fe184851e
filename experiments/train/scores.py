"""Scores by name: what evaluations give, as numbers, rows and summaries."""

import math
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import numpy as np

from lm.losses import perplexity
from lm.types import Sum

Scores = dict[str, Sum]

# Batches that may be under way at once. XLA:CPU begins no more than 32 computations on
# a device; one that waits to be begun there, while another device waits for its part of
# an earlier sum over devices, can wait for ever.
AHEAD = 8


def added_up(sums: Iterable[Any]) -> Any:
    """Trees of numbers, one a batch, as one of their sums in float64. The iterator is
    asked for no batch until the one `AHEAD` before it is done."""
    found, behind = [], deque()
    for one in sums:
        behind.append(one)
        if len(behind) == AHEAD:
            found.append(jax.device_get(behind.popleft()))
    found += jax.device_get(list(behind))
    return jax.tree.map(lambda *x: np.sum(np.asarray(x, np.float64), axis=0), *found)


def scores_of(sums: Any, member: Any = ()) -> Scores:
    """Sums by name as Python numbers; `member` picks one where they have an axis N."""
    return {
        name: Sum(float(total[member]), int(count[member]))
        for name, (total, count) in sums.items()
    }


def means(scores: Mapping[str, Sum]) -> dict[str, float]:
    """Each score's total over its count."""
    return {name: ratio(*score) for name, score in scores.items()}


def ratio(total: float, count: float) -> float:
    """total/count; nan of nothing."""
    return total / count if count else math.nan


def evaluation_row(
    scores: Mapping[str, float], train: float, nats: bool
) -> dict[str, float]:
    """What metrics.jsonl says of an evaluation; `train` is the loss of the epoch."""
    row = {f"valid_{name}": value for name, value in scores.items()}
    if not nats:
        return {**row, "train_loss": train}
    loss = row.pop("valid_loss")
    told = {"valid_nats_per_token": loss, "valid_perplexity": perplexity(loss)}
    return {**told, **row, "train_nats_per_token": train}


def result(scores: Scores, nats: bool) -> dict[str, Any]:
    """What summary.json says of a split."""
    mean = means(scores)
    if not nats:
        return {**mean, "count": scores["loss"].count}
    return {
        "nats_per_token": mean["loss"],
        "perplexity": perplexity(mean["loss"]),
        "tokens": scores["loss"].count,
    }


def told(found: Mapping[str, Any]) -> str:
    """A split's `result` in a line."""
    own = ("perplexity", "nats_per_token", "tokens", "count")
    named = {name: value for name, value in found.items() if name not in own}
    parts = [f"{name.replace('_', ' ')} {value:.4f}" for name, value in named.items()]
    if "perplexity" in found:
        perplexity, nats = found["perplexity"], found["nats_per_token"]
        first = f"perplexity {perplexity:.2f}, {nats:.4f} nats per token"
        tokens = [f"{found['tokens']:,} tokens"] if "tokens" in found else []
        return ", ".join([first, *tokens, *parts])
    counted = [f"{found['count']:,} counted"] if "count" in found else []
    return ", ".join([*parts, *counted])


def optimum_told(optimum: Any) -> str:
    """The best scores that there can be, in a line; a number alone is a perplexity."""
    if isinstance(optimum, Mapping):
        return told(optimum)
    return f"{optimum:.2f}, by the entropy of the corpus"

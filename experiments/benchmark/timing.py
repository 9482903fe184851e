"""What benchmarks share: timing on a machine that is not quiet, random text, a table.

Sides take turns; medians, minima and paired ratios are given.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from experiments.results.markdown import markdown
from experiments.results.rows import Row
from lm.types import Array, Batch


class Stepper:
    """A step(state, *given) -> (state, info) that is fed its own state, so that buffers
    can be donated."""

    def __init__(self, state: Any, step: Callable[..., Any], *given: Any):
        self.state, self.step, self.given = state, step, given

    def __call__(self) -> None:
        self.state, _ = self.step(self.state, *self.given)
        jax.block_until_ready(self.state)


def interleaved(
    sides: dict[str, Callable[[], Any]], rounds: int = 15, warm: int = 2
) -> dict[str, np.ndarray]:
    """Seconds of each side in each round, the sides taking turns: {name: (rounds,)}.

    Every call must block until its work is done.
    """
    for call in sides.values():
        for _ in range(warm):
            call()
    seconds = {name: np.empty(rounds) for name in sides}
    for number in range(rounds):
        for name, call in sides.items():
            began = time.perf_counter()
            call()
            seconds[name][number] = time.perf_counter() - began
    return seconds


def milliseconds(seconds: np.ndarray) -> dict[str, float]:
    """{"median", "minimum"} in ms."""
    return {
        "median": round(1e3 * float(np.median(seconds)), 3),
        "minimum": round(1e3 * float(seconds.min()), 3),
    }


def ratio(slow: np.ndarray, fast: np.ndarray) -> float:
    """Median over rounds of slow / fast, pair by pair: a drift of the machine's speed
    hits both sides of a pair."""
    return round(float(np.median(slow / fast)), 3)


def random_batch(vocabulary: int, steps: int, lanes: int) -> Batch:
    """A window of random text on the host, the same every time: (steps, lanes)."""
    shape = (steps + 1, lanes)
    ids = np.random.default_rng(0).integers(0, vocabulary, shape)
    return batch_of(ids.astype(np.int32))


def batch_of(ids_TB: Array | np.ndarray) -> Batch:
    """One step less of ids as a window of text in which every token counts."""
    steps, lanes = ids_TB.shape[0] - 1, ids_TB.shape[1]
    mask, fresh = np.ones((steps, lanes), np.float32), np.zeros(lanes, bool)
    return Batch(ids_TB[:-1], ids_TB[1:], mask, fresh)


def by_model(
    rows: Sequence[Row],
    head: Sequence[str],
    told: Callable[[dict[str, Any]], tuple[str, ...]],
) -> str:
    """A table with a line for each model that a row has metrics of."""
    found = rows[0]["metrics"]
    lines = [
        (name.replace("_", " "), *told(metrics)) for name, metrics in found.items()
    ]
    return markdown(head, lines)

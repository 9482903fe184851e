"""Times on a machine that is not quiet.

Sides take turns; medians, minima and paired ratios are given.
"""

import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np


class Stepper:
    """A step(state, *given) -> (state, info) that is fed its own state, so that buffers
    can be donated."""

    def __init__(self, state: Any, step: Callable[..., Any], *given: Any):
        self.state, self.step, self.given = state, step, given

    def compile(self) -> Any:
        """The compiled step, which is taken from now on."""
        self.step = self.step.lower(self.state, *self.given).compile()  # type: ignore
        return self.step

    def __call__(self) -> None:
        self.state, _ = self.step(self.state, *self.given)
        jax.block_until_ready(self.state)


def interleaved(
    sides: dict[str, Callable[[], Any]],
    rounds: int = 15,
    warm: int = 2,
    pause: float = 0.0,
    lead: float = 0.0,
) -> dict[str, np.ndarray]:
    """Seconds of each side in each round, the sides taking turns: {name: (rounds,)}.

    Every call must block until its work is done.

    pause  seconds before each turn, in which threads of the side before come to rest
           that would go on waiting busily.
    lead   seconds of calls at the beginning of a turn that do not count, so that the
           caches and threads are the side's own again; a side whose call takes longer
           needs none.
    """
    before = {name: 0 for name in sides}
    for name, call in sides.items():
        for _ in range(warm):
            began = time.perf_counter()
            call()
            before[name] = int(lead / (time.perf_counter() - began))
    seconds = {name: np.empty(rounds) for name in sides}
    for number in range(rounds):
        for name, call in sides.items():
            time.sleep(pause)
            for _ in range(before[name]):
                call()
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

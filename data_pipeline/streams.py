"""A text read on in lanes, window after window, with carried state."""

import functools
import math
from statistics import NormalDist
from typing import Any, Protocol

import numpy as np

from data_pipeline.errors import DataError
from data_pipeline.order import random_uniform
from data_pipeline.vocabulary import EOS_ID
from lm.types import Batch

HALVED = 0.05  # share of random windows of half the length (Merity 2017)


class Reading(Protocol):
    """A split as batches: `batch_at(seed, epoch, step)` for step < `steps`."""

    batch: int
    steps: int

    def batch_at(self, seed: int, epoch: int, step: int) -> Any: ...


class Streams:
    """For training: B contiguous lanes of N // B tokens, read in windows of T.

    Whole windows only; what is left over at the end of the lanes and of the text is
    not read (Zaremba 2014).

    Args:
      ids: (N,) integers, in memory or mapped.
    Raises DataError when no window fits.
    """

    def __init__(self, ids: np.ndarray, batch: int, window: int) -> None:
        self.ids, self.batch, self.window = ids, batch, window
        self.lane = len(ids) // batch
        self.steps = self.lane // window
        _check_length(self, len(ids))

    def bounds(self, seed: int, epoch: int) -> np.ndarray:
        """(steps + 1,) where the windows of an epoch begin in their lane, and the last
        one ends."""
        return np.arange(self.steps + 1) * self.window

    def batch_at(self, seed: int, epoch: int, step: int) -> Batch:
        """Window `step` < `steps`: (T, B) each; the order is that of the text."""
        check_step(step, self.steps)
        begin, end = map(int, self.bounds(seed, epoch)[step : step + 2])
        lanes_BN = self.ids[: self.batch * self.lane].reshape(self.batch, self.lane)
        tokens_BT = np.empty((self.batch, end - begin + 1), np.int32)
        tokens_BT[:, 1:] = lanes_BN[:, begin:end]
        if begin:
            tokens_BT[:, 0] = lanes_BN[:, begin - 1]
        else:  # the last token of the lane before
            tokens_BT[:, 0] = np.append(EOS_ID, lanes_BN[:-1, -1])
        tokens_TB = np.ascontiguousarray(tokens_BT.T)
        mask_TB = np.ones((end - begin, self.batch), np.float32)
        fresh_B = np.full(self.batch, step == 0)
        return Batch(tokens_TB[:-1], tokens_TB[1:], mask_TB, fresh_B)


class RandomWindows(Streams):
    """Windows that follow each other without gaps as before, but whose lengths are
    drawn anew for each (seed, epoch) from N(T, spread²), one in twenty from
    N(T/2, spread²), as AWD-LSTM does (Merity 2017: T 70, spread 5).

    Lengths are multiples of the spread: few shapes, few compilations. The number of
    windows is the same in all epochs; where they would not fit, the last are shorter.
    """

    def __init__(self, ids: np.ndarray, batch: int, window: int, spread: float) -> None:
        super().__init__(ids, batch, window)
        self.spread = spread
        self.steps = max(1, int(self.lane / (window * (1 - HALVED / 2))))

    @functools.lru_cache(maxsize=4)  # noqa: B019 (lives as long as the data)
    def bounds(self, seed: int, epoch: int) -> np.ndarray:
        """See `Streams`."""
        uniform_2N = random_uniform(2 * self.steps, seed, epoch, -2).reshape(2, -1)
        base_N = np.where(uniform_2N[0] < HALVED, self.window / 2, self.window)
        normal_N = np.array([NormalDist().inv_cdf(u) for u in uniform_2N[1]])
        grid = max(1, int(self.spread))
        lengths_N = grid * np.round((base_N + self.spread * normal_N) / grid)
        lengths_N = np.maximum(lengths_N, min(5, self.window)).astype(np.int64)
        bounds = np.concatenate([[0], np.cumsum(lengths_N)])
        latest = self.lane - np.arange(self.steps, -1, -1)  # each is one token at least
        return np.minimum(bounds, latest)


class WholeText:
    """For evaluation: lanes of ⌈N / B⌉ tokens, the last window padded and masked, each
    token a target exactly once. Raises DataError for a text without tokens."""

    def __init__(self, ids: np.ndarray, batch: int, window: int) -> None:
        self.ids, self.batch, self.window = ids, batch, window
        self.lane = math.ceil(len(ids) / batch)
        self.steps = math.ceil(self.lane / window)
        _check_length(self, len(ids))

    def batch_at(self, seed: int, epoch: int, step: int) -> Batch:
        """Window `step` < `steps`: (T, B) each, whatever the seed and the epoch."""
        check_step(step, self.steps)
        within_T1 = step * self.window + np.arange(self.window)[:, None]
        at_TB = within_T1 + np.arange(self.batch) * self.lane
        real_TB = (within_T1 < self.lane) & (at_TB < len(self.ids))
        return gather(self.ids, at_TB, real_TB, np.full(self.batch, step == 0))


def gather(
    ids: np.ndarray, at_TB: np.ndarray, real_TB: np.ndarray, fresh_B: np.ndarray
) -> Batch:
    """The tokens at these places of a text; padding where `real_TB` is false."""
    at_TB = np.where(real_TB, at_TB, 0)
    targets_TB = np.where(real_TB, ids[at_TB], EOS_ID).astype(np.int32)
    before_TB = ids[np.maximum(at_TB - 1, 0)]
    inputs_TB = np.where(real_TB & (at_TB > 0), before_TB, EOS_ID).astype(np.int32)
    return Batch(inputs_TB, targets_TB, real_TB.astype(np.float32), fresh_B)


def _check_length(reading: "Streams | WholeText", size: int) -> None:
    batch, window = reading.batch, reading.window
    if reading.steps == 0:
        raise DataError(
            f"a split of {size:,} tokens is shorter than one window of {batch} lanes × "
            f"{window} tokens = {batch * window:,}; lower data.batch or data.window, "
            "or give more text"
        )


def check_step(step: int, steps: int) -> None:
    """Raises IndexError for a step that an epoch has not."""
    if not 0 <= step < steps:
        raise IndexError(f"step {step} of an epoch with {steps} steps")

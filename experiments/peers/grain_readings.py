"""Grain's `MapDataset`: a sequence an element, batched, and read by its threads."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from typing import Any

import grain
import numpy as np

from experiments.peers.case import READINGS, Absent, Case
from experiments.peers.readings import pieces, text_of
from lm.types import Batch


def make(case: Case, _batch: Batch) -> Callable[[], None]:
    """An epoch of batches.

    Raises:
      Absent: for anything else.
    """
    if case.does not in READINGS:
        raise Absent(f"{case.does}: it reads data and does nothing else")
    size, one = pieces(case, text_of(case))
    windows = case.does == "windows"
    joined = partial(batch_of, np.stack if windows else padded)
    epochs = count()

    def read() -> None:
        source = grain.MapDataset.range(size)
        source = source if windows else source.shuffle(seed=next(epochs))
        batches = source.map(one).batch(case.lanes, batch_fn=joined)
        for _ in batches.to_iter_dataset():
            pass

    return read


def batch_of(joined: Callable[..., Any], pairs: Sequence[Any]) -> tuple[Any, Any, Any]:
    """(inputs, targets, mask), time-major."""
    inputs, targets = (joined(arrays).T for arrays in zip(*pairs, strict=True))
    mask = joined([np.ones(len(array), np.float32) for array, _ in pairs]).T
    return inputs.astype(np.int32), targets.astype(np.int32), mask


def padded(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Stacked, with zeros after the shorter ones."""
    rows = np.zeros((len(arrays), max(map(len, arrays))), arrays[0].dtype)
    for row, array in zip(rows, arrays, strict=True):
        row[: len(array)] = array
    return rows

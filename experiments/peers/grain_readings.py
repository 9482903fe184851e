"""Grain's `MapDataset`: a sequence an element, batched, and read by its threads."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from typing import Any

import grain
import numpy as np

from experiments.peers.case import READINGS, Absent, Case
from experiments.peers.readings import sentence, text_of, window, windows_in
from lm.types import Batch


def make(case: Case, _batch: Batch) -> Callable[[], None]:
    """An epoch of batches.

    Raises:
      Absent: for anything else.
    """
    if case.does not in READINGS:
        raise Absent(f"{case.does}: it reads data and does nothing else")
    text = text_of(case)
    if case.does == "windows":
        source = grain.MapDataset.range(windows_in(case))
        one, joined = partial(window, case, text), np.stack
    else:
        source = grain.MapDataset.range(len(text.starts) - 1).seed(0).shuffle()
        one, joined = partial(sentence, text), padded
    batches = source.map(one).batch(case.lanes, batch_fn=partial(batch_of, joined))
    epochs = count()

    def read() -> None:
        seeded = batches.seed(next(epochs))
        for _ in seeded.to_iter_dataset():
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

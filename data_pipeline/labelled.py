"""Sequences with a label each, as batches of sequences of about the same length."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from data_pipeline.buckets import Bucketed
from data_pipeline.errors import DataError
from lm.types import Labelled


class Examples(NamedTuple):
    """A split: N sequences and the class of each.

    inputs  N arrays, (T_n,) of ids or (T_n, D) of numbers, T_n at least 1.
    labels  (N,) int.
    """

    inputs: Sequence[np.ndarray]
    labels: np.ndarray

    def of(self, numbers: np.ndarray) -> "Examples":
        """Some of them."""
        return Examples([self.inputs[n] for n in numbers], self.labels[numbers])


class LabelledSequences:
    """A reading of `Examples`: each comes once an epoch, padded as `Bucketed` has it;
    the last batch is filled up with lanes that are not counted.

    Raises:
      DataError: for a split without examples.
    """

    def __init__(
        self, examples: Examples, batch: int, buckets: int = 8, *, shuffle: bool
    ) -> None:
        if not len(examples.inputs):
            raise DataError("a split without examples cannot be batched")
        lengths = np.array([len(sequence) for sequence in examples.inputs])
        self.examples, self.batch = examples, batch
        self.buckets = Bucketed(lengths, batch, buckets, shuffle=shuffle)
        self.steps = self.buckets.steps

    def batch_at(self, seed: int, epoch: int, step: int) -> Labelled:
        """Batch `step` < `steps` of an epoch."""
        members, length = self.buckets.at(seed, epoch, step)
        first = self.examples.inputs[0]
        inputs = np.zeros((length, self.batch, *first.shape[1:]), first.dtype)
        mask_TB = np.zeros((length, self.batch), np.float32)
        label_B = np.zeros(self.batch, np.int32)
        for lane, number in enumerate(members):
            sequence = self.examples.inputs[number]
            inputs[: len(sequence), lane] = sequence
            mask_TB[: len(sequence), lane] = 1
        label_B[: len(members)] = self.examples.labels[members]
        counted_B = (np.arange(self.batch) < len(members)).astype(np.float32)
        return Labelled(inputs, mask_TB, label_B, counted_B)

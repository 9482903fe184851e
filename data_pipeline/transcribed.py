"""Sequences of vectors that say a string of symbols each, as batches."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from data_pipeline.buckets import Bucketed
from data_pipeline.errors import DataError
from lm.types import Transcribed


class Transcripts(NamedTuple):
    """A split: N sequences, what each says, and what it is called.

    inputs  N arrays (T_n, D), T_n at least 1.
    labels  N arrays (S_n,) of the classes' numbers, from 0 on, S_n at least 1.
    names   N texts, for messages and reports.
    """

    inputs: Sequence[np.ndarray]
    labels: Sequence[np.ndarray]
    names: Sequence[str]


def least_steps(labels: np.ndarray) -> int:
    """The fewest steps that a network needs to say a string: one a symbol, and one for
    the blank between two that are equal (Graves et al. 2006)."""
    labels = np.asarray(labels)
    return len(labels) + int(np.sum(labels[1:] == labels[:-1]))


def check_alignments(
    found: Transcripts, stacked: int, classes: Sequence[str], split: str
) -> None:
    """Refuses a split with a sequence that is too short for its string.

    stacked  frames in a step of the network.

    Raises:
      DataError: naming it.
    """
    for name, inputs, labels in zip(
        found.names, found.inputs, found.labels, strict=True
    ):
        steps, least = math.ceil(len(inputs) / stacked), least_steps(labels)
        if steps < least:
            said = " ".join(classes[int(n)] for n in labels)
            raise DataError(
                f"{split}: {name} has no alignment: its {len(inputs)} frames make "
                f"{steps} steps of {stacked}, and {said[:40]!r} needs {least}: lower "
                "model.stacked, or leave the recording out"
            )


def batch_of(
    inputs: Sequence[np.ndarray],
    labels: Sequence[np.ndarray],
    lanes: int,
    length: int,
    longest: int,
) -> Transcribed:
    """Sequences as a batch of `lanes`, padded to `length` steps and `longest` symbols;
    what lanes are left over are empty."""
    width = inputs[0].shape[-1]
    inputs_TBD = np.zeros((length, lanes, width), np.float32)
    mask_TB = np.zeros((length, lanes), np.float32)
    labels_SB = np.zeros((longest, lanes), np.int32)
    for lane, (vectors, string) in enumerate(zip(inputs, labels, strict=True)):
        inputs_TBD[: len(vectors), lane] = vectors
        mask_TB[: len(vectors), lane] = 1
        labels_SB[: len(string), lane] = 1 + string
    return Transcribed(inputs_TBD, mask_TB, labels_SB, np.ones_like(mask_TB))


class TranscribedSequences:
    """A reading of `Transcripts`: each comes once an epoch, padded as `Bucketed` has
    it; the last batch is filled up with empty lanes.

    Raises:
      DataError: for a split without sequences.
    """

    def __init__(
        self, found: Transcripts, batch: int, buckets: int = 4, *, shuffle: bool
    ) -> None:
        if not len(found.inputs):
            raise DataError("a split without sequences cannot be batched")
        lengths = np.array([len(vectors) for vectors in found.inputs])
        self.found, self.batch = found, batch
        self.buckets = Bucketed(lengths, batch, buckets, shuffle=shuffle)
        self.steps = self.buckets.steps
        self._longest = max(map(len, found.labels))

    def batch_at(self, seed: int, epoch: int, step: int) -> Transcribed:
        """Batch `step` < `steps` of an epoch."""
        members, length = self.buckets.at(seed, epoch, step)
        inputs = [self.found.inputs[n] for n in members]
        labels = [self.found.labels[n] for n in members]
        return batch_of(inputs, labels, self.batch, length, self._longest)

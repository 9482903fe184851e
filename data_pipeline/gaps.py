"""Sentences in which one word is missing: each of their words in turn."""

import numpy as np

from data_pipeline.buckets import Bucketed
from data_pipeline.errors import DataError
from data_pipeline.types import TokenArray
from data_pipeline.vocabulary import EOS_ID
from lm.types import Gapped


class Gaps:
    """A reading of whole sentences, padded as `Bucketed` has it: each word but the
    `<eos>` at its end is a gap exactly once an epoch."""

    def __init__(
        self, tokens: TokenArray, batch: int, buckets: int = 6, *, shuffle: bool
    ) -> None:
        self.tokens, self.batch = tokens, batch
        self.lengths = np.diff(tokens.starts)
        self.buckets = Bucketed(self.lengths, batch, buckets, shuffle=shuffle)
        self.steps = self.buckets.steps

    def batch_at(self, seed: int, epoch: int, step: int) -> Gapped:
        """Batch `step` < `steps` of an epoch."""
        members, length = self.buckets.at(seed, epoch, step)
        return gapped(self.tokens, members, length, self.batch)


def gapped(tokens: TokenArray, members: np.ndarray, length: int, lanes: int) -> Gapped:
    """The sentences of these numbers, `<eos>` included at most `length` tokens long,
    in the first of so many lanes; the others are empty."""
    lengths_B, starts_B = np.zeros((2, lanes), np.int64)
    lengths_B[: len(members)] = np.diff(tokens.starts)[members]
    starts_B[: len(members)] = tokens.starts[members]
    place = np.arange(length)[:, None]
    real_TB = place < lengths_B
    ids_TB = np.where(real_TB, tokens.ids[np.where(real_TB, starts_B + place, 0)], 0)
    first_1B = np.full((1, lanes), EOS_ID)
    return Gapped(
        words=np.concatenate([first_1B, ids_TB]).astype(np.int32),
        mask=np.concatenate([real_TB[:1], real_TB]).astype(np.float32),
        asked=real_TB[1:].astype(np.float32),
    )


def check_lengths(tokens: TokenArray, longest: int, corpus: str, split: str) -> None:
    """Raises DataError for a sentence of more than `longest` tokens, `<eos>`
    included, or for a split without a word."""
    lengths = np.diff(tokens.starts)
    if not len(lengths) or lengths.max() < 2:
        raise DataError(f"data.corpus {corpus}: {split} holds no word to leave out")
    if lengths.max() > longest:
        number = int(np.argmax(lengths > longest))
        raise DataError(
            f"data.corpus {corpus}: sentence {number + 1} of {split} has "
            f"{lengths[number]} tokens and the longest batch {longest}: raise "
            "data.max_length, or cut the sentence"
        )


def count(tokens: TokenArray) -> int:
    """Gaps in a split: its words, `<eos>` not counted."""
    return int(tokens.starts[-1]) - (len(tokens.starts) - 1)

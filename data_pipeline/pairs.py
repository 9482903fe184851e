"""Pairs of token sequences, as batches of pairs of about the same lengths."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from data_pipeline.bpe import split_lines, train_bpe
from data_pipeline.buckets import Bucketed
from data_pipeline.errors import DataError
from data_pipeline.order import random_uniform
from data_pipeline.tokenizers import tokenizer_named
from data_pipeline.types import TokenArray
from data_pipeline.vocabulary import EOS_ID, Vocabulary, build_vocabulary
from lm.types import Pairs


class EncodedPairs(NamedTuple):
    """A split: N pairs as ids. A target ends with `<eos>`, and so does a source of
    tokens."""

    sources: TokenArray
    targets: TokenArray


def learn_vocabulary(
    lines: Sequence[str],
    tokenizer: str,
    most: int = 0,
    least: int = 1,
    lower: bool = False,
) -> Vocabulary:
    """The vocabulary of one side of the training split.

    most   tokens kept, special marks included; 0 keeps all.
    least  occurrences for a token to be kept.
    """
    lines = [line.lower() for line in lines] if lower else lines
    model = train_bpe(["\n".join(lines)], most) if tokenizer == "bpe" else ""
    counts: Counter[str] = Counter()
    for tokens in _split(lines, tokenizer, model):
        counts.update(tokens)
    return build_vocabulary(
        counts,
        len(lines),
        max_size=most,
        min_count=least,
        tokenizer=tokenizer,
        lower=lower,
        model=model,
        alphabet=tokenizer_named(tokenizer, model).alphabet,
    )


def _split(lines: Sequence[str], tokenizer: str, model: str) -> list[list[str]]:
    if model:
        return split_lines(model, list(lines))
    split = tokenizer_named(tokenizer).split
    return [split(line) for line in lines]


def encode_lines(lines: Sequence[str], vocabulary: Vocabulary) -> TokenArray:
    """Each line as ids that end with `<eos>`."""
    lines = [line.lower() for line in lines] if vocabulary.lower else lines
    split = _split(lines, vocabulary.tokenizer, vocabulary.model)
    ids = [np.append(vocabulary.encode(tokens), EOS_ID) for tokens in split]
    starts = np.cumsum([0, *map(len, ids)])
    return TokenArray(np.concatenate(ids).astype(np.int32), starts)


def decode_line(ids: np.ndarray, vocabulary: Vocabulary) -> str:
    """Text of ids up to the first `<eos>`."""
    ended = np.flatnonzero(ids == EOS_ID)
    tokens = vocabulary.decode(ids[: ended[0]] if len(ended) else ids)
    return tokenizer_named(vocabulary.tokenizer, vocabulary.model).join(tokens)


def check_pairs(
    pairs: EncodedPairs, longest: int, places: tuple[str, str], split: str
) -> None:
    """Raises DataError for a source or target of more than `longest` tokens."""
    for tokens, place in zip(pairs, places, strict=True):
        lengths = np.diff(tokens.starts)
        if lengths.max() > longest:
            number = int(np.argmax(lengths > longest))
            raise DataError(
                f"{place or split} line {number + 1} has {lengths[number]} tokens, "
                f"<eos> included, and the longest batch {longest}: raise "
                "data.max_length, or leave the pair out of both files"
            )


class PairBatches:
    """A reading of pairs, padded as `Bucketed` has it by the longer side of each; a
    bucket pads sources and targets to lengths of their own.

    own  (epoch) -> the probability that the decoder reads a word of its own.
    """

    def __init__(
        self,
        pairs: EncodedPairs,
        batch: int,
        buckets: int = 6,
        *,
        shuffle: bool,
        own=lambda epoch: 0.0,
    ) -> None:
        self.pairs, self.batch, self.own = pairs, batch, own
        lengths_N = [np.diff(tokens.starts) for tokens in pairs]
        longer_N = np.maximum(*lengths_N)
        self.buckets = Bucketed(longer_N, batch, buckets, shuffle=shuffle)
        self.steps = self.buckets.steps
        self._padded = {
            int(length): [int(own_N[longer_N <= length].max()) for own_N in lengths_N]
            for length in self.buckets.lengths
        }

    def batch_at(self, seed: int, epoch: int, step: int) -> Pairs:
        """Batch `step` < `steps` of an epoch."""
        members, length = self.buckets.at(seed, epoch, step)
        source, target = self._padded[length]
        batch = paired(self.pairs, members, source, target, self.batch)
        share = self.own(epoch)
        if not share:
            return batch
        chance = random_uniform(batch.mask.size, seed, epoch, step)
        own_TB = (chance.reshape(batch.mask.shape) < share).astype(np.float32)
        return batch._replace(own=own_TB)


def paired(
    pairs: EncodedPairs, members: np.ndarray, source: int, target: int, lanes: int
) -> Pairs:
    """The pairs of these numbers in the first of so many lanes, padded to these
    lengths; the others are empty."""
    sources_SB, source_mask_SB = padded(pairs.sources, members, source, lanes)
    targets_TB, mask_TB = padded(pairs.targets, members, target, lanes)
    first_1B = np.full((1, lanes), EOS_ID, np.int32)
    return Pairs(
        source=sources_SB,
        source_mask=source_mask_SB,
        inputs=np.concatenate([first_1B, targets_TB[:-1]]),
        targets=targets_TB,
        mask=mask_TB,
        own=np.zeros_like(mask_TB),
    )


def padded(
    tokens: TokenArray, members: np.ndarray, length: int, lanes: int
) -> tuple[np.ndarray, np.ndarray]:
    """(ids_TB, mask_TB) of the sequences of these numbers."""
    lengths_B, starts_B = np.zeros((2, lanes), np.int64)
    lengths_B[: len(members)] = np.diff(tokens.starts)[members]
    starts_B[: len(members)] = tokens.starts[members]
    place_T1 = np.arange(length)[:, None]
    real_TB = place_T1 < lengths_B
    ids_TB = tokens.ids[np.where(real_TB, starts_B + place_T1, 0)]
    return np.where(real_TB, ids_TB, 0).astype(np.int32), real_TB.astype(np.float32)

"""Words by their characters, those that have no id of their own included.

A vocabulary's ids tell `<unk>` from other words, not which word it was. Here the types
of all splits are kept beside the ids, so that what is read can be spelt, while what is
predicted stays the vocabulary's.

The characters of a word, after a sign that begins it and before one that ends it, have
ids of their own: 0 fills up, and 1 stands for any that no word of the vocabulary has.
`<eos>` is one sign, and what is longer than there is room for loses its middle.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from data_pipeline import corpora
from data_pipeline.config import DataConfig
from data_pipeline.dataset import prepare_in_memory
from data_pipeline.errors import DataError
from data_pipeline.streams import Reading
from data_pipeline.tokens import EOS
from data_pipeline.types import Dataset, TokenArray
from data_pipeline.vocabulary import Vocabulary
from lm.types import Spelled

UNKNOWN, BEGIN, END, EOS_SIGN, FIRST = 1, 2, 3, 4, 5


@dataclass(frozen=True)
class Alphabet:
    """Characters in order of their ids, from FIRST on."""

    characters: tuple[str, ...]

    @property
    def size(self) -> int:
        """Ids there are."""
        return FIRST + len(self.characters)

    def spell(self, words: Sequence[str], longest: int) -> np.ndarray:
        """(N, W) int32 ids of N words, W = longest, the two signs included."""
        index = {character: FIRST + i for i, character in enumerate(self.characters)}
        found = np.zeros((len(words), longest), np.int32)
        for row, word in zip(found, words, strict=True):
            ids = [index.get(character, UNKNOWN) for character in word]
            room = longest - 2
            if len(ids) > room:
                ids = ids[: room // 2] + ids[len(ids) - (room - room // 2) :]
            ids = [EOS_SIGN] if word == EOS else [BEGIN, *ids, END]
            row[: len(ids)] = ids
        return found


def alphabet_of(vocabulary: Vocabulary) -> Alphabet:
    """The characters of a vocabulary's words."""
    return Alphabet(tuple(sorted({c for word in vocabulary.tokens for c in word})))


class Types(NamedTuple):
    """All words of all splits.

    words   those that there are; the first is `<eos>`.
    places  by split, (N,): which of them each token is.
    """

    words: list[str]
    places: dict[str, np.ndarray]


def prepare_types(config: DataConfig) -> tuple[Dataset, Types]:
    """As `data_pipeline.dataset.prepare`, and the types beside the ids.

    Raises:
      DataError: as there, and for a text that is not kept in memory.
    """
    source = corpora.load(config)
    if source.size > config.in_memory << 20:
        raise DataError(
            f"{source.name} has {source.size >> 20} megabytes of text; its types are "
            f"counted in memory, up to data.in_memory {config.in_memory}: raise that"
        )
    dataset, blocks, merger = prepare_in_memory(source, config)
    places = {
        split: np.concatenate([b.merged[b.numbers] for b in blocks if b.split == split])
        for split in dataset.splits
    }
    words = [EOS, *list(merger.number)[1:]]
    return dataset, Types(words, places)


class SpelledReading:
    """A reading of ids whose inputs are spelt as well.

    reading  of the ids.
    counted  the same reading of the numbers 1 … N in their place.
    """

    def __init__(
        self, reading: Reading, counted: Reading, places: np.ndarray, signs: np.ndarray
    ) -> None:
        self._reading, self._counted = reading, counted
        self._types, self._signs = np.append(0, places), signs
        self.batch, self.steps = reading.batch, reading.steps

    def batch_at(self, seed: int, epoch: int, step: int) -> Spelled:
        """Batch `step` of the reading, spelt."""
        batch = self._reading.batch_at(seed, epoch, step)
        at_TB = self._counted.batch_at(seed, epoch, step).inputs
        return Spelled(
            batch.inputs,
            self._signs[self._types[at_TB]],
            batch.targets,
            batch.mask,
            batch.fresh,
        )


def numbered(tokens: TokenArray) -> TokenArray:
    """The numbers 1 … N in place of a split's ids; 0 is left for the `<eos>` before
    the first of them."""
    return TokenArray(np.arange(1, len(tokens.ids) + 1), tokens.starts)


def unseen(words: Iterable[str], vocabulary: Vocabulary) -> list[str]:
    """Those that the vocabulary lacks, each once, in their order."""
    return list(dict.fromkeys(w for w in words if w not in vocabulary.index))

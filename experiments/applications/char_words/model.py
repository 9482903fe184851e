"""The network of a config, and what it makes of words."""

from typing import Any, NamedTuple

import jax
import numpy as np

from data_pipeline.spelling import Alphabet, Types
from data_pipeline.types import Dataset
from data_pipeline.vocabulary import UNK_ID
from experiments.applications.application import Prepared
from experiments.applications.char_words.config import CharWordsConfig
from lm.models.char_words import CharWords, build_char_words

AT_ONCE = 512  # words whose vectors are made together


class Source(NamedTuple):
    """What a run reads: the data, the types of all splits (None where the data are
    gone) and the characters that words are spelt in."""

    dataset: Dataset
    types: Types | None
    alphabet: Alphabet


def model_of(config: CharWordsConfig, prepared: Prepared) -> CharWords:
    """The network."""
    source: Source = prepared.source
    return build_char_words(
        config.model,
        source.dataset.vocabulary.size,
        source.alphabet.size,
        config.words,
        config.spelling,
        UNK_ID,
    )


def word_vectors(
    config: CharWordsConfig, prepared: Prepared, params: Any, words: list[str]
) -> np.ndarray:
    """(N, D) vectors of N words, made of their characters."""
    vectors = model_of(config, prepared).vectors
    assert vectors is not None
    signs_NW = prepared.source.alphabet.spell(words, config.spelling.longest)
    padded = np.pad(signs_NW, ((0, -len(words) % AT_ONCE), (0, 0)))
    made = jax.jit(vectors)
    chunks = [
        np.asarray(made(params, padded[i : i + AT_ONCE]))
        for i in range(0, len(padded), AT_ONCE)
    ]
    return np.concatenate(chunks)[: len(words)]

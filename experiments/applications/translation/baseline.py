"""Word by word: IBM Model 1, the baseline that is no neural network.

    P(f | e) = Π_j 1/(I + 1) Σ_i t(f_j | e_i)        (Brown et al. 1993, section 4.1)

t is found by expectation–maximisation on the training split. Each source word is
answered with its likeliest target word, in the order of the source: what is left to
win by order, agreement and words that stand for several.
"""

import numpy as np

from data_pipeline.pairs import EncodedPairs
from data_pipeline.types import TokenArray
from data_pipeline.vocabulary import EOS_ID, UNK_ID

ROUNDS, LEAST = 6, 0.1


def dictionary(pairs: EncodedPairs, sizes: tuple[int, int]) -> np.ndarray:
    """(V_source,) the likeliest target word of each source word; `<eos>` where none
    has a probability of at least .1.

    Args:
      sizes: of the two vocabularies.
    """
    keys, words = _together(pairs, sizes[1])
    distinct, pair_N = np.unique(keys, return_inverse=True)
    sources = distinct // sizes[1]
    table = np.ones(len(distinct))
    for _ in range(ROUNDS):
        weight_N = table[pair_N]
        total = np.bincount(words, weight_N)
        counts = np.bincount(pair_N, weight_N / total[words], len(distinct))
        table = counts / np.bincount(sources, counts, sizes[0])[sources]
    best = np.full(sizes[0], EOS_ID)
    order = np.argsort(table, kind="stable")
    kept = order[table[order] >= LEAST]
    best[sources[kept]] = distinct[kept] % sizes[1]
    best[UNK_ID] = EOS_ID
    return best


def _together(pairs: EncodedPairs, size: int) -> tuple[np.ndarray, np.ndarray]:
    """For all words of a target with all of its source: (source·size + target, number
    of the target word)."""
    keys, words, number = [], [], 0
    for n in range(len(pairs.sources.starts) - 1):
        source, target = _words(pairs.sources, n), _words(pairs.targets, n)
        keys.append((source[:, None] * size + target[None]).ravel())
        words.append(np.tile(np.arange(len(target)) + number, len(source)))
        number += len(target)
    return np.concatenate(keys), np.concatenate(words)


def _words(tokens: TokenArray, number: int) -> np.ndarray:
    """A sentence without its `<eos>`."""
    return tokens.ids[tokens.starts[number] : tokens.starts[number + 1] - 1].astype(
        np.int64
    )


def word_by_word(best: np.ndarray, sources: TokenArray) -> list[np.ndarray]:
    """An answer to each source."""
    found = []
    for number in range(len(sources.starts) - 1):
        words = best[_words(sources, number)]
        found.append(np.append(words[words != EOS_ID], EOS_ID))
    return found

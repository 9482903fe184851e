"""`morphology`: words made of stems and endings, most of them rare, in a language whose
exact probabilities are known.

A sentence is pairs of a word and a particle, and a full stop. A word is one of STEMS
stems with one of six endings, its class; the particle after it agrees with the class
most of the time, and so does the class of the next word:

    P(class₁) = 1/6    P(particle | class)    P(class_i+1 | class_i)    P(stop) = STOP
    P(stem k) ∝ 1/(k + FLAT)

Most words are too rare for a vocabulary, and some of a test split are in no training
split; the class of every one of them can be read off its last two letters.
"""

import functools
import itertools
import math
import random
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from data_pipeline.config import DataConfig
from data_pipeline.corpora.text import Text

ENDINGS = ("ar", "es", "im", "on", "ul", "ek")
PARTICLES = ("ba", "do", "fe", "gi", "hu", "jo")
STEMS, FLAT, STOP = 3_000, 20, 0.2
AGREE, STAY = 0.85, 0.5


class Language(NamedTuple):
    """The numbers: K classes, as many particles.

    stems         {stem: probability}.
    particles_KK  P(particle | class).
    classes_KK    P(next class | class).
    """

    stems: dict[str, float]
    particles_KK: np.ndarray
    classes_KK: np.ndarray


@functools.cache
def language() -> Language:
    """The language, always the same."""
    syllables = ["".join(pair) for pair in itertools.product("bdfgklmnprstvz", "aeiou")]
    stems = ["".join(pair) for pair in itertools.product(syllables, syllables)]
    random.Random("morphology").shuffle(stems)
    weights = 1 / (np.arange(STEMS) + FLAT)
    shares = (weights / weights.sum()).tolist()
    chosen = dict(zip(stems[:STEMS], shares, strict=True))
    return Language(chosen, _likelier(AGREE), _likelier(STAY))


def _likelier(own: float) -> np.ndarray:
    """(K, K) rows of probabilities: `own` on the diagonal, the rest shared alike."""
    others = (1 - own) / (len(ENDINGS) - 1)
    return np.where(np.eye(len(ENDINGS), dtype=bool), own, others)


def entropy_per_token() -> float:
    """Exact nats per token, `<eos>` counted: of a model that knows all words.

    A sentence has n pairs with probability STOP·(1−STOP)^(n−1), so 1/STOP on average,
    and 2n + 2 tokens.
    """

    def entropy(p) -> float:
        return float(-sum(x * math.log(x) for x in p))

    spoken = language()
    pairs = 1 / STOP
    each = entropy(spoken.stems.values()) + entropy(spoken.particles_KK[0])
    moves = (pairs - 1) * entropy(spoken.classes_KK[0])
    ends = pairs * entropy((STOP, 1 - STOP))
    nats = math.log(len(ENDINGS)) + pairs * each + moves + ends
    return nats / (2 * pairs + 2)


def sample(count: int, seed: int | str) -> list[str]:
    """`count` independent sentences as lines; a pure function of the seed."""
    spoken, chance = language(), random.Random(f"morphology:{seed}")
    stems = list(spoken.stems)
    reached = list(itertools.accumulate(spoken.stems.values()))
    kinds, lines = range(len(ENDINGS)), []
    for _ in range(count):
        words, kind = [], chance.choice(kinds)
        while True:
            (stem,) = chance.choices(stems, cum_weights=reached)
            (particle,) = chance.choices(PARTICLES, spoken.particles_KK[kind].tolist())
            words += [stem + ENDINGS[kind], particle]
            if chance.random() < STOP:
                break
            (kind,) = chance.choices(kinds, spoken.classes_KK[kind].tolist())
        lines.append(" ".join([*words, "."]) + "\n")
    return lines


def load(config: DataConfig) -> Text:
    """Three independent samples; validation and test a tenth of training's size."""
    sizes = {"train": config.grammar_sentences}
    sizes["valid"] = sizes["test"] = max(1, config.grammar_sentences // 10)
    splits = {name: sample(n, f"{config.seed}:{name}") for name, n in sizes.items()}
    facts = {"entropy_per_token": entropy_per_token()}
    return Text("morphology", splits, facts)


class Surprisal(NamedTuple):
    """nats (N,) of each token of some lines, `<eos>` included, and whether the token
    before it is unknown."""

    nats: np.ndarray
    after_unknown: np.ndarray


def surprisals(
    lines: Sequence[str], known: Collection[str], spelled: bool = True
) -> Surprisal:
    """−ln P of each token by the language itself, words that are not known being one
    token `<unk>`.

    spelled  whether the class of an unknown word is seen, or only guessed from what
             stands around it, as whoever reads `<unk>` must.
    """
    spoken, known = language(), frozenset(known)
    unknown_K = np.array(
        [
            sum(p for stem, p in spoken.stems.items() if stem + ending not in known)
            for ending in ENDINGS
        ]
    )
    nats: list[float] = []
    after: list[bool] = []
    for line in lines:
        words = line.split()
        believed_K = np.full(len(ENDINGS), 1 / len(ENDINGS))
        go_on, before = 1.0, False
        for word, particle in zip(words[:-1:2], words[1::2], strict=True):
            kind = ENDINGS.index(word[-2:])
            missing = word not in known
            emitted_K = unknown_K if missing else _only(kind, spoken.stems[word[:-2]])
            nats += [-math.log(go_on * believed_K @ emitted_K)]
            believed_K = believed_K * emitted_K / (believed_K @ emitted_K)
            believed_K = _only(kind, 1.0) if spelled else believed_K
            emitted_K = spoken.particles_KK[:, PARTICLES.index(particle)]
            nats += [-math.log(believed_K @ emitted_K)]
            believed_K = believed_K * emitted_K / (believed_K @ emitted_K)
            believed_K = believed_K @ spoken.classes_KK
            after += [before, missing]
            go_on, before = 1 - STOP, False
        nats += [-math.log(STOP), 0.0]
        after += [False, False]
    return Surprisal(np.array(nats), np.array(after))


def _only(kind: int, value: float) -> np.ndarray:
    """(K,) zeros but for one class."""
    return np.where(np.arange(len(ENDINGS)) == kind, value, 0.0)

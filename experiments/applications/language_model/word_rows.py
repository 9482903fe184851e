"""What a model says of each word of a line, as rows; and its states as arrays."""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from data_pipeline.vocabulary import Vocabulary
from experiments.applications.language_model.sentences import BASES, Sentence
from experiments.applications.language_model.words import (
    text_of,
    word_of,
    word_starts,
)

UNITS = ("word", "token")


class Row(NamedTuple):
    """A word, or a token, of a line.

    position           in the line, from 1.
    surprisal          −log P(word | everything before), the sum over its tokens.
    entropy            of the next token, before the word was read.
    entropy_reduction  max(0, entropy before the word − entropy after it): Hale 2006's
                       fall of uncertainty, with that of the next token in the place of
                       that of all that may follow. None of a line's last word.
    rank               of the word among all that could have come, 1 the likeliest;
                       None of a word of several tokens.
    unknown            whether it, or a token of it, is out of vocabulary.
    tokens             how many it has.
    guesses            (token, probability) of the likeliest at the word's first token.

    All numbers are None of a word that is not scored.
    """

    line: int | None
    position: int
    word: str
    surprisal: float | None
    entropy: float | None
    entropy_reduction: float | None
    rank: int | None
    unknown: bool
    tokens: int
    guesses: list[tuple[str, float]]


def rows_of(
    sentence: Sentence, vocabulary: Vocabulary, unit: str, base: str
) -> Iterator[Row]:
    """A row for each word or token of a line that was scored with details."""
    tokens, details = sentence.tokens, sentence.details
    if details is None:
        return
    named = word_of if unit == "word" else text_of
    starts = word_starts(vocabulary.tokenizer, tokens)
    bounds = starts if unit == "word" else list(range(len(tokens)))
    entropy = (details.entropy_TB / BASES[base]).tolist()
    for position, (begin, end) in enumerate(pairwise([*bounds, len(tokens)]), 1):
        own = slice(begin, end)
        row = Row(
            line=sentence.line.number,
            position=position,
            word=named(vocabulary, tokens[own]),
            surprisal=float(sentence.nats[own].sum(dtype=np.float64)) / BASES[base],
            entropy=entropy[begin],
            entropy_reduction=(
                max(0.0, entropy[begin] - entropy[end]) if end < len(tokens) else None
            ),
            rank=int(details.rank_TB[begin]) if end - begin == 1 else None,
            unknown=bool(sentence.unknown[own].any()),
            tokens=end - begin,
            guesses=[
                (text_of(vocabulary, vocabulary.decode([guess])), float(p))
                for guess, p in zip(
                    details.guesses_TBK[begin],
                    np.exp(details.logs_TBK[begin]),
                    strict=True,
                )
            ],
        )
        yield _blanked(row) if begin < sentence.blank else row


def _blanked(row: Row) -> Row:
    return row._replace(
        surprisal=None, entropy=None, entropy_reduction=None, rank=None, guesses=[]
    )


def states_of(sentences: Iterable[Sentence]) -> dict[str, np.ndarray]:
    """Arrays of N tokens, as they go into an .npz.

    states (N, H) float32: the top layer's output from which each token was guessed. It
      has read all tokens before; what it is after a token stands at the next one.
    line (N,), position (N,) int64 from 1; token (N,) text.
    """
    known = [s for s in sentences if s.details is not None and len(s.tokens)]
    lengths = [len(s.tokens) for s in known]
    lines = [s.line.number or at for at, s in enumerate(known, 1)]
    places = [np.arange(1, n + 1) for n in lengths]
    states = [s.details.hs_TBH for s in known if s.details is not None]
    return {
        "states": np.concatenate(states).astype(np.float32),  # type: ignore[arg-type]
        "line": np.repeat(np.array(lines, np.int64), lengths),
        "position": np.concatenate(places).astype(np.int64),
        "token": np.array([t for s in known for t in s.tokens], np.str_),
    }

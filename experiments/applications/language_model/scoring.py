"""Log-probabilities that a trained language model gives to text."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import NamedTuple

import jax
import numpy as np

from data_pipeline.errors import DataError
from data_pipeline.types import TokenArray
from experiments.applications.language_model.passes import by_itself, reader_of
from experiments.applications.language_model.pieces import (
    Piece,
    continued_pieces,
    pieces_of_lines,
    pieces_of_split,
    token_array,
)
from experiments.applications.language_model.reading import setting_of
from experiments.applications.language_model.sentences import Sentence
from experiments.applications.language_model.totals import nothing_to_score
from experiments.applications.language_model.trained import Trained
from experiments.applications.language_model.words import word_starts
from experiments.applications.lines import Line, lines_from
from lm.score import Details, make_details_step, make_score_step

CHUNK = 1 << 12  # lines by themselves that are held at once


class Asked(NamedTuple):
    """What is asked of each line besides its log-probability.

    details     entropy, rank and guesses of each token (`lm.score.Details`).
    top         how many guesses.
    states      the top layer's outputs.
    skip_first  the first word of a line is not scored: nothing stands before it.
    skip_end    what ends a line is left out.
    watch       called with the number of tokens that were read, now and then.
    """

    details: bool = False
    top: int = 0
    states: bool = False
    skip_first: bool = False
    skip_end: bool = False
    watch: Callable[[int], None] = lambda count: None


PLAIN = Asked()


def score_text(trained: Trained, lines: Sequence[Line]) -> list[Sentence]:
    """A text as training's evaluation reads one; a sentence for every line.

    Raises:
      DataError: where there is not a token in it.
    """
    return list(score_stream(trained, lines, alone=False))


def score_lines(trained: Trained, lines: Iterable[str | Line]) -> list[Sentence]:
    """Each line by itself, from the initial state, its end included; see
    `score_text`. A model of sentences cuts those over data.max_length as ever."""
    known = (x if isinstance(x, Line) else next(lines_from([x])) for x in lines)
    return list(score_stream(trained, known, alone=True))


def score_stream(
    trained: Trained, lines: Iterable[Line], alone: bool, asked: Asked = PLAIN
) -> Iterator[Sentence]:
    """`score_lines` where alone, else `score_text`. Lines that are read by themselves
    are scored CHUNK after CHUNK, so that any number of them can come."""
    setting = setting_of(trained.config, trained.vocabulary)

    def cut(chunk: list[Line]) -> list[Piece]:
        return pieces_of_lines(trained.vocabulary, setting, chunk, alone)

    return _stream(trained, lines, cut, alone, asked)


def score_continuations(
    trained: Trained, lines: Iterable[Line], asked: Asked = PLAIN
) -> Iterator[Sentence]:
    """Lines PREFIX<TAB>CONTINUATION: a sentence for each continuation, whose nats are
    −ln P(token | prefix and what of the continuation stands before it).

    Raises:
      DataError: for a line that is none, with its place.
    """
    setting = setting_of(trained.config, trained.vocabulary)

    def cut(chunk: list[Line]) -> list[Piece]:
        pairs = [parted(line) for line in chunk]
        prefixes, after = [p for p, _ in pairs], [line for _, line in pairs]
        return continued_pieces(trained.vocabulary, setting, prefixes, after)

    return _stream(trained, lines, cut, True, asked)


def parted(line: Line) -> tuple[str, Line]:
    """(prefix, the line as its continuation)."""
    prefix, tab, after = line.text.partition("\t")
    if not tab or "\t" in after or not after.strip():
        what = "is empty" if not line.text.strip() else "is no PREFIX<TAB>CONTINUATION"
        raise DataError(
            f"{line.place} {what}: --conditional needs one tab in each line, and "
            "words after it"
        )
    return prefix, line._replace(text=after)


def _stream(
    trained: Trained,
    lines: Iterable[Line],
    cut: Callable[[list[Line]], list[Piece]],
    alone: bool,
    asked: Asked,
) -> Iterator[Sentence]:
    score, source = scorer_of(trained, alone, asked), iter(lines)
    size = CHUNK if alone or by_itself(trained) else None
    held: list[Sentence] = []  # blank lines before the first token
    found = False
    while chunk := list(islice(source, size)):
        pieces = cut(chunk)
        held += score(pieces)
        found = found or any(len(piece.ids) for piece in pieces)
        if found:
            yield from held
            held = []
    if not found:
        raise nothing_to_score()


def score_split(
    trained: Trained, split: TokenArray, alone: bool, asked: Asked = PLAIN
) -> list[Sentence]:
    """The sentences of a split; alone: each by itself."""
    setting = setting_of(trained.config, trained.vocabulary)
    pieces = pieces_of_split(trained.vocabulary, setting, split, alone)
    score = scorer_of(trained, alone, asked)
    size = CHUNK if alone or by_itself(trained) else max(1, len(pieces))
    chunks = (pieces[at : at + size] for at in range(0, len(pieces), size))
    return [sentence for chunk in chunks for sentence in score(chunk)]


def scorer_of(
    trained: Trained, alone: bool, asked: Asked = PLAIN
) -> Callable[[list[Piece]], list[Sentence]]:
    """(pieces) -> a sentence for each; see `passes.reader_of`."""
    detailed = asked.details or asked.states
    step = partial(make_details_step, top=asked.top, states=asked.states)
    read = reader_of(trained, step if detailed else make_score_step, alone, asked.watch)
    name = trained.vocabulary.tokenizer

    def sentence(piece: Piece, nats: np.ndarray, details: Details | None) -> Sentence:
        end = len(piece.ids) - (asked.skip_end and piece.ends)
        at = slice(piece.given, end)
        tokens = piece.tokens[at]
        details = details and Details(*(x if x is None else x[at] for x in details))
        blank = word_starts(name, tokens)[1:2] if asked.skip_first else [0]
        first = blank[0] if blank else len(tokens)
        return Sentence(piece.line, tokens, piece.ids[at], nats[at], details, first)

    def score(pieces: list[Piece]) -> list[Sentence]:
        tokens = token_array(pieces)
        if not len(tokens.ids):
            return [sentence(p, np.zeros(0, np.float32), None) for p in pieces]
        tree = read(tokens)
        ends = np.cumsum([len(piece.ids) for piece in pieces]).tolist()
        shares = [slice(a, b) for a, b in zip([0, *ends], ends, strict=False)]
        if not detailed:
            return [
                sentence(p, tree[at], None)
                for p, at in zip(pieces, shares, strict=True)
            ]
        return [
            sentence(p, tree.nats_TB[at], jax.tree.map(lambda x: x[at], tree))  # noqa: B023
            for p, at in zip(pieces, shares, strict=True)
        ]

    return score


def score_tokens(
    trained: Trained, tokens: TokenArray, independent: bool = False
) -> np.ndarray:
    """nats (N,) float32 of each token, in the order of the text.

    independent: each of the token array's pieces from the initial state.
    """
    return reader_of(trained, make_score_step, independent)(tokens)

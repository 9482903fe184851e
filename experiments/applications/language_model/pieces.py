"""Text cut into what a model reads: tokens and ids that stay with their lines."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from data_pipeline.batches import cut
from data_pipeline.bpe import split_lines
from data_pipeline.tokenizers import tokenizer_named
from data_pipeline.types import TokenArray
from data_pipeline.vocabulary import EOS, EOS_ID, Vocabulary
from experiments.applications.language_model.reading import NEWLINE, Setting
from experiments.applications.lines import Line
from lm.types import Batch

SIZES = (4, 8, 12, 16, 20, 24, 28)  # shorter windows of lone lines than the longest


class Piece(NamedTuple):
    """A line (see `lines.Line`), its tokens as written and their ids (N,), what ends
    the line included; no tokens where a blank line leaves no trace in training.

    given  so many tokens at its beginning are a prefix: read, not scored.
    ends   whether its last token is what ends the line.
    """

    line: Line
    tokens: list[str]
    ids: np.ndarray
    given: int = 0
    ends: bool = False


def pieces_of_lines(
    vocabulary: Vocabulary, setting: Setting, lines: Sequence[Line], alone: bool
) -> list[Piece]:
    """A piece for every line, cut and cased as training's text was.

    alone: each line is a text of its own, and ends as the lines of training do; else
    together they are one text, which ends as it stands.
    """
    texts = [line.text.lower() if vocabulary.lower else line.text for line in lines]
    pieces = []
    for line, tokens in zip(lines, _split(vocabulary, texts), strict=True):
        if setting.marks:
            end = [EOS] if tokens else []
        elif alone:
            end = [] if setting.end is None else [NEWLINE]
        else:
            end = [NEWLINE] if line.ended else []
        tokens = [*tokens, *end]
        ids = vocabulary.encode(tokens)
        pieces.append(Piece(line, tokens, ids, ends=bool(end)))
    return pieces


def _split(vocabulary: Vocabulary, texts: list[str]) -> Iterable[list[str]]:
    if vocabulary.model:
        return split_lines(vocabulary.model, texts)
    return map(tokenizer_named(vocabulary.tokenizer).split, texts)


def pieces_of_split(
    vocabulary: Vocabulary, setting: Setting, tokens: TokenArray, alone: bool
) -> list[Piece]:
    """A piece for every sentence of a split, which knows no words but the vocabulary's;
    where it has no marks, for every line."""
    join = tokenizer_named(vocabulary.tokenizer, vocabulary.model).join
    starts = tokens.starts
    if not setting.marks:
        ends = np.flatnonzero(tokens.ids == vocabulary.index.get(NEWLINE, -1)) + 1
        starts = np.unique(np.concatenate([[0], ends, [len(tokens.ids)]]))
    pieces = []
    for begin, end in pairwise(starts.tolist()):
        ids = tokens.ids[begin:end]
        if alone and setting.end is not None and ids[-1] != setting.end:
            ids = np.append(ids, ids.dtype.type(setting.end))
        words = vocabulary.decode(ids)
        text = join([w for w in words if w != EOS]).removesuffix(NEWLINE)
        ends = words[-1] == (EOS if setting.marks else NEWLINE)
        pieces.append(Piece(Line(text), words, ids, ends=ends))
    return pieces


def continued_pieces(
    vocabulary: Vocabulary, setting: Setting, prefixes: Sequence[str], lines: list[Line]
) -> list[Piece]:
    """A piece for each line as what follows its prefix, which is `given`.

    The two are cut into tokens apart, so the seam is where the user set it; where
    neither side of it has white space, one space is put before the line. P(line |
    prefix) · P(prefix) is P(both) wherever the tokenizer cuts both together so too.
    """
    seams = [
        " " if before and not (before[-1].isspace() or line.text[:1].isspace()) else ""
        for before, line in zip(prefixes, lines, strict=True)
    ]
    texts = [f"{s}{x.text}" for s, x in zip(seams, lines, strict=True)]
    given = [Line(text) for text in prefixes]
    after = [x._replace(text=t) for x, t in zip(lines, texts, strict=True)]
    unended = setting._replace(marks=False, end=None)
    heads = pieces_of_lines(vocabulary, unended, given, alone=True)
    tails = pieces_of_lines(vocabulary, setting, after, alone=True)
    return [
        Piece(
            line,
            head.tokens + tail.tokens,
            np.concatenate([head.ids, tail.ids]),
            len(head.ids),
            tail.ends,
        )
        for line, head, tail in zip(lines, heads, tails, strict=True)
    ]


def token_array(pieces: Sequence[Piece]) -> TokenArray:
    """All pieces as one text; those without tokens leave no trace."""
    lengths = [len(piece.ids) for piece in pieces if len(piece.ids)]
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    ids = [piece.ids for piece in pieces if len(piece.ids)]
    return TokenArray(np.concatenate(ids) if ids else np.zeros(0, np.int64), starts)


def whole_text_batches(batches: Any, places: Any) -> Iterator[tuple[Batch, np.ndarray]]:
    """(batch, at_TB) of a reading: where each target stands in the text.

    places: the same reading of the positions 0 … N−1 in place of the ids.
    """
    for number in range(batches.steps):
        at_TB = places.batch_at(0, 0, number).targets
        yield batches.batch_at(0, 0, number), at_TB


def lone_line_batches(
    tokens: TokenArray, lanes: int, window: int, start: int, longest: int = 0
) -> Iterator[tuple[Batch, np.ndarray]]:
    """(batch, at_TB): each line from the initial state, in windows with carried state.

    Lines of about one length are read side by side, in windows of one of the `SIZES`
    up to `window`: however long they are, few shapes serve them all.

    longest: lines of more tokens are cut into pieces of so many, each from the initial
      state with the token before it as its first input (see `batches.cut`); 0: never.
    """
    starts, lengths = cut(tokens.starts, longest or max(1, len(tokens.ids)))
    begins = np.isin(starts, tokens.starts)
    order = np.argsort(lengths, kind="stable")
    sizes = np.array([*(s for s in SIZES if s < window), window])
    for first in range(0, len(order), lanes):
        chosen = order[first : first + lanes]
        starts_B, lengths_B = np.zeros((2, lanes), np.int64)
        starts_B[: len(chosen)] = starts[chosen]
        lengths_B[: len(chosen)] = lengths[chosen]
        anew_B = np.full(lanes, True)
        anew_B[: len(chosen)] = begins[chosen]
        begin = 0
        while begin < (end := int(lengths_B.max())):
            size = int(sizes[min(np.searchsorted(sizes, end - begin), len(sizes) - 1)])
            within_T1 = begin + np.arange(size)[:, None]
            real_TB = within_T1 < lengths_B
            at_TB = np.where(real_TB, starts_B + within_T1, 0)
            targets_TB = np.where(real_TB, tokens.ids[at_TB], EOS_ID).astype(np.int32)
            before_TB = tokens.ids[np.maximum(at_TB - 1, 0)]
            inside_TB = real_TB & ((within_T1 > 0) | ~anew_B)
            inputs_TB = np.where(inside_TB, before_TB, start).astype(np.int32)
            fresh_B = np.full(lanes, begin == 0)
            mask_TB = real_TB.astype(np.float32)
            yield Batch(inputs_TB, targets_TB, mask_TB, fresh_B), at_TB
            begin += size

"""Log-probabilities that a trained language model gives to text."""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from data_pipeline.errors import DataError
from data_pipeline.types import TokenArray
from data_pipeline.vocabulary import UNK_ID
from experiments.applications.language_model.pieces import (
    Piece,
    lone_line_batches,
    pieces_of_lines,
    pieces_of_split,
    token_array,
    whole_text_batches,
)
from experiments.applications.language_model.reading import (
    evaluation_batches,
    setting_of,
)
from experiments.applications.language_model.trained import Trained
from experiments.applications.lines import Line, lines_from
from lm.losses import perplexity
from lm.models.language_model import one_hot_rows
from lm.score import make_score_step
from lm.types import Batch

LOGITS = 1 << 26  # numbers in the logits of a batch of lines, at most


class Sentence(NamedTuple):
    """A scored line: its tokens as written, and ids and nats of each, (N,)."""

    line: Line
    tokens: list[str]
    ids: np.ndarray
    nats: np.ndarray

    @property
    def text(self) -> str:
        """The line as it stands."""
        return self.line.text

    @property
    def total(self) -> float:
        """−ln P(sentence)."""
        return float(np.sum(self.nats, dtype=np.float64))

    @property
    def perplexity(self) -> float | None:
        """exp(nats per token); None where there is no token."""
        return perplexity(self.total / len(self.nats)) if len(self.nats) else None

    @property
    def unknown(self) -> np.ndarray:
        """Which tokens the model reads as `<unk>`: (N,) bool."""
        return self.ids == UNK_ID

    @property
    def oov(self) -> list[str]:
        """These tokens, as written."""
        return [self.tokens[at] for at in np.flatnonzero(self.unknown)]

    def record(self, per_token: bool) -> dict[str, Any]:
        """As a JSON object."""
        found: dict[str, Any] = {
            "line": self.line.number,
            "text": self.text,
            "log_probability": 0.0 - self.total,
            "tokens": len(self.nats),
            "perplexity": self.perplexity,
            "oov": self.oov,
            "group": None if self.line.group is None else str(self.line.group),
        }
        for name in ("line", "group"):
            if found[name] is None:
                del found[name]
        if per_token:
            pairs = zip(self.tokens, self.nats.tolist(), strict=True)
            found["surprisals"] = [[token, nats] for token, nats in pairs]
        return found


def score_text(trained: Trained, lines: Sequence[Line]) -> list[Sentence]:
    """A text as training's evaluation reads one; a sentence for every line.

    Raises:
      DataError: where there is not a token in it.
    """
    setting = setting_of(trained.config, trained.vocabulary)
    pieces = pieces_of_lines(trained.vocabulary, setting, lines, alone=False)
    return _scored(trained, pieces, alone=False)


def score_lines(trained: Trained, lines: Iterable[str | Line]) -> list[Sentence]:
    """Each line by itself, from the initial state, its end included; see
    `score_text`. A model of sentences cuts those over data.max_length as ever."""
    known = [x if isinstance(x, Line) else next(lines_from([x])) for x in lines]
    setting = setting_of(trained.config, trained.vocabulary)
    pieces = pieces_of_lines(trained.vocabulary, setting, known, alone=True)
    return _scored(trained, pieces, alone=True)


def score_split(trained: Trained, split: TokenArray, alone: bool) -> list[Sentence]:
    """The sentences of a split; alone: each by itself."""
    setting = setting_of(trained.config, trained.vocabulary)
    pieces = pieces_of_split(trained.vocabulary, setting, split, alone)
    return _scored(trained, pieces, alone)


def _scored(trained: Trained, pieces: list[Piece], alone: bool) -> list[Sentence]:
    tokens = token_array(pieces)
    if not len(tokens.ids):
        raise DataError("there is no text to score: give lines with words in them")
    nats = score_tokens(trained, tokens, alone)
    ends = np.cumsum([len(piece.ids) for piece in pieces])
    shares = np.split(nats, ends[:-1])
    return [Sentence(*p, share) for p, share in zip(pieces, shares, strict=True)]


def score_tokens(
    trained: Trained, tokens: TokenArray, independent: bool = False
) -> np.ndarray:
    """nats (N,) float32 of each token, in the order of the text.

    independent: each of the token array's pieces from the initial state.
    """
    config = trained.config
    if independent and config.data.reading == "streams":
        lanes = LOGITS // (config.data.window * trained.vocabulary.size)
        lanes = max(1, min(config.train.eval_batch, lanes, len(tokens.starts) - 1))
        start = setting_of(config, trained.vocabulary).start
        batches = lone_line_batches(tokens, lanes, config.data.window, start)
    else:
        places = TokenArray(np.arange(len(tokens.ids)), tokens.starts)
        reading = evaluation_batches(config, tokens)
        batches = whole_text_batches(reading, evaluation_batches(config, places))
        lanes = reading.batch
    found = np.zeros(len(tokens.ids), np.float32)
    for real_TB, at_TB, nats_TB in _one_behind(_surprisals(trained, batches, lanes)):
        found[at_TB[real_TB]] = np.asarray(nats_TB)[real_TB]
    return found


def _surprisals(
    trained: Trained, batches: Iterable[tuple[Batch, np.ndarray]], lanes: int
) -> Iterator[tuple[np.ndarray, np.ndarray, Any]]:
    """(real_TB, at_TB, nats_TB) of each batch, the last still on the device."""
    model, params = trained.model, trained.params
    step = jax.jit(make_score_step(model), donate_argnums=1)
    carry = model.initial_state(params, lanes)
    for batch, at_TB in batches:
        real_TB = batch.mask > 0
        if trained.config.data.one_hot:
            batch = one_hot_rows(batch, model.vocabulary)
        carry, nats_TB = step(params, carry, batch)
        yield real_TB, at_TB, nats_TB


def _one_behind(items: Iterator[Any]) -> Iterator[Any]:
    """The same items, each when the next one is under way."""
    held = next(items, None)
    for item in items:
        yield held
        held = item
    if held is not None:
        yield held


def best_of_groups(sentences: Sequence[Sentence]) -> list[Sentence]:
    """The likeliest sentence of each group, groups in order of appearance. An empty
    hypothesis is taken only where its group has no other."""
    best: dict[Any, Sentence] = {}
    for sentence in sentences:
        held = best.setdefault(sentence.line.group, sentence)
        if _rank(sentence) < _rank(held):
            best[sentence.line.group] = sentence
    return list(best.values())


def _rank(sentence: Sentence) -> tuple[bool, float]:
    return not sentence.text.strip(), sentence.total


def total_of(sentences: Sequence[Sentence]) -> dict[str, Any]:
    """Nats per token, perplexity and counts over all sentences."""
    count = sum(len(s.nats) for s in sentences)
    unknown = sum(int(s.unknown.sum()) for s in sentences)
    mean = sum(s.total for s in sentences) / count
    return {
        "nats_per_token": mean,
        "perplexity": perplexity(mean),
        "bits_per_token": mean / math.log(2),
        "tokens": count,
        "sentences": sum(len(s.nats) > 0 for s in sentences),
        "oov": unknown,
        "unknown_rate": unknown / count,
    }

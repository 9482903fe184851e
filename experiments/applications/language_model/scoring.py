"""Log-probabilities that a trained language model gives to text."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import numpy as np

from data_pipeline.batches import Sentences, one_hot
from data_pipeline.dataset import prepare
from data_pipeline.errors import DataError
from data_pipeline.new_text import encode_text
from data_pipeline.tokenizers import tokenizer_named
from data_pipeline.tokens import EOS
from data_pipeline.types import TokenArray
from data_pipeline.vocabulary import UNK_ID
from experiments.applications.language_model.text import (
    Written,
    as_written,
    grouped,
    read_lines,
)
from experiments.run.files import RunError, plain
from experiments.score import Score
from experiments.train.evaluate import evaluation_batches
from experiments.train.trained import Trained, has_marks, load_trained
from lm.losses import perplexity
from lm.score import make_score_step

LOGITS = 1 << 26  # numbers in the logits of a batch of sentences, at most


class Sentence(NamedTuple):
    """A scored sentence: its text, tokens as written, and nats of each."""

    text: str
    tokens: list[str]
    nats: np.ndarray
    oov: list[str]
    group: str = ""

    @property
    def total(self) -> float:
        """−ln P(sentence)."""
        return float(np.sum(self.nats, dtype=np.float64))

    def record(self, per_token: bool) -> dict[str, Any]:
        """As a JSON object."""
        mean = self.total / max(1, len(self.nats))
        found: dict[str, Any] = {
            "text": self.text,
            "log_probability": -self.total,
            "tokens": len(self.nats),
            "perplexity": _perplexity(mean),
            "oov": self.oov,
        }
        if self.group:
            found["group"] = self.group
        if per_token:
            found["surprisals"] = [
                [t, float(n)] for t, n in zip(self.tokens, self.nats, strict=True)
            ]
        return plain(found)


def score(options: Score) -> list[Sentence]:
    """The sentences that the options name, scored."""
    trained = load_trained(options.run)
    marks = has_marks(trained.config, trained.vocabulary)
    if options.split:
        tokens = _split_of_run(trained, options.split)
        return sentences_of(trained, tokens, score_tokens(trained, tokens))
    lines = list(read_lines(options.text or "-"))
    if options.nbest:
        groups = list(grouped(lines))
        return score_lines(trained, [t for _, t in groups], [g for g, _ in groups])
    if options.independent:
        return score_lines(trained, [line for line in lines if line.strip()])
    tokens = encode_text(trained.vocabulary, None, lines, marks=marks)
    _refuse_empty(len(tokens.ids))
    written = as_written(trained.vocabulary, lines, marks)
    return sentences_of(trained, tokens, score_tokens(trained, tokens), written)


def score_lines(
    trained: "Trained", lines: Sequence[str], groups: Sequence[str] = ()
) -> list[Sentence]:
    """Each line by itself, from the initial state, its end mark included."""
    lines = [line.rstrip("\n") for line in lines]
    _refuse_empty(len(lines))
    tokens = encode_text(trained.vocabulary, None, lines, marks=True)
    _refuse_empty(len(tokens.ids))
    nats = score_tokens(trained, tokens, independent=True)
    written = as_written(trained.vocabulary, lines, True)
    found = sentences_of(trained, tokens, nats, written)
    if groups and len(found) == len(groups):
        found = [s._replace(group=g) for s, g in zip(found, groups, strict=True)]
    return found


def score_tokens(
    trained: "Trained", tokens: TokenArray, independent: bool = False
) -> np.ndarray:
    """nats (N,) float32 of each token, in the order of the text.

    The batches are those of training's evaluation, or whole sentences. Where each
    number belongs is found by reading the positions 0 … N−1 through the same batches.
    """
    model, params = trained.model, trained.params
    places = TokenArray(np.arange(len(tokens.ids)), tokens.starts)
    batches = _batches(trained, tokens, independent)
    positions = _batches(trained, places, independent)
    step = jax.jit(make_score_step(model), donate_argnums=1)
    carry = model.initial_state(params, batches.batch)
    found = np.zeros(len(tokens.ids), np.float32)
    for number in range(batches.steps):
        batch, place = batches.batch_at(0, 0, number), positions.batch_at(0, 0, number)
        if trained.config.data.one_hot:
            batch = one_hot(batch, model.vocabulary)
        carry, nats_TB = step(params, carry, batch)
        real_TB = place.mask > 0
        found[place.targets[real_TB]] = np.asarray(nats_TB)[real_TB]
    return found


def _batches(trained: "Trained", tokens: TokenArray, independent: bool):
    config = trained.config
    if not independent:
        return evaluation_batches(config, tokens)
    longest = int(np.diff(tokens.starts).max())
    lanes = LOGITS // (longest * trained.vocabulary.size)
    lanes = max(1, min(config.train.eval_batch, lanes, len(tokens.starts) - 1))
    return Sentences(tokens, lanes, longest, shuffle=False)


def sentences_of(
    trained: "Trained",
    tokens: TokenArray,
    nats: np.ndarray,
    written: Written | None = None,
) -> list[Sentence]:
    """Sentences cut at their marks, or at newlines where there are none."""
    vocabulary = trained.vocabulary
    words, lines = written or ([], [])
    known = len(words) == len(tokens.ids)
    words = words if known else vocabulary.decode(tokens.ids)
    starts = tokens.starts
    newline = vocabulary.index.get("\n")
    if len(starts) == 2 and newline is not None:
        ends = np.flatnonzero(tokens.ids == newline) + 1
        starts = np.unique(np.concatenate([[0], ends, [len(tokens.ids)]]))
    join = tokenizer_named(vocabulary.tokenizer, vocabulary.model).join
    found = []
    for number, (a, b) in enumerate(pairwise(starts.tolist())):
        here = words[a:b]
        text = join([w for w in here if w != EOS]).rstrip("\n")
        if len(lines) == len(starts) - 1:
            text = lines[number]
        unknown = [w for w, i in zip(here, tokens.ids[a:b], strict=True) if i == UNK_ID]
        oov = [w for w in unknown if not known or w not in vocabulary.index]
        found.append(Sentence(text, here, nats[a:b], oov))
    return found


def _perplexity(nats_per_token: float) -> float:
    return perplexity(nats_per_token)


def _split_of_run(trained: "Trained", name: str) -> TokenArray:
    """A split of the corpus that the run was trained on, as it is read today."""
    dataset = prepare(trained.config.data)
    if dataset.vocabulary != trained.vocabulary:
        raise RunError(
            f"the corpus {trained.config.data.corpus!r} is not what this run was "
            "trained on: it gives another vocabulary"
        )
    return dataset.splits[name]


def _refuse_empty(size: int) -> None:
    if size == 0:
        raise DataError("there is no text to score: give lines with words in them")

"""What a trained network answers: its outputs, the best path, the beam's strings."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from data_pipeline.transcribed import TranscribedSequences, Transcripts, batch_of
from data_pipeline.types import TokenArray
from experiments.applications.speech.config import PrefixSearchConfig, SpeechConfig
from experiments.applications.speech.data import Source
from experiments.ngram import fit, probabilities
from lm.ctc import BLANK, Hypothesis, Prior, prefix_beam_search, string_nats
from lm.models.transcriber import Transcriber, build_transcriber
from lm.types import Transcribed

FILLED = 64  # new sounds are filled up to a multiple of so many frames


class Answer(NamedTuple):
    """symbols: numbers of classes. steps: at which each begins. sure: its probability
    there."""

    symbols: list[int]
    steps: list[int]
    sure: list[float]


def model_of(config: SpeechConfig, source: Source) -> Transcriber:
    """The network."""
    model = config.model
    classes = len(source.classes)
    return build_transcriber(
        model, source.width, classes, model.stacked, model.both_ways
    )


def outputs(
    model: Transcriber, params: Any, found: Transcripts, buckets: int, lanes: int = 50
) -> list[np.ndarray]:
    """ln P(blank or symbol) at the steps of each sequence, (T′, V), in their order."""
    lanes = min(lanes, len(found.inputs))
    reading = TranscribedSequences(found, lanes, buckets, shuffle=False)
    answer = jax.jit(lambda batch: _log_chances(model, params, batch))
    logs: list[Any] = [None] * len(found.inputs)
    for step in range(reading.steps):
        members, _ = reading.buckets.at(0, 0, step)
        log_TBV, steps_B = map(np.asarray, answer(reading.batch_at(0, 0, step)))
        for lane, number in enumerate(members):
            logs[number] = log_TBV[: steps_B[lane], lane]
    return logs


def _log_chances(model: Transcriber, params: Any, batch: Transcribed) -> tuple:
    log_TBV = jax.nn.log_softmax(model.logits(params, batch))
    return log_TBV, jnp.sum(model.steps(batch.mask) > 0, axis=0)


class Listener:
    """The network of a run, asked about new sounds one at a time."""

    def __init__(self, model: Transcriber, params: Any) -> None:
        self._logs = jax.jit(lambda batch: _log_chances(model, params, batch)[0])
        self._nats = jax.jit(string_nats)
        self._model = model

    def __call__(self, frames_TD: np.ndarray) -> np.ndarray:
        """ln P(blank or symbol) at the steps of a sound: (T′, V)."""
        length = -(-len(frames_TD) // FILLED) * FILLED
        batch = batch_of([frames_TD], [np.zeros(0, int)], 1, length, 1)
        steps = int(np.sum(self._model.steps(batch.mask)))
        return np.asarray(self._logs(batch))[:steps, 0]

    def log_probability(self, log_TV: np.ndarray, symbols: Sequence[int]) -> float:
        """ln P(string | sound)."""
        log_T1V = np.asarray(log_TV)[:, None]
        labels_S1 = 1 + np.array(symbols, np.int32)[:, None]
        if not len(symbols):
            return float(log_TV[:, BLANK].sum())
        return -float(self._nats(log_T1V, np.ones(log_T1V.shape[:2]), labels_S1)[0])


def greedy(log_TV: np.ndarray) -> Answer:
    """The string of the best path, as `lm.ctc.best_path` has it."""
    best_T = log_TV.argmax(axis=1)
    before_T = np.append(BLANK, best_T[:-1])
    (steps,) = np.nonzero((best_T != before_T) & (best_T != BLANK))
    sure = np.exp(log_TV[steps, best_T[steps]])
    return Answer((best_T[steps] - 1).tolist(), steps.tolist(), sure.tolist())


def searched(
    log_TV: np.ndarray, search: PrefixSearchConfig, prior: Prior | None
) -> list[Hypothesis]:
    """The strings of the beam, the best first; their symbols are numbers of classes."""
    found = prefix_beam_search(log_TV, search.beam, prior, search.weight, search.bonus)
    return [one._replace(symbols=tuple(c - 1 for c in one.symbols)) for one in found]


def prior_of(config: SpeechConfig, source: Source) -> Prior | None:
    """The n-gram model of the strings of training; None where the config has none."""
    order, size = config.search.order, 1 + len(source.classes)
    if not order:
        return None
    ids = [1 + np.array(string) for string in source.strings]
    model = fit(_sentences([np.append(string, BLANK) for string in ids]), size, order)

    @functools.cache
    def after(context: tuple[int, ...]) -> np.ndarray:
        asked = [np.array([*context, sign]) for sign in range(size)]
        chances = probabilities(model, _sentences(asked))
        return np.log(chances[len(context) :: len(context) + 1])

    return lambda prefix: after(prefix[max(0, len(prefix) - order + 1) :])


def _sentences(strings: list[np.ndarray]) -> TokenArray:
    ends = np.cumsum([len(string) for string in strings])
    return TokenArray(np.concatenate(strings), np.append(0, ends))

"""Signals into classes: noisy tones, or recordings as log-mel frames, bound to the
classifier (lm.models.classifier).

Scores: "loss", −ln P(class) in nats a signal; "accuracy", the share of signals whose
most probable class is right, and its 95 % interval by Wilson's formula (1927).
"""

import hashlib
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from data_pipeline.batches import Reading
from data_pipeline.errors import DataError
from data_pipeline.labelled import Examples, LabelledSequences
from data_pipeline.recordings import examples_of, read_recordings
from data_pipeline.sounds import log_mel
from data_pipeline.tones import BANDS, GLIDES, ideal, tones
from experiments.applications.application import (
    Application,
    Final,
    Prepared,
    Restored,
)
from experiments.applications.classes import confusion, probabilities
from experiments.applications.lines import Line, read_lines
from experiments.applications.signals.baselines import baselines
from experiments.applications.signals.config import TONES, SignalsConfig
from experiments.applications.signals.shown import examples_shown, section
from experiments.applications.sounds import read_sounds
from experiments.results.intervals import wilson
from experiments.run.directory import read_kept
from experiments.run.record import Text
from lm.models.classifier import Classifier, build_classifier
from lm.problem import Problem
from lm.types import Labelled, Params

KEYS = {"train": 0, "valid": 1, "test": 2}


class Source(NamedTuple):
    """The classes by number, and how wide a vector is; `names` of the test signals."""

    classes: tuple[str, ...]
    width: int
    names: list[str]


def prepare(config: SignalsConfig) -> Prepared:
    """The signals of the three splits.

    Raises:
      DataError: for recordings that cannot be read, see `data_pipeline.recordings`.
    """
    return _tones(config) if config.data.corpus == TONES else _recordings(config)


def _tones(config: SignalsConfig) -> Prepared:
    data = config.data
    sizes = {"train": data.signals, "valid": data.looked, "test": data.examined}
    splits = {n: tones(sizes[n], data.strength, KEYS[n]) for n in sizes}
    known = hashlib.sha256()
    for split in splits.values():
        known.update(split.labels.tobytes())
        for signal in split.inputs:
            known.update(signal.tobytes())
    source = Source(GLIDES, BANDS, [f"signal {n}" for n in range(data.examined)])
    return _prepared(
        Text(TONES, known.hexdigest(), ""),
        splits,
        source,
        told=f"{data.signals:,} noisy tones of {BANDS} bands",
        facts={"optimum": ideal(splits["test"], data.strength)},
    )


def _recordings(config: SignalsConfig) -> Prepared:
    data = config.data
    found = read_recordings(data.corpus, data.rate)
    dealt = examples_of(found, data.rate, data.bands, data.speaker)
    splits = {name: examples for name, (examples, _) in dealt.items()}
    sizes = ", ".join(f"{name} {len(own.inputs):,}" for name, own in splits.items())
    apart = f"; {data.speaker} alone is the test split" if data.speaker else ""
    return _prepared(
        Text(Path(data.corpus).name, found.fingerprint, ""),
        splits,
        Source(found.classes, data.bands, dealt["test"][1]),
        told=f"recordings, {sizes}{apart}",
    )


def _prepared(text: Text, splits: dict[str, Examples], source: Source, **more: Any):
    kept = {"classes": source.classes, "width": source.width}
    return Prepared(
        text=text,
        splits=splits,
        size=len(splits["train"].inputs),
        save=lambda run: run.keep(kept),
        source=source,
        **more,
    )


def restore(config: SignalsConfig, directory: Path) -> Prepared:
    """The classes that the run kept."""
    kept = read_kept(directory)
    source = Source(tuple(kept["classes"]), kept["width"], [])
    return Prepared(Text(config.data.corpus, "", ""), {}, source=source)


def told(config: SignalsConfig) -> str:
    """The network in a few words."""
    model = config.model
    ways = "both ways" if model.both_ways else "one way"
    return (
        f"{model.layers}-layer {model.kind}, {model.hidden} units, read {ways}, "
        f"{model.pooling} pooling"
    )


def model_of(config: SignalsConfig, source: Source) -> Classifier:
    """The classifier."""
    model = config.model
    return build_classifier(
        model, source.width, len(source.classes), model.pooling, model.both_ways
    )


def problem(config: SignalsConfig, prepared: Prepared) -> Problem:
    """What is trained; it scores "loss" and "accuracy"."""
    return model_of(config, prepared.source).problem


def reading(
    config: SignalsConfig, prepared: Prepared, split: str, evaluation: bool = False
) -> Reading:
    """Signals of about the same length in a batch."""
    data, examples = config.data, prepared.splits[split]
    batch = config.train.eval_batch if evaluation else data.batch
    return LabelledSequences(examples, batch, data.buckets, shuffle=not evaluation)


def probed(config: SignalsConfig, prepared: Prepared) -> Labelled:
    """Signals of the validation split, spread over it; lag 0 is where all is read."""
    valid = prepared.splits["valid"]
    lanes = min(config.gradflow.lanes, len(valid.inputs))
    chosen = np.linspace(0, len(valid.inputs) - 1, lanes).astype(int)
    reading = LabelledSequences(valid.of(chosen), lanes, 1, shuffle=False)
    return reading.batch_at(0, 0, 0)


def example(restored: Restored) -> Labelled:
    """A noisy tone, as wide as the signals."""
    tone_TD = tones(1, 1.0, 3).inputs[0]
    width = restored.prepared.source.width
    inputs_TD = np.resize(tone_TD.T, (width, len(tone_TD))).T
    return alone(inputs_TD)


def alone(inputs_TD: np.ndarray) -> Labelled:
    """A signal as a batch."""
    inputs = np.ascontiguousarray(inputs_TD, np.float32)[:, None]
    ones = np.ones((len(inputs), 1), np.float32)
    return Labelled(inputs, ones, np.zeros(1, np.int32), np.ones(1, np.float32))


def final(config: SignalsConfig, prepared: Prepared, params: Params) -> Final:
    """Intervals of the accuracy, linear classifiers beside it, and the confusions."""
    model, buckets = model_of(config, prepared.source), config.data.buckets
    found = {
        split: probabilities(model, params, prepared.splits[split].inputs, buckets)
        for split in ("valid", "test")
    }
    intervals = {}
    for split, found_NC in found.items():
        right_N = found_NC.argmax(axis=1) == prepared.splits[split].labels
        low, high = wilson(int(right_N.sum()), len(right_N))
        intervals[split] = {"accuracy_low": low, "accuracy_high": high}
    source, test = prepared.source, prepared.splits["test"]
    return Final(
        scores=intervals,
        baselines=baselines(prepared.splits),
        examples={
            "classes": source.classes,
            "sound": config.data.corpus != TONES,
            "confusion": confusion(
                test.labels, found["test"].argmax(axis=1), len(source.classes)
            ),
            "signals": examples_shown(found["test"], test, source.names),
        },
    )


def predict(restored: Restored, path: str) -> Iterator[dict[str, Any]]:
    """The class of each signal, with its probability.

    A run on recordings takes a WAV file, or a file with the path of one a line. A run
    on tones takes a signal a line: vectors as numbers with commas, blanks between them.

    Raises:
      DataError: for a line that is no such signal.
    """
    config, source = restored.config, restored.prepared.source
    logits = partial(jax.jit(model_of(config, source).logits), restored.params)
    for text, signal_TD in signals(config, source, path):
        shares_C = np.asarray(jax.nn.softmax(logits(alone(signal_TD)))[0])
        answer = int(shares_C.argmax())
        yield {
            "text": text,
            "answer": source.classes[answer],
            "probability": float(shares_C[answer]),
            "probabilities": dict(zip(source.classes, shares_C.tolist(), strict=True)),
        }


def signals(
    config: SignalsConfig, source: Source, path: str
) -> Iterator[tuple[str, np.ndarray]]:
    """(what stands in the input, signal (T, D))."""
    data = config.data
    if data.corpus != TONES:
        for text, samples in read_sounds(path, data.rate):
            yield text, log_mel(samples, data.rate, data.bands)
        return
    for line in read_lines(path, option="--input"):
        yield line.text, parsed(line, source.width)


def parsed(line: Line, width: int) -> np.ndarray:
    """A line as (T, D) numbers; DataError where it is none."""
    try:
        vectors = [json.loads(f"[{word}]") for word in line.text.split()]
        found_TD = np.array(vectors, np.float32).reshape(-1, width)
        if len(found_TD) == len(vectors) > 0 and np.isfinite(found_TD).all():
            return found_TD
    except (ValueError, TypeError):
        pass
    raise DataError(
        f"{line.place} is no signal: {line.text[:40]!r}; give vectors of {width} "
        "numbers with commas between them, and a blank between two vectors"
    )


APPLICATION = Application(
    config=SignalsConfig,
    told=told,
    prepare=prepare,
    restore=restore,
    problem=problem,
    reading=reading,
    probed=probed,
    final=final,
    section=section,
    predict=predict,
    example=example,
    monitor="loss",
)

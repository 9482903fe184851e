"""Speech to symbols: tones of keys, or recordings joined to strings, as log-mel frames,
bound to the transcriber (lm.models.transcriber).

Scores: "loss", −ln P(string | sound) in nats a symbol; "symbol_errors" and
"string_errors" of the best path, see `experiments.applications.speech.scores`; the same
with "_beam" of the prefix beam search.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from data_pipeline.batches import Reading
from data_pipeline.joined import JoinedStrings
from data_pipeline.keypad import keypad
from data_pipeline.sounds import HOP, log_mel
from data_pipeline.transcribed import TranscribedSequences, Transcripts, batch_of
from experiments.applications.application import (
    Application,
    Final,
    Prepared,
    Restored,
)
from experiments.applications.sounds import read_sounds
from experiments.applications.speech.baselines import cut_at_silence, goertzel
from experiments.applications.speech.config import KEYPAD, SpeechConfig
from experiments.applications.speech.data import in_words, prepare, restore
from experiments.applications.speech.scores import errors
from experiments.applications.speech.searching import (
    Listener,
    greedy,
    model_of,
    outputs,
    prior_of,
    searched,
)
from experiments.applications.speech.shown import examples_shown, section
from lm.problem import Problem
from lm.types import Params, Transcribed


def told(config: SpeechConfig) -> str:
    """The network in a few words."""
    model = config.model
    ways = "both ways" if model.both_ways else "one way"
    return (
        f"{model.layers}-layer {model.kind}, {model.hidden} units, read {ways}, "
        f"{model.stacked} frames a step"
    )


def problem(config: SpeechConfig, prepared: Prepared) -> Problem:
    """What is trained; it scores "loss", "symbol_errors" and "string_errors"."""
    return model_of(config, prepared.source).problem


def reading(
    config: SpeechConfig, prepared: Prepared, split: str, evaluation: bool = False
) -> Reading:
    """Strings of about the same length in a batch; in training those of recordings are
    drawn anew for each epoch."""
    data, found = config.data, prepared.splits[split]
    batch = config.train.eval_batch if evaluation else data.batch
    if isinstance(found, Transcripts):
        shuffle = not evaluation
        return TranscribedSequences(found, batch, data.buckets, shuffle=shuffle)
    return JoinedStrings(found, batch, data.buckets)


def probed(config: SpeechConfig, prepared: Prepared) -> Transcribed:
    """The longest strings of the validation split, so that there is room for lags on
    both sides of lag 0, the middle of each."""
    valid = prepared.splits["valid"]
    lanes = min(config.gradflow.lanes, len(valid.inputs))
    lengths = np.array([len(frames) for frames in valid.inputs])
    chosen = np.argsort(-lengths, kind="stable")[:lanes]
    inputs, labels = ([part[n] for n in chosen] for part in valid[:2])
    longest, most = (max(map(len, part)) for part in (inputs, labels))
    return batch_of(inputs, labels, lanes, longest, most)


def example(restored: Restored) -> Transcribed:
    """A string of keys, with labels that the network has, in frames of its width."""
    config, source = restored.config, restored.prepared.source
    (one,) = keypad(1, 1.0, config.data.rate, 3)
    frames_TD = log_mel(one.samples, config.data.rate, source.width)
    labels = one.labels % len(source.classes)
    return batch_of([frames_TD], [labels], 1, len(frames_TD), len(labels))


def final(config: SpeechConfig, prepared: Prepared, params: Params) -> Final:
    """Errors of the beam search, and of strings of several recordings alone; what no
    neural network makes of the same strings; the confusions, and examples."""
    source, splits = prepared.source, prepared.splits
    model, prior = model_of(config, source), prior_of(config, source)
    scores: dict[str, dict[str, float]] = {}
    for split in ("valid", "test"):
        found = splits[split]
        logs = outputs(model, params, found, config.data.buckets)
        paths = [greedy(log_TV) for log_TV in logs]
        said = [path.symbols for path in paths]
        beams = [searched(log_TV, config.search, prior)[0].symbols for log_TV in logs]
        scores[split] = _apart(config, found, said) | {
            f"{name}_beam": value for name, value in errors(found.labels, beams).items()
        }
    return Final(
        scores=scores,
        baselines=_baselines(config, prepared),
        examples={
            "classes": source.classes,
            "seconds": HOP,
            "stacked": config.model.stacked,
            **examples_shown(splits["test"], logs, said, beams, len(source.classes)),
        },
    )


def _apart(
    config: SpeechConfig, found: Transcripts, said: list[list[int]]
) -> dict[str, float]:
    """Of recordings: errors of strings of several and of one, each alone."""
    if config.data.corpus == KEYPAD:
        return {}
    scores = {}
    for name, several in (("joined", True), ("single", False)):
        own = [
            n for n, string in enumerate(found.labels) if (len(string) > 1) == several
        ]
        if own:
            labels, answers = [found.labels[n] for n in own], [said[n] for n in own]
            scores[f"string_errors_{name}"] = errors(labels, answers)["string_errors"]
    return scores


def _baselines(config: SpeechConfig, prepared: Prepared) -> dict[str, Any]:
    source = prepared.source
    if config.data.corpus == KEYPAD:
        return goertzel(source.sounds, config.data.rate)
    return cut_at_silence(source.sounds, prepared.splits, len(source.classes))


def predict(
    restored: Restored, path: str, beam: int | None = None
) -> Iterator[dict[str, Any]]:
    """What each sound says: "answer", ln P(answer | sound), and each symbol with the
    second at which it begins and its probability there; with a beam, the strings that
    it kept.

    path  a WAV file, or a file with the path of one a line.

    Raises:
      DataError: for a line that is no such sound.
    """
    config, source = restored.config, restored.prepared.source
    listener = Listener(model_of(config, source), restored.params)
    prior = prior_of(config, source)
    for text, samples in read_sounds(path, config.data.rate):
        log_TV = listener(log_mel(samples, config.data.rate, source.width))
        if beam is None:
            best = greedy(log_TV)
            told = {
                "answer": in_words(source.classes, best.symbols),
                "log_probability": listener.log_probability(log_TV, best.symbols),
                "symbols": [
                    {
                        "symbol": source.classes[symbol],
                        "seconds": round(step * config.model.stacked * HOP, 3),
                        "probability": sure,
                    }
                    for symbol, step, sure in zip(*best, strict=True)
                ],
            }
        else:
            found = searched(log_TV, replace(config.search, beam=beam), prior)
            strings = [
                {
                    "answer": in_words(source.classes, one.symbols),
                    "log_probability": one.log_probability,
                    "score": one.score,
                }
                for one in found
            ]
            told = {**strings[0], "hypotheses": strings}
        yield {"text": text, **told}


APPLICATION = Application(
    config=SpeechConfig,
    told=told,
    prepare=prepare,
    restore=restore,
    problem=problem,
    reading=reading,
    probed=probed,
    final=final,
    section=section,
    predict=predict,
    searches=True,
    example=example,
    monitor="loss",
)

"""Sounds and what they say, read and split."""

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from data_pipeline.joined import (
    Spoken,
    check_recordings,
    spoken,
    strings_of,
    transcripts,
)
from data_pipeline.keypad import KEYS, Dialled, keypad
from data_pipeline.recordings import dealt, read_recordings
from data_pipeline.sounds import log_mel
from data_pipeline.transcribed import Transcripts, check_alignments
from experiments.applications.application import Prepared
from experiments.applications.speech.config import KEYPAD, SpeechConfig
from experiments.run.directory import read_kept
from experiments.run.record import Text

SPLITS = {"train": 0, "valid": 1, "test": 2}
OPTIMUM = {"symbol_errors": 0.0, "string_errors": 0.0}
KNOWN = 1.0  # noise up to which filters that no one trained make no error


class Source(NamedTuple):
    """classes: by number. width: of a frame. strings: those of training, which a prior
    is counted over, where there is to be one. sounds: of `keypad`, by split; of
    recordings, those of training as (frames of power, numbers of classes)."""

    classes: tuple[str, ...]
    width: int
    strings: list[list[int]]
    sounds: Any = None


def prepare(config: SpeechConfig) -> Prepared:
    """The strings of the three splits.

    Raises:
      DataError: for recordings that cannot be read (`data_pipeline.recordings`), or a
        string that is too short for its symbols, named.
    """
    return _keypad(config) if config.data.corpus == KEYPAD else _recordings(config)


def _keypad(config: SpeechConfig) -> Prepared:
    data, known = config.data, hashlib.sha256()
    sizes = {"train": data.strings, "valid": data.looked, "test": data.examined}
    sounds = {n: keypad(sizes[n], data.noise, data.rate, SPLITS[n]) for n in sizes}
    for dialled in sounds.values():
        for one in dialled:
            known.update(one.labels.tobytes() + one.samples.tobytes())
    splits = {name: _heard(dialled, config) for name, dialled in sounds.items()}
    for name, found in splits.items():
        check_alignments(found, config.model.stacked, KEYS, name)
    train = splits["train"].labels
    return _prepared(
        config,
        Text(KEYPAD, known.hexdigest(), ""),
        splits,
        Source(KEYS, data.bands, [string.tolist() for string in train], sounds),
        size=sum(map(len, train)),
        told=f"{data.strings:,} strings of keys in noise",
        facts={"optimum": OPTIMUM} if data.noise <= KNOWN else {},
    )


def _heard(dialled: list[Dialled], config: SpeechConfig) -> Transcripts:
    """As log-mel frames."""
    data = config.data
    return Transcripts(
        [log_mel(one.samples, data.rate, data.bands) for one in dialled],
        [one.labels for one in dialled],
        [f"string {n}" for n in range(len(dialled))],
    )


def _recordings(config: SpeechConfig) -> Prepared:
    data = config.data
    found = read_recordings(data.corpus, data.rate)
    parts: dict[str, Spoken] = {
        name: spoken(own, found.classes, data.rate, data.bands)
        for name, own in dealt(found, data.speaker).items()
    }
    train = parts["train"]
    check_recordings(train, config.model.stacked)
    splits: dict[str, Any] = {"train": train}
    for name in ("valid", "test"):
        splits[name] = transcripts(parts[name], data.rounds, SPLITS[name])
        check_alignments(splits[name], config.model.stacked, found.classes, name)
    sizes = ", ".join(f"{name} {len(own.power):,}" for name, own in parts.items())
    apart = f"; {data.speaker} alone is the test split" if data.speaker else ""
    drawn = strings_of(train.speakers, config.seed, 0)
    return _prepared(
        config,
        Text(Path(data.corpus).name, found.fingerprint, ""),
        splits,
        Source(
            found.classes,
            data.bands,
            [train.labels[string.members].tolist() for string in drawn],
            train,
        ),
        size=len(train.power),
        told=f"strings of recordings, {sizes}{apart}",
    )


def _prepared(config: SpeechConfig, text: Text, splits: dict, source: Source, **more):
    kept = {"classes": source.classes, "width": source.width, "strings": []}
    if config.search.order:
        kept["strings"] = source.strings
    return Prepared(
        text=text,
        splits=splits,
        save=lambda run: run.keep(kept),
        source=source,
        **more,
    )


def restore(config: SpeechConfig, directory: Path) -> Prepared:
    """The classes that the run kept, and the strings of its prior."""
    kept = read_kept(directory)
    source = Source(tuple(kept["classes"]), kept["width"], kept["strings"])
    return Prepared(Text(config.data.corpus, "", ""), {}, source=source)


def in_words(classes: tuple[str, ...], string: Any) -> str:
    """A string of numbers of classes as text: signs beside each other, words apart."""
    apart = "" if all(len(name) == 1 for name in classes) else " "
    return apart.join(classes[n] for n in np.asarray(string, int))

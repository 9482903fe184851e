"""Strings of recordings: what one speaker said, joined with silence, drawn anew.

A string is 1, 3, 4 or 5 recordings of a speaker, with silence of 50 to 300 ms before,
between and behind them. Everyone's recordings are shuffled and cut into strings, so
that each recording is in one of them. Log-mel frames of a string are those of its
samples, silence being zeros; they are put together from the power of each recording's
frames, which is found once.
"""

import functools
from typing import NamedTuple

import numpy as np

from data_pipeline.buckets import Bucketed, bucket_lengths
from data_pipeline.errors import DataError
from data_pipeline.order import random_bits, shuffled
from data_pipeline.recordings import Recording
from data_pipeline.sounds import frame_and_hop, mel_power, normalised
from data_pipeline.transcribed import Transcripts, batch_of
from lm.types import Transcribed

SIZES = (1, 3, 4, 5)
SHORTEST, LONGEST = 5, 30  # hops of silence
TRIED = 32  # epochs from which the lengths to pad to are chosen


class Spoken(NamedTuple):
    """The recordings of a split, each apart.

    power     of each, (F, D): its frames, with those before it that reach into it.
    labels    (R,) the number of its class. speakers: (R,) the number of who speaks.
    names     of the recordings.
    lead      how many frames reach into a recording before it begins.
    """

    power: list[np.ndarray]
    labels: np.ndarray
    speakers: np.ndarray
    names: list[str]
    lead: int


class String(NamedTuple):
    """members: numbers of recordings. silences: hops before each, and behind all."""

    members: np.ndarray
    silences: np.ndarray


def spoken(
    recordings: list[Recording], classes: tuple[str, ...], rate: int, bands: int
) -> Spoken:
    """The recordings as frames of power, ready to be joined."""
    frame, hop = frame_and_hop(rate)
    lead = (frame - 1) // hop
    power = []
    for one in recordings:
        behind = -len(one.samples) % hop + frame - hop
        samples = np.pad(one.samples, (lead * hop, behind))
        power.append(mel_power(samples, rate, bands).astype(np.float32))
    people = sorted({one.speaker for one in recordings})
    return Spoken(
        power,
        np.array([classes.index(one.label) for one in recordings], np.int32),
        np.array([people.index(one.speaker) for one in recordings]),
        [f"{one.label}_{one.speaker}_{one.index}" for one in recordings],
        lead,
    )


def sizes_of(recordings: int) -> list[int]:
    """How many recordings each string of a speaker has: 1, 3, 4, 5, 1, 3, …; what is
    left over is a string, or strings of one."""
    found: list[int] = []
    while (left := recordings - sum(found)) > 0:
        size = SIZES[len(found) % len(SIZES)]
        found += [size] if size <= left else [left] if left in SIZES else [1] * left
    return found


def strings_of(speakers: np.ndarray, *key: int) -> list[String]:
    """Each recording in one string of its speaker, the same for the same key."""
    found: list[String] = []
    for speaker in np.unique(speakers):
        own = np.flatnonzero(speakers == speaker)
        own = own[shuffled(len(own), *key, int(speaker), 0)]
        sizes = sizes_of(len(own))
        spread = np.uint64(LONGEST - SHORTEST + 1)
        drawn = random_bits(len(own) + len(sizes), *key, int(speaker), 1) % spread
        silences = SHORTEST + drawn.astype(int)
        ends, gaps = np.cumsum(sizes)[:-1], np.cumsum([n + 1 for n in sizes])[:-1]
        pairs = zip(np.split(own, ends), np.split(silences, gaps), strict=True)
        found += [String(*pair) for pair in pairs]
    return found


def length_of(recordings: Spoken, string: String) -> int:
    """How many frames a string has."""
    hops = [len(recordings.power[n]) - recordings.lead for n in string.members]
    return sum(hops) + int(string.silences.sum()) - recordings.lead


def frames_of(recordings: Spoken, string: String) -> np.ndarray:
    """(T, D) log-mel frames of a string, as `log_mel` of its samples has them."""
    lead, at = recordings.lead, 0
    width = recordings.power[0].shape[1]
    power_TD = np.zeros((length_of(recordings, string), width))
    for number, silence in zip(string.members, string.silences, strict=False):
        own_FD = recordings.power[number]
        at += silence
        power_TD[at - lead : at - lead + len(own_FD)] = own_FD
        at += len(own_FD) - lead
    return normalised(power_TD)


def transcripts(recordings: Spoken, rounds: int, *key: int) -> Transcripts:
    """Strings that stay: each recording is in `rounds` of them."""
    found = [
        string
        for number in range(rounds)
        for string in strings_of(recordings.speakers, *key, number)
    ]
    return Transcripts(
        [frames_of(recordings, string) for string in found],
        [recordings.labels[string.members] for string in found],
        ["+".join(recordings.names[n] for n in string.members) for string in found],
    )


def check_recordings(recordings: Spoken, stacked: int) -> None:
    """Refuses recordings of which a string could be too short to be aligned.

    stacked  frames in a step of the network.

    Raises:
      DataError: naming one with fewer than two steps, which it needs beside its like.
    """
    for name, power_FD in zip(recordings.names, recordings.power, strict=True):
        frames = len(power_FD) - recordings.lead + SHORTEST
        if frames < 2 * stacked:
            raise DataError(
                f"train: {name} has no alignment beside its like: with the silence "
                f"before it, it has {frames} frames, fewer than two steps of "
                f"{stacked}: lower model.stacked, or leave the recording out"
            )


class JoinedStrings:
    """A reading of recordings as strings that are drawn anew for each (seed, epoch),
    each recording once an epoch; padded to one of a few lengths."""

    def __init__(self, recordings: Spoken, batch: int, buckets: int = 4) -> None:
        self.recordings, self.batch = recordings, batch
        tried = [
            length_of(recordings, string)
            for epoch in range(TRIED)
            for string in strings_of(recordings.speakers, -1, epoch)
        ]
        longest = sorted(len(power_FD) for power_FD in recordings.power)[-max(SIZES) :]
        most = sum(longest) + (max(SIZES) + 1) * LONGEST
        self._padded = np.append(bucket_lengths(np.array(tried), buckets), most)
        self.steps = -(-len(strings_of(recordings.speakers, 0, 0)) // batch)

    def batch_at(self, seed: int, epoch: int, step: int) -> Transcribed:
        """Batch `step` < `steps` of an epoch."""
        strings, buckets = self._epoch(seed, epoch)
        members, length = buckets.at(seed, epoch, step)
        chosen = [strings[n] for n in members]
        inputs = [frames_of(self.recordings, string) for string in chosen]
        labels = [self.recordings.labels[string.members] for string in chosen]
        return batch_of(inputs, labels, self.batch, length, max(SIZES))

    @functools.lru_cache(maxsize=4)  # noqa: B019 (lives as long as the data)
    def _epoch(self, seed: int, epoch: int) -> tuple[list[String], Bucketed]:
        """The strings of an epoch, and which make a batch."""
        strings = strings_of(self.recordings.speakers, seed, epoch)
        lengths = np.array([length_of(self.recordings, one) for one in strings])
        return strings, Bucketed(lengths, self.batch, shuffle=True, padded=self._padded)

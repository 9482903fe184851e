"""`keypad`: strings of keys of a telephone as pairs of tones (DTMF) in white noise.

Each of 16 keys is a sum of two sinusoids, one of four low and one of four high
frequencies (ITU-T Recommendation Q.23). A tone and a pause last 40 to 100 ms each, 40
being the least that Q.24 has receivers take; phases and lengths are uniform, strings
have 3 to 8 keys, and n_t ~ N(0, σ²) is added to everything, σ = `noise` times the
amplitude of a sinusoid.

For one key against another that shares a frequency with it, all lengths known, the
likeliest is wrong with probability ½·exp(−E/2N₀), E/N₀ = N/4σ² for a sinusoid of
amplitude 1 over N samples (orthogonal tones of unknown phase: Proakis 2001, section
5.4): .5·e⁻⁴⁰ for the shortest tone at σ = 1. So all keys right is possible.
"""

from typing import NamedTuple

import numpy as np

from data_pipeline.order import random_bits, random_uniform
from data_pipeline.tones import gaussian

KEYS = tuple("123A456B789C*0#D")
LOW, HIGH = (697, 770, 852, 941), (1209, 1336, 1477, 1633)  # Hz
FEWEST, MOST = 3, 8
SHORTEST, LONGEST = 0.040, 0.100  # seconds, of tones and of pauses
AMPLITUDE = 0.08  # of a sinusoid, full scale being 1
STEPS = 2**15  # samples are multiples of 1/STEPS, as in a WAV file


class Dialled(NamedTuple):
    """samples (N,) float32 in [−1, 1); labels (S,) numbers of keys."""

    samples: np.ndarray
    labels: np.ndarray


def keypad(count: int, noise: float, rate: int, *key: int) -> list[Dialled]:
    """Strings of keys, the same for the same key everywhere.

    noise  σ, in amplitudes of a sinusoid. key: numbers that draw others.
    """
    spread = np.uint64(MOST - FEWEST + 1)
    size_N = FEWEST + (random_bits(count, *key, 0) % spread).astype(int)
    return [
        _dialled(int(size), noise, rate, *key, number)
        for number, size in enumerate(size_N)
    ]


def _dialled(size: int, noise: float, rate: int, *key: int) -> Dialled:
    labels = (random_bits(size, *key, 1) % np.uint64(len(KEYS))).astype(np.int32)
    seconds = SHORTEST + (LONGEST - SHORTEST) * random_uniform(2 * size + 1, *key, 2)
    lengths = np.round(seconds * rate).astype(int)  # pause, tone, pause, …, pause
    starts = np.cumsum(lengths)[:-1]
    phases = 2 * np.pi * random_uniform(2 * size, *key, 3).reshape(size, 2)
    sound = noise * gaussian(int(lengths.sum()), *key, 4)
    for label, start, end, phase in zip(
        labels, starts[::2], starts[1::2], phases, strict=True
    ):
        sound[start:end] += tone_of(int(label), end - start, rate, phase)
    steps = np.round(AMPLITUDE * STEPS * sound).clip(-STEPS, STEPS - 1)
    return Dialled((steps / STEPS).astype(np.float32), labels)


def tone_of(label: int, length: int, rate: int, phase: np.ndarray) -> np.ndarray:
    """(length,) the two sinusoids of a key, of amplitude 1 each."""
    pair = np.array([LOW[label // 4], HIGH[label % 4]])
    times = np.arange(length)[:, None] / rate
    return np.sin(2 * np.pi * pair * times + phase).sum(axis=1)

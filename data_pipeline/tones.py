"""`tones`: noisy tones that glide through D bands; the best classifier is known.

    x_t = a·g(p_c((t − o + ½)/L)) + n_t    for o ≤ t < o + L, else n_t
    g(p)_d = exp(−½(d − (D − 1)·p)²)       n_t ~ N(0, I)

The class c says how the tone moves, p_c(u): up (u), down (1 − u), up and down
(1 − |2u − 1|), down and up (|2u − 1|). All four visit the bands about equally long, so
that only their order tells them apart. T and the onset o are drawn uniformly.

Given c and o the signal is Gaussian, and o is uniform: the ideal observer's posterior
P(c | x) ∝ Σ_o exp(⟨x, m_co⟩ − ½‖m_c‖²) is exact (Van Trees 1968, chapter 4.4). Nobody
is right more often, or has a smaller mean −ln P(c | x) in expectation.
"""

import numpy as np

from data_pipeline.labelled import Examples
from data_pipeline.order import random_bits, random_uniform

GLIDES = ("up", "down", "up_down", "down_up")
BANDS, LASTING = 6, 12
SHORTEST, LONGEST = 14, 24
GRID = 1024  # values are multiples of 1/GRID, so that they are the same everywhere


def templates(strength: float) -> np.ndarray:
    """(C, L, D): the tone of each class."""
    u_L = (np.arange(LASTING) + 0.5) / LASTING
    ways = (u_L, 1 - u_L, 1 - np.abs(2 * u_L - 1), np.abs(2 * u_L - 1))
    apart = np.arange(BANDS) - (BANDS - 1) * np.stack(ways)[..., None]
    return strength * np.exp(-0.5 * apart**2)


def tones(count: int, strength: float, *key: int) -> Examples:
    """Signals (T, 6) with T from 14 to 24, and the number of each one's glide.

    strength  a, in standard deviations of the noise. key: numbers that draw others.
    """
    label_N = (random_bits(count, *key, 0) % np.uint64(len(GLIDES))).astype(np.int32)
    spread = np.uint64(LONGEST - SHORTEST + 1)
    steps_N = SHORTEST + (random_bits(count, *key, 1) % spread).astype(int)
    onset_N = random_uniform(count, *key, 2) * (steps_N - LASTING + 1)
    noise = gaussian(count * LONGEST * BANDS, *key, 3)
    signals = noise.reshape(count, LONGEST, BANDS)
    tone_CLD = templates(strength)
    for number, onset in enumerate(onset_N.astype(int)):
        signals[number, onset : onset + LASTING] += tone_CLD[label_N[number]]
    signals = (np.round(signals * GRID) / GRID).astype(np.float32)
    return Examples(
        [signal[:steps] for signal, steps in zip(signals, steps_N, strict=True)],
        label_N,
    )


def gaussian(size: int, *key: int) -> np.ndarray:
    """(size,) standard normal numbers (Box & Muller 1958)."""
    radius = np.sqrt(-2 * np.log(random_uniform(size, *key, 0)))
    return radius * np.cos(2 * np.pi * random_uniform(size, *key, 1))


def posteriors(examples: Examples, strength: float) -> np.ndarray:
    """(N, C): the ideal observer's P(class | signal)."""
    tone_CLD = templates(strength)
    energy_C = np.sum(tone_CLD**2, axis=(1, 2))
    log_NC = np.empty((len(examples.inputs), len(GLIDES)))
    for number, signal in enumerate(examples.inputs):
        seen_ODL = np.lib.stride_tricks.sliding_window_view(signal, LASTING, axis=0)
        fits_OC = np.einsum("odl,cld->oc", seen_ODL, tone_CLD, optimize=True)
        terms_OC = fits_OC - energy_C / 2
        log_NC[number] = np.logaddexp.reduce(terms_OC, axis=0)
    return np.exp(log_NC - np.logaddexp.reduce(log_NC, axis=1, keepdims=True))


def ideal(examples: Examples, strength: float) -> dict[str, float]:
    """ "loss" (mean −ln P(class), nats) and "accuracy" of the ideal observer."""
    found_NC = posteriors(examples, strength)
    right_N = found_NC[np.arange(len(found_NC)), examples.labels]
    accuracy = np.mean(np.argmax(found_NC, axis=1) == examples.labels)
    return {"loss": float(-np.mean(np.log(right_N))), "accuracy": float(accuracy)}

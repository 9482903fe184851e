"""Series that are made here: a noisy seasonal process whose best forecast is known, and
two chaotic systems.

Values are computed by additions, multiplications and rounding to a grid, so that they
are the same on every machine.
"""

from typing import NamedTuple

import numpy as np

from data_pipeline.tones import gaussian

PERIOD, PHI, SEASONAL = 4, 0.5, 0.8
GRID = 1024


class Truth(NamedTuple):
    """What is known of each value before it comes: mean and standard deviation."""

    mean: np.ndarray
    deviation: np.ndarray


def seasonal_ar(length: int, seed: int) -> tuple[np.ndarray, Truth]:
    """(N,) values of a seasonal autoregression, and what they were drawn from.

        μ_t = φ·x_{t−1} + Φ·x_{t−4} − φΦ·x_{t−5}     φ = ½, Φ = .8
        σ_t = exp(½·u/(1 + |u|)), u = x_{t−1}          x_t ~ N(μ_t, σ_t²)

    That is (1 − φB)(1 − ΦB⁴)x = σε (Box & Jenkins 1970, chapter 9) with noise that
    grows with the value before. Nobody forecasts it with a smaller mean −ln density
    than by N(μ_t, σ_t²), or a smaller squared error than by μ_t.
    """
    noise = gaussian(length + 10 * PERIOD, seed)
    x = [0.0] * (PERIOD + 1)
    means, deviations = [], []
    for ε in noise.tolist():
        last = x[-1]
        mean = PHI * last + SEASONAL * x[-PERIOD] - PHI * SEASONAL * x[-PERIOD - 1]
        deviation = float(np.exp(0.5 * last / (1 + abs(last))))
        x.append(round((mean + deviation * ε) * GRID) / GRID)
        means.append(mean)
        deviations.append(deviation)
    truth = Truth(np.array(means[-length:]), np.array(deviations[-length:]))
    return np.array(x[-length:]), truth


def mackey_glass(length: int, seed: int) -> np.ndarray:
    """(N,) values of x′ = .2·x(t − 17)/(1 + x(t − 17)¹⁰) − .1·x (Mackey & Glass 1977),
    one a unit of time, by the fourth-order method of Runge and Kutta with steps of .1;
    between its steps the delayed value is the mean of its neighbours. seed: where on
    the attractor it starts."""
    step, per_unit, delay = 0.1, 10, 170
    x = [1.2] * (delay + 1)

    def slope(now: float, before: float) -> float:
        square = before * before
        fourth = square * square
        return 0.2 * before / (1 + fourth * fourth * square) - 0.1 * now

    for _ in range((length + 500 + 100 * seed) * per_unit):
        now, old, next_old = x[-1], x[-delay - 1], x[-delay]
        between = (old + next_old) / 2
        k1 = slope(now, old)
        k2 = slope(now + step / 2 * k1, between)
        k3 = slope(now + step / 2 * k2, between)
        k4 = slope(now + step * k3, next_old)
        x.append(now + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4))
    return np.array(x[-length * per_unit :: per_unit])


def lorenz(length: int, seed: int) -> np.ndarray:
    """(N,) values of x in x′ = 10(y − x), y′ = x(28 − z) − y, z′ = xy − 8z/3 (Lorenz
    1963), every .1 units of time, by the fourth-order method of Runge and Kutta with
    steps of .01. seed: where on the attractor it starts."""
    step, per_value = 0.01, 10
    state = (1.0, 1.0, 20.0)

    def slope(state: tuple[float, ...]) -> tuple[float, ...]:
        x, y, z = state
        return 10 * (y - x), x * (28 - z) - y, x * y - 8 * z / 3

    def moved(by: float, along: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(s + by * k for s, k in zip(state, along, strict=True))

    found = []
    for number in range((length + 100 + 100 * seed) * per_value):
        k1 = slope(state)
        k2 = slope(moved(step / 2, k1))
        k3 = slope(moved(step / 2, k2))
        k4 = slope(moved(step, k3))
        total = tuple(
            a + 2 * b + 2 * c + d for a, b, c, d in zip(k1, k2, k3, k4, strict=True)
        )
        state = moved(step / 6, total)
        if number % per_value == 0:
            found.append(state[0])
    return np.array(found[-length:])

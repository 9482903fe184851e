"""What the zoo's families share: how a cell is described, and NumPy's functions."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Entry(NamedTuple):
    """A cell as the tests know it.

    step      the NumPy reference: (params, x (B, D), state dict) -> dict of the new
              state's fields, and of the gates by the names that `Cell.gates` has.
    fields    of its state.
    form      "linear", "factored" or "general": what of `Cell` it fills in.
    biases    names of the parameters that it has not where bias is False.
    output    state dict -> what goes up.
    read      (params, x, state dict) -> what goes up, of a cell with a readout.
    positive  fields of the state that are above 0.
    """

    step: Callable[[Any, np.ndarray, dict], dict]
    fields: tuple[str, ...] = ("h",)
    form: str = "factored"
    biases: tuple[str, ...] = ("b",)
    output: Callable[[dict], np.ndarray] = lambda s: s["h"]
    read: Callable[[Any, np.ndarray, dict], np.ndarray] | None = None
    positive: tuple[str, ...] = ()


def σ(x):
    return 1 / (1 + np.exp(-x))


def hard_σ(x):
    return np.clip(0.2 * x + 0.5, 0, 1)


def softplus(x):
    return np.logaddexp(0, x)


def silu(x):
    return x * σ(x)


def rms(x):
    """x over the root of its mean square."""
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6)


def relu(x):
    return np.maximum(x, 0)


def affine(p, x):
    """x·w_x + b."""
    return x @ p["w_x"] + p["b"]


def slope(y):
    """tanh′ where tanh is y."""
    return 1 - y**2

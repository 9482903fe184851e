"""Every cell once, with what a sceptic wants to know, and one way to run them all.

`ZOO` describes the cells of `lm.cells.CELLS`; a test fails if one is missing. `run`
gives values and gradients of a cell over a random window in which everything
happens: resets, padding, taps. The same compiled function serves every property.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lm.cells import make_cell
from lm.unroll import Events, associated, looped, scanned, unroll

T, B, D, H = 6, 2, 5, 3
DRIVERS = {
    "default": None,
    "scanned": scanned,
    "looped": looped,
    "associated": associated,
}


def σ(x):
    return 1 / (1 + np.exp(-x))


def hard_σ(x):
    return np.clip(0.2 * x + 0.5, 0, 1)


def relu(x):
    return np.maximum(x, 0)


def elman_step(φ):
    def step(p, x, s):
        return {"h": φ(x @ p["w_x"] + p["b"] + s["h"] @ p["w_h"])}

    return step


def lstm_step(p, x, s):
    a = x @ p["w_x"] + p["b"] + s["h"] @ p["w_h"]
    i, f, g, o = np.split(a, 4, axis=1)
    c = σ(f) * s["c"] + σ(i) * np.tanh(g)
    return {"h": σ(o) * np.tanh(c), "c": c}


def gru_step(p, x, s):
    (xr, xz, xn), h = np.split(x @ p["w_x"] + p["b"], 3, axis=1), s["h"]
    hr, hz, hn = np.split(h @ p["w_h"], 3, axis=1)
    n = np.tanh(xn + σ(xr + hr) * (hn + p["b_hn"]))
    return {"h": (1 - σ(xz + hz)) * n + σ(xz + hz) * h}


def gru_before_step(gate):
    def step(p, x, s):
        (xr, xz, xn), h = np.split(x @ p["w_x"] + p["b"], 3, axis=1), s["h"]
        wr, wz, wn = np.split(p["w_h"], 3, axis=1)
        z, n = gate(xz + h @ wz), np.tanh(xn + (gate(xr + h @ wr) * h) @ wn)
        return {"h": (1 - z) * n + z * h}

    return step


def min_gru_step(p, x, s):
    z, candidate = np.split(x @ p["w_x"] + p["b"], 2, axis=1)
    return {"h": (1 - σ(z)) * s["h"] + σ(z) * candidate}


class Entry(NamedTuple):
    """A cell as the tests know it.

    gates     k, where G = k·H.
    fields    of its state.
    factored  whether it has `w_HG` and `pointwise`.
    biases    names of its vectors.
    step      the NumPy reference: (params, x (B, D), state dict) -> state dict.
    linear    whether it has `coefficients`, and no w_h.
    """

    gates: int
    fields: tuple[str, ...]
    factored: bool
    biases: tuple[str, ...]
    step: Callable[[Any, np.ndarray, dict], dict]
    linear: bool = False


ZOO = {
    "tanh": Entry(1, ("h",), True, ("b",), elman_step(np.tanh)),
    "relu": Entry(1, ("h",), True, ("b",), elman_step(relu)),
    "irnn": Entry(1, ("h",), True, ("b",), elman_step(relu)),
    "lstm": Entry(4, ("h", "c"), True, ("b",), lstm_step),
    "gru": Entry(3, ("h",), True, ("b", "b_hn"), gru_step),
    "gru_reset_before": Entry(3, ("h",), False, ("b",), gru_before_step(σ)),
    "gru_tutorial": Entry(3, ("h",), False, ("b",), gru_before_step(hard_σ)),
    "min_gru": Entry(2, ("h",), False, ("b",), min_gru_step, linear=True),
}
FACTORED = [name for name, entry in ZOO.items() if entry.factored]
LINEAR = [name for name, entry in ZOO.items() if entry.linear]
# Cells that differ from another in their initializers alone; a test holds them to it.
SAME = {"irnn": "relu"}
DISTINCT = [name for name in ZOO if name not in SAME]
OF_EACH_FORM = ["tanh", "lstm", "gru", "gru_reset_before", "min_gru"]


class Free(NamedTuple):
    """What is differentiated. taps None: no taps."""

    params: Any
    xs: Any
    state: Any
    taps: Any


class Given(NamedTuple):
    """What is not: events (None: none), token ids instead of xs, and the weights of
    the loss L = Σ on_hs ⊙ hs + Σ on_state ⊙ last state."""

    reset: Any
    mask: Any
    on_hs: Any
    on_state: Any
    ids: Any = None


class Result(NamedTuple):
    state: Any
    hs: Any
    grads: Free


@cache
def cell_of(name: str):
    return make_cell(name, H)


@cache
def window(name: str, seed: int = 0, steps: int = T) -> tuple[Free, Given]:
    """A random window of float32 in which there are resets and padding."""
    rng = np.random.default_rng(seed)
    cell = cell_of(name)
    params = cell.init(jax.random.key(seed), D)

    def normal(*shape):
        return rng.normal(size=shape).astype(np.float32)

    def states(*lead):
        State = type(cell.initial_state(params, B))
        return State(*(normal(*lead, B, H) for _ in ZOO[name].fields))

    params = {k: np.asarray(v) + 0.3 * normal(*v.shape) for k, v in params.items()}
    reset, mask = np.zeros((steps, B), bool), np.ones((steps, B), np.float32)
    reset[0, 1] = reset[2, 0] = reset[4, 1] = True
    mask[1, 0] = mask[2, 1] = mask[4:, 0] = 0
    free = Free(params, normal(steps, B, D), states(), states(steps))
    return free, Given(reset, mask, normal(steps, B, H), states())


def no_events(free: Free, given: Given) -> tuple[Free, Given]:
    return free._replace(taps=None), given._replace(reset=None, mask=None)


def loss(name: str, driver: str, reverse: bool, free: Free, given: Given):
    xs = free.xs if given.ids is None else given.ids
    state, hs = unroll(
        cell_of(name),
        free.params,
        xs,
        free.state,
        Events(given.reset, given.mask, taps=free.taps),
        reverse=reverse,
        driver=DRIVERS[driver],
    )
    parts = jax.tree.map(
        lambda w, x: jnp.sum(w * x), (given.on_hs, given.on_state), (hs, state)
    )
    return sum(jax.tree.leaves(parts)), (state, hs)


def run(name: str, driver: str = "default", reverse: bool = False):
    """(free, given) -> Result, compiled unless it is a Python loop."""
    return _run(name, driver, reverse)


@cache
def _run(name: str, driver: str, reverse: bool):
    def values_and_gradients(free, given):
        both = jax.value_and_grad(loss, argnums=3, has_aux=True)
        (_, (state, hs)), grads = both(name, driver, reverse, free, given)
        return Result(state, hs, grads)

    return values_and_gradients if driver == "looped" else jax.jit(values_and_gradients)


@cache
def oracle(name: str, reverse: bool = False, events: bool = True) -> Result:
    """The Python loop on `window(name)`."""
    at = window(name) if events else no_events(*window(name))
    return run(name, "looped", reverse)(*at)


def numpy_loss(name: str, free: Free, given: Given, reverse: bool = False):
    """(L, state, hs) by the reference alone: no JAX, whatever the dtype."""
    state, hs = free.state._asdict(), [np.zeros(0)] * len(free.xs)
    for t in range(len(free.xs))[:: -1 if reverse else 1]:
        start = {k: np.where(given.reset[t][:, None], 0, v) for k, v in state.items()}
        new = ZOO[name].step(free.params, free.xs[t], start)
        m, taps = given.mask[t][:, None], free.taps._asdict()
        state = {k: m * new[k] + (1 - m) * start[k] + taps[k][t] for k in new}
        hs[t] = state["h"]
    on_state = given.on_state._asdict()
    total = np.sum(given.on_hs * np.stack(hs))
    return total + sum(np.sum(on_state[k] * state[k]) for k in state), state, hs


def close(got, want, rtol=2e-5, atol=2e-6):
    """Two trees are alike: structure, shapes and, to a tolerance, numbers."""

    def leaf(g, w):
        g, w = np.asarray(g, float), np.asarray(w, float)
        np.testing.assert_allclose(g, w, rtol=rtol, atol=atol, strict=True)

    jax.tree.map(leaf, got, want)

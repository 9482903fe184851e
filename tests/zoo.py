"""Every cell once, with what a sceptic wants to know, and one way to run them all.

`ZOO` describes the cells of `lm.cells.CELLS`; a test fails if one is missing. `run`
gives values and gradients of a cell over a random window in which everything
happens: resets, padding, taps. The same compiled function serves every property.
"""

from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lm.cells import make_cell
from lm.linear import associated
from lm.unroll import Events, looped, scanned, unroll
from tests.zoo_elman import ELMAN
from tests.zoo_gru import GRU
from tests.zoo_linear import LINEAR_IN_STATE
from tests.zoo_lstm import LSTM
from tests.zoo_matrix import MATRIX_STATES

T, B, D, H = 6, 2, 5, 3
DRIVERS = {
    "default": None,
    "scanned": scanned,
    "looped": looped,
    "associated": associated,
}


ZOO = ELMAN | LSTM | GRU | LINEAR_IN_STATE | MATRIX_STATES
FACTORED = [name for name, entry in ZOO.items() if entry.form == "factored"]
LINEAR = [name for name, entry in ZOO.items() if entry.form == "linear"]
# Cells that differ from another in their initializers alone; a test holds them to it.
SAME = {
    "irnn": "relu",
    "orthogonal": "tanh",
    "lstm_chrono": "lstm",
    "gru_chrono": "gru",
    "janet_chrono": "janet",
}
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
    with jax.enable_x64(False):
        params = cell.init(jax.random.key(seed), D)

    def normal(*shape):
        return rng.normal(size=shape).astype(np.float32)

    def states(*lead):
        like = jax.eval_shape(lambda: cell.initial_state(params, B))
        drawn = jax.tree.map(lambda s: normal(*lead, *s.shape), like)
        above = {f: abs(getattr(drawn, f)) + 0.5 for f in ZOO[name].positive}
        return drawn._replace(**above) if above else drawn

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
    entry, hs = ZOO[name], [np.zeros(0)] * len(free.xs)
    state, taps, fresh = free.state._asdict(), free.taps._asdict(), fresh_of(name)
    for t in range(len(free.xs))[:: -1 if reverse else 1]:
        for k, old in state.items():
            state[k] = np.where(lanes(given.reset[t], old), fresh[k], old)
        new = entry.step(free.params, free.xs[t], state)
        for k, old in state.items():
            m = lanes(given.mask[t], old)
            state[k] = m * new[k] + (1 - m) * old + taps[k][t]
        read = entry.read
        hs[t] = read(free.params, free.xs[t], state) if read else entry.output(state)
    on_state = given.on_state._asdict()
    total = np.sum(given.on_hs * np.stack(hs))
    return total + sum(np.sum(on_state[k] * state[k]) for k in state), state, hs


def lanes(x, like):
    """x (B,) to go with a leaf (B, …)."""
    return x.reshape(-1, *(1,) * (like.ndim - 1))


@cache
def fresh_of(name: str) -> dict:
    """The initial state, of B lanes, as NumPy arrays by field."""
    state = cell_of(name).initial_state(window(name)[0].params, B)
    return jax.tree.map(np.asarray, state)._asdict()


def close(got, want, rtol=2e-5, atol=2e-6):
    """Two trees are alike: structure, shapes and, to a tolerance, numbers."""

    def leaf(g, w):
        g, w = np.asarray(g, float), np.asarray(w, float)
        np.testing.assert_allclose(g, w, rtol=rtol, atol=atol, strict=True)

    jax.tree.map(leaf, got, want)

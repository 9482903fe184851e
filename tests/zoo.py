"""Every cell once, with what a sceptic wants to know, and one way to run them all.

`ZOO` describes the cells of `lm.cells.CELLS`; a test fails if one is missing. `run`
gives values and gradients of a cell over a random window in which everything
happens: resets, padding, taps. The same compiled function serves every property.
"""

import math
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

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


@cache
def cell_of(name: str):
    return make_cell(name, H)


def kind_of(name: str):
    """Which of the optional fields of `Cell` that drivers look at it fills in."""
    cell = cell_of(name)
    asked = cell.pointwise, cell.coefficients, cell.readout, cell.earlier, cell.stretch
    filled = tuple(field is not None for field in (*asked, cell.rates))
    return *filled, cell.recompute, cell.product


# The first of each kind: the cells of `make check`.
QUICK = {kind_of(name): name for name in reversed(DISTINCT)}.values()


def of_each(names):
    """A test of each cell."""
    marks = [pytest.mark.quick if name in QUICK else () for name in names]
    cases = zip(names, marks, strict=True)
    return pytest.mark.parametrize("name", [pytest.param(n, marks=m) for n, m in cases])


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


def numpy_losses(name: str, free: Free, given: Given):
    """(L of each lane, state, hs) by the reference alone: no JAX, whatever the dtype,
    and however many the lanes."""
    entry, hs = ZOO[name], []
    state, taps, fresh = free.state._asdict(), free.taps._asdict(), fresh_of(name)
    for t in range(len(free.xs)):
        for k, old in state.items():
            state[k] = np.where(lanes(given.reset[t], old), fresh[k], old)
        new = entry.step(free.params, free.xs[t], state)
        for k, old in state.items():
            m = lanes(given.mask[t], old)
            state[k] = m * new[k] + (1 - m) * old + taps[k][t]
        read = entry.read
        hs.append(read(free.params, free.xs[t], state) if read else entry.output(state))
    losses = np.sum(given.on_hs * np.stack(hs), axis=(0, 2))
    for k, weights in given.on_state._asdict().items():
        losses = losses + (weights * state[k]).reshape(len(losses), -1).sum(1)
    return losses, state, hs


def numpy_gradients(name: str, free: Free, given: Given, ε: float = 1e-6) -> Free:
    """∂L of the reference, by central differences in every single number.

    Parameters are moved one by one. Numbers that belong to a lane are moved all at
    once, each in a copy of the window; the copies are lanes beside each other.
    """
    leaves, tree = jax.tree.flatten(jax.tree.map(np.copy, free.params))
    slopes = [np.empty_like(leaf) for leaf in leaves]
    for leaf, slope in zip(leaves, slopes, strict=True):
        for at in np.ndindex(leaf.shape):
            middle, ends = leaf[at], []
            for leaf[at] in (middle - ε, middle + ε):
                moved = free._replace(params=tree.unflatten(leaves))
                ends.append(numpy_losses(name, moved, given)[0].sum())
            leaf[at], slope[at] = middle, (ends[1] - ends[0]) / (2 * ε)
    own = (free.state, free.xs, free.taps)
    numbers_BN = in_rows(own)
    copies = numbers_BN.shape[1]
    given = beside(given, copies)
    ends = []
    for way in (-ε, ε):
        moved = (numbers_BN + way * np.eye(copies)[:, None]).reshape(-1, copies)
        state, xs, taps = out_of_rows(moved, own)
        losses, *_ = numpy_losses(name, Free(free.params, xs, state, taps), given)
        ends.append(losses.reshape(copies, B).T)
    state, xs, taps = out_of_rows((ends[1] - ends[0]) / (2 * ε), own)
    return Free(tree.unflatten(slopes), xs, state, taps)


def in_rows(own) -> np.ndarray:
    """(state, xs, taps) as (B, N): all that belongs to a lane in its row."""
    state, xs, taps = own
    turned = *state, *(np.swapaxes(leaf, 0, 1) for leaf in (xs, *taps))
    return np.hstack([leaf.reshape(len(leaf), -1) for leaf in turned])


def out_of_rows(numbers_BN: np.ndarray, own):
    """`in_rows` undone; of `own` only the shapes count, and of those not the lanes."""
    leaves, tree = jax.tree.flatten(own)
    found, begin, fields = [], 0, len(own[0])
    for n, leaf in enumerate(leaves):
        shape = leaf.shape[1:] if n < fields else (len(leaf), *leaf.shape[2:])
        end = begin + math.prod(shape)
        piece = numbers_BN[:, begin:end].reshape(-1, *shape)
        found.append(piece if n < fields else np.swapaxes(piece, 0, 1))
        begin = end
    return tree.unflatten(found)


def beside(given: Given, copies: int) -> Given:
    """The lanes as often as that, one set after the other."""

    def repeated(axis):
        return lambda x: np.concatenate([x] * copies, axis)

    on_state = jax.tree.map(repeated(0), given.on_state)
    rest = jax.tree.map(repeated(1), given._replace(on_state=()))
    return rest._replace(on_state=on_state)


def lanes(x, like):
    """x (B,) to go with a leaf (B, …)."""
    return x.reshape(-1, *(1,) * (like.ndim - 1))


@cache
def fresh_of(name: str) -> dict:
    """The initial state, of one lane, as NumPy arrays by field."""
    state = cell_of(name).initial_state(window(name)[0].params, 1)
    return jax.tree.map(np.asarray, state)._asdict()


def close(got, want, rtol=2e-5, atol=2e-6):
    """Two trees are alike: structure, shapes and, to a tolerance, numbers."""

    def leaf(g, w):
        g, w = np.asarray(g, float), np.asarray(w, float)
        np.testing.assert_allclose(g, w, rtol=rtol, atol=atol, strict=True)

    jax.tree.map(leaf, got, want)

"""Each structure once, small, with what is compared of it: a window at once, and the
same steps one after another."""

from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lm.cells import make_cell
from lm.cells.rg_lru import rg_lru
from lm.config import InitConfig
from lm.lanes import by_lane
from lm.layers import recurrent
from lm.problem import taps_of
from lm.structure.attentive import attentive
from lm.structure.blocks import entered, feedforward, prenorm_block
from lm.structure.clockwork import clockwork
from lm.structure.dilated import dilated
from lm.structure.gated_block import gated
from lm.structure.hawk import unchanged
from lm.structure.highway import highway
from lm.structure.normed import RMS, normed
from lm.structure.transformer import attending, self_attention
from lm.types import Context, Layer

T, B, H = 7, 3, 4
INIT = InitConfig(weights="normal", scale=0.7)
RNG = np.random.default_rng(0)


def one(cell: str = "tanh", units: int = H) -> Layer:
    return recurrent(make_cell(cell, units, INIT))


def attention(heads: int = 2, W: int = 3) -> Layer:
    return self_attention(attending(H, INIT, True), heads, W)


def feed(gated: bool) -> Layer:
    return feedforward(H, 5, INIT, True, gated)


def unit() -> Layer:
    return recurrent(rg_lru(6, INIT, heads=2, entered=False))


def hawk() -> Layer:
    mix = gated(unit(), H, INIT, True, behind=unchanged, gate=jax.nn.gelu)
    return prenorm_block(mix, feed(True), by=RMS)


LAYERS = {
    "highway": lambda: highway(one(), INIT),
    "normed": lambda: normed(one()),
    "prenorm block": lambda: entered(prenorm_block(one("gru"), feed(True)), INIT),
    "gated block": lambda: gated(one(units=6), H, INIT),
    "hawk": hawk,
    "dilated": lambda: dilated(one(), 3),
    "clockwork": lambda: clockwork((one(units=2),) * 3),
    "attentive": lambda: attentive(one(), "general", 3, INIT),
    "transformer": lambda: prenorm_block(attention(), feed(False)),
}


class Window(NamedTuple):
    """What a layer is given besides parameters and state: xs (T, B, H), mask and reset
    (T, B), taps."""

    xs: Any
    mask: Any
    reset: Any
    taps: Any = None


def numbers(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


PLAIN = Window(numbers(T, B, H), np.ones((T, B), np.float32), np.zeros((T, B)))
# Lanes with a hole, with padding behind, and with both; resets at a real step, at a
# padded one, and in the last steps of the window.
MASK = np.array(
    [[1, 1, 0], [1, 1, 1], [0, 1, 1], [1, 1, 0], [1, 0, 1], [1, 0, 1], [1, 0, 0]]
)
RESET = np.zeros((T, B))
RESET[2, 0] = RESET[2, 1] = RESET[5, 2] = 1
HARD = Window(numbers(T, B, H), MASK.astype(np.float32), RESET)


def at_once(layer: Layer, params, state, given: Window):
    """(ys at real steps, state), by `apply`."""
    context = Context(given.mask, given.reset.astype(np.float32), taps=given.taps)
    state, ys = layer.apply(params, given.xs, state, context)
    return ys * given.mask[..., None], state


def by_steps(layer: Layer, params, state, given: Window):
    """The same, by `step` and what a mask and a reset mean."""
    fresh = layer.initial_state(params, B)

    def chosen(on_B, one, other):
        return jax.tree.map(lambda a, b: jnp.where(by_lane(on_B, a), a, b), one, other)

    def body(state, at):
        x, mask, reset = at
        state = chosen(reset > 0, fresh, state)
        new, y = layer.step(params, state, x)  # type: ignore[misc]
        return chosen(mask > 0, new, state), y

    at = (given.xs, given.mask, given.reset)
    state, ys = jax.lax.scan(body, state, at)
    return ys * given.mask[..., None], state


def differentiated(run, layer: Layer, *given):
    """((ys, state), gradients in parameters, state and, as given, all of the window)
    of a loss that reads both."""

    def loss(params, state, xs, taps, mask, reset):
        found = ys, after = run(layer, params, state, Window(xs, mask, reset, taps))
        waves = jnp.cos(jnp.arange(ys.size, dtype=ys.dtype)).reshape(ys.shape)
        squares = sum(jnp.sum(leaf * leaf) for leaf in jax.tree.leaves(after))
        return jnp.sum(waves * ys) + squares, found

    (_, found), grads = jax.value_and_grad(loss, (0, 1, 2, 3), has_aux=True)(*given)
    return found, grads


@cache
def made(name: str):
    """(layer, params, state after PLAIN, ys of PLAIN, run, twin); the two take
    (params, state, xs, taps, mask, reset)."""
    layer = LAYERS[name]()
    params = jax.tree.map(np.asarray, layer.init(jax.random.key(1), H))
    run = jax.jit(partial(differentiated, at_once, layer))
    twin = jax.jit(partial(differentiated, by_steps, layer))
    begin = layer.initial_state(params, B)
    taps = taps_of(layer.parts, params, T, B)
    (ys, state), _ = run(params, begin, PLAIN.xs, taps, PLAIN.mask, PLAIN.reset)
    return layer, params, state, ys, run, twin

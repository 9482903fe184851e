"""∂L/∂h_t against its definition, and where it is known exactly."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm.config import ModelConfig
from lm.gradflow import through_time
from lm.losses import token_nats
from lm.models.language_model import build
from lm.types import Batch, Context
from lm.unroll import looped
from tests.zoo import close

pytestmark = pytest.mark.usefixtures("strict")
T, B, V, H = 8, 3, 7, 4
RNG = np.random.default_rng(0)
IDS, TARGETS = RNG.integers(0, V, (2, T, B)).astype(np.int32)


ONES = np.ones((T, B), np.float32)


def batch(mask=ONES) -> Batch:
    """The window, its lanes carrying their state."""
    return Batch(IDS, TARGETS, mask, np.zeros(B, bool))


def blank(cell: str, recurrent: float):
    """A model whose state stays 0 and whose recurrent matrix is a multiple of I."""
    model = build(ModelConfig(cell, hidden=H, embedding=0, bias=False), V)
    params = model.init(jax.random.key(0))
    layer = {"w_x": jnp.zeros((V, H)), "w_h": recurrent * jnp.eye(H)}
    return model, dict(params, layers=(layer,)), model.initial_state(params, B)


@pytest.mark.parametrize("cell", ["lstm", "gru_reset_before"])
def test_the_definition_by_starting_again_at_every_step(cell):
    model = build(ModelConfig(cell, layers=2, hidden=H, embedding=3), V)
    params = model.init(jax.random.key(0))
    state = jax.tree.map(lambda s: s + 0.5, model.initial_state(params, B))
    weights = RNG.normal(size=(T, B)).astype(np.float32)
    got = jax.jit(through_time.state_gradients, static_argnums=0)(
        model.problem, params, state, batch(weights)
    )

    def rest(state, t):
        """Σ weights·nats of the steps after t."""
        at = slice(t + 1, None)
        _, hs = model.apply(params, IDS[at], state, Context(driver=looped))
        nats = token_nats(model.logits(params, hs), TARGETS[at])
        return jnp.sum(weights[at] * nats)

    def now(h, t):
        return jnp.sum(weights[t] * token_nats(model.logits(params, h), TARGETS[t]))

    @partial(jax.jit, static_argnums=1)
    def again(state, t):
        reached, hs = model.apply(params, IDS[: t + 1], state, Context(driver=looped))
        want = jax.grad(rest)(reached, t)
        return want[-1]._replace(h=want[-1].h + jax.grad(now)(hs[-1], t))

    for t in (0, T - 2):
        top = again(state, t)
        # A layer below reaches the loss through this one at t too: only the top here.
        close(jax.tree.map(lambda g, t=t: g[t], got["1"]), top, rtol=1e-4, atol=1e-5)
    hidden = through_time.hidden_gradient(model.parts[1].cell, got["1"])
    assert hidden.shape == (T, B, H)
    close(hidden, got["1"].h)


def test_a_gradient_that_neither_grows_nor_shrinks():
    model, params, state = blank("tanh", 1.0)
    got = through_time.lag_profile(model.problem, params, state, batch())
    assert got.raw_LK.shape == (1, T) and np.all(got.raw_LK > 0)
    close(got.normalised_LK, np.ones((1, T)))
    assert (got.horizon_L, got.half_life_L) == (T - 1, T)


def test_a_gradient_that_shrinks_by_a_known_factor():
    """0.4ᵏ: 0.4⁵ is the last above 1 %, 0.4¹ the first below a half."""
    model, params, state = blank("tanh", 0.4)
    got = through_time.lag_profile(model.problem, params, state, batch())
    close(got.normalised_LK, 0.4 ** np.arange(T)[None], rtol=1e-5)
    assert (got.horizon_L, got.half_life_L) == (5, 1)
    h = np.zeros((B, H), np.float32)
    at_once = jax.grad(
        lambda h: token_nats(model.logits(params, h), TARGETS[-1]).sum()
    )(h)
    close(got.raw_LK[0, 0], np.linalg.norm(at_once, axis=-1).mean(), rtol=1e-5)


def test_norms_are_of_the_mean_loss_and_padding_has_none():
    model, params, state = blank("tanh", 0.4)
    mask = np.ones((T, B), np.float32)
    mask[-2:] = 0
    got = through_time.norms_through_time(model.problem, params, state, batch(mask))[
        "0"
    ][None]
    assert got.shape == (1, T) and np.all(np.asarray(got)[0, -2:] == 0)
    only = np.zeros((T, B), np.float32)
    only[3] = 1
    got = through_time.norms_through_time(model.problem, params, state, batch(only))[
        "0"
    ][None]
    close(got[0, :4] / got[0, 3], 0.4 ** np.arange(4)[::-1], rtol=1e-5)
    h = np.zeros((B, H), np.float32)
    at_once = jax.grad(lambda h: token_nats(model.logits(params, h), TARGETS[3]).mean())
    close(got[0, 3], np.linalg.norm(at_once(h), axis=-1).mean(), rtol=1e-5)

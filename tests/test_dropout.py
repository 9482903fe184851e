"""Dropout: how much, how scaled, and which masks are the same as which."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm import dropout as drop
from lm.config import DropoutConfig
from lm.unroll import Events, looped, unroll
from tests import zoo
from tests.zoo import close

pytestmark = pytest.mark.usefixtures("fresh_keys")
T, B, D, RATE = 12, 8, 40, 0.3
ONES = np.ones((T, B, D), np.float32)


def key(seed=0):
    return jax.random.key(seed)


def share(dropped) -> float:
    return float(np.mean(np.asarray(dropped)))


def about(rate, n):
    """Within five standard deviations of n draws."""
    return pytest.approx(rate, abs=5 * (rate * (1 - rate) / n) ** 0.5)


def test_rates_are_the_configs():
    config = DropoutConfig("locked", 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
    assert drop.rates_of(config) == drop.Rates(0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
    assert drop.Rates() == drop.rates_of(DropoutConfig())


@pytest.mark.parametrize("kind", drop.DROPOUTS)
def test_rate_0_is_the_identity(kind):
    xs = jax.random.normal(key(1), (T, B, D))
    np.testing.assert_array_equal(drop.DROPOUTS[kind](key(), xs, 0.0), xs)


def test_none_drops_nothing():
    assert drop.DROPOUTS["none"](key(), ONES, 0.5) is ONES


@pytest.mark.parametrize("kind", ["between", "locked"])
def test_share_and_scale(kind):
    out = np.asarray(drop.DROPOUTS[kind](key(), ONES, RATE))
    n = B * D * (T if kind == "between" else 1)
    assert share(out == 0) == about(RATE, n)
    np.testing.assert_allclose(out[out != 0], 1 / (1 - RATE), rtol=1e-6)
    np.testing.assert_array_equal(out, drop.DROPOUTS[kind](key(), ONES, RATE))
    assert np.any(out != drop.DROPOUTS[kind](key(1), ONES, RATE))


def test_between_is_fresh_at_every_step_and_locked_is_one_mask():
    between = np.asarray(drop.between(key(), ONES, RATE))
    assert len({step.tobytes() for step in between}) == T
    locked = np.asarray(drop.locked(key(), ONES, RATE))
    np.testing.assert_array_equal(locked, np.broadcast_to(locked[:1], locked.shape))
    assert len({lane.tobytes() for lane in locked[0]}) == B


@pytest.mark.parametrize("kind", ["between", "locked"])
def test_traced_rates_and_gradients(kind):
    f = jax.jit(drop.DROPOUTS[kind])
    np.testing.assert_array_equal(
        f(key(), ONES, jnp.float32(RATE)), drop.DROPOUTS[kind](key(), ONES, RATE)
    )
    grad = jax.grad(lambda xs: jnp.sum(drop.DROPOUTS[kind](key(), xs, RATE)))(ONES)
    np.testing.assert_array_equal(grad, f(key(), ONES, RATE))


def test_embedding_dropout_drops_whole_words():
    out = np.asarray(drop.embedding_dropout(key(), jnp.ones((400, 6)), RATE))
    assert np.all((out == 0).all(1) | (out != 0).all(1))
    assert share(out[:, 0] == 0) == about(RATE, 400)
    np.testing.assert_allclose(out[out != 0], 1 / (1 - RATE), rtol=1e-6)


@pytest.mark.parametrize("name", ["tanh", "lstm", "gru"])
def test_weight_drop_touches_the_recurrent_matrices_alone(name):
    cell = zoo.make_cell(name, D)
    params = cell.init(key(1), 3)
    params["w_h"] = jnp.ones_like(params["w_h"])
    out = drop.weight_drop(cell, key(), params, RATE)
    assert out.keys() == params.keys()
    assert all(out[k] is params[k] for k in params if k not in cell.recurrent)
    w = np.asarray(out["w_h"])
    assert share(w == 0) == about(RATE, w.size)
    np.testing.assert_allclose(w[w != 0], 1 / (1 - RATE), rtol=1e-6)
    assert np.all(np.asarray(params["w_h"]) == 1)


def test_zoneout_draws_zeros_and_ones_for_every_field_by_itself():
    state = zoo.cell_of("lstm").initial_state(zoo.window("lstm")[0].params, 50)
    out = drop.zoneout(key(), state, T, RATE)
    assert type(out) is type(state)
    for leaf in out:
        assert leaf.shape == (T, 50, zoo.H)
        assert set(np.unique(leaf)) == {0, 1}
        assert share(leaf == 0) == about(RATE, leaf.size)
    assert share(out.h != out.c) > 0.2
    for leaf in drop.zoneout_mean(state, T, RATE):
        assert leaf.shape == (T, 50, 1)
        np.testing.assert_allclose(leaf, 1 - RATE, rtol=1e-6)


@pytest.mark.parametrize("name", ["lstm", "gru_reset_before"])
def test_zoneout_keeps_units_and_padding_keeps_all(name):
    free, given = zoo.window(name)
    steps = len(given.mask)
    weights = drop.zoneout(key(), free.state, steps, 0.5)
    cell = zoo.cell_of(name)

    def loss(params, driver):
        events = Events(mask_TB=given.mask, zoneout=weights)
        _, hs = unroll(cell, params, free.xs, free.state, events, driver=driver)
        return jnp.sum(jnp.sin(hs)), hs

    both = jax.value_and_grad(loss, has_aux=True)
    (_, hs), grads = jax.jit(both, static_argnums=1)(free.params, None)
    before = np.concatenate([free.state.h[None], hs[:-1]])
    kept = (np.asarray(weights.h) * given.mask[..., None]) == 0
    np.testing.assert_array_equal(np.asarray(hs)[kept], before[kept])
    assert 0.2 < kept.mean() < 0.9
    (_, want), want_grads = both(free.params, looped)
    close((hs, grads), (want, want_grads), rtol=1e-4, atol=1e-5)

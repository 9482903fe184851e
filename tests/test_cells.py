"""Cells one by one: the registry, hand numbers, and what they reduce to."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm.cells import make_cell
from lm.config import ConfigError, InitConfig
from lm.unroll import unroll
from tests import zoo
from tests.zoo import B, D, H, T, close

pytestmark = pytest.mark.usefixtures("strict")
LN2, LN3 = float(np.log(2)), float(np.log(3))  # tanh(ln 2) = 3/5, σ(±ln 3) = ½ ± ¼


@pytest.mark.parametrize("name", zoo.SAME)
def test_cells_that_are_said_to_be_the_same_are(name):
    """The same program, values and gradients: so one stands for both elsewhere."""
    one, other = (
        re.sub("0x[0-9a-f]+", "", str(jax.make_jaxpr(zoo.run(n))(*zoo.window(n))))
        for n in (name, zoo.SAME[name])
    )
    assert one == other


def test_an_unknown_cell_is_answered_with_the_nearest():
    with pytest.raises(ConfigError, match=r"'lstn' is unknown; did you mean 'lstm'\?"):
        make_cell("lstn", 2)


TINY = {  # H = D = B = 1: (w_x, w_h, other vectors, x, state, new state)
    "tanh": ([2], [0.5], {"b": [-1]}, 0.5, (2 * LN2,), (0.6,)),
    "relu": ([2], [0.5], {"b": [-1]}, 1, (4,), (3,)),
    "irnn": ([2], [0.5], {"b": [-1]}, 1, (-4,), (0,)),
    # i, o = ¾, f = ¼, g = 3/5; c' = ¼·c + 0.45 = ln 2; h' = ¾ · 3/5
    "lstm": (
        [LN3, 0, LN2, 1],
        [0, -LN3, 0, LN3],
        {"b": [0, 0, 0, -1]},
        1,
        (1, 4 * (LN2 - 0.45)),
        (0.45, LN2),
    ),
    # r = ¾, z = ¼, n = tanh(ln 2 − 3 + ¾·(2 + 2)); h' = ¾·n + ¼·2
    "gru": (
        [LN3, -LN3, LN2],
        [0, 1, 1],
        {"b": [0, -2, -3], "b_hn": [2]},
        1,
        (2,),
        (0.95,),
    ),
    # n = tanh(ln 2 − 1.5 + (¾·2)·1)
    "gru_reset_before": (
        [LN3, -LN3, LN2],
        [0, 1, 1],
        {"b": [0, -2, -1.5]},
        1,
        (2,),
        (0.95,),
    ),
    "gru_tutorial": (
        [1.25, -1.25, LN2],
        [0, 1, 1],
        {"b": [0, -2, -1.5]},
        1,
        (2,),
        (0.95,),
    ),
    # z = ¾, h̃ = 3; h' = ¼·1 + ¾·3
    "min_gru": ([LN3, 2], [], {"b": [0, 1]}, 1, (1,), (2.5,)),
}


@pytest.mark.parametrize("name", TINY)
def test_one_step_by_hand(name):
    w_x, w_h, vectors, x, state, new = TINY[name]
    cell = make_cell(name, 1)
    params = {"w_x": jnp.array([w_x], float), "w_h": jnp.array([w_h], float)}
    params |= {k: jnp.array(v, float) for k, v in vectors.items()}
    State = type(cell.initial_state(params, 1))
    old = State(*(jnp.full((1, 1), s, float) for s in state))
    got = cell.step(params, old, cell.project(params, jnp.full((1, 1), x, float)))
    np.testing.assert_allclose([float(s[0, 0]) for s in got], new, rtol=1e-6, atol=1e-7)


def test_identity_weights_without_input_keep_the_state_and_its_gradient():
    cell = make_cell("irnn", H)
    params = cell.init(jax.random.key(0), D)
    np.testing.assert_array_equal(params["w_h"], np.eye(H))
    h = jnp.abs(jax.random.normal(jax.random.key(1), (B, H)))
    state = cell.initial_state(params, B)._replace(h=h)

    def last(state):
        return unroll(cell, params, jnp.zeros((T, B, D)), state)[0]

    after, pull = jax.vjp(last, state)
    np.testing.assert_array_equal(after.h, h)
    np.testing.assert_array_equal(pull(after)[0].h, h)


def test_forced_lstm_gates_make_an_accumulator():
    """i = f = o = 1: c_t = c_0 + Σ tanh(x·w_g), whatever h is."""
    free, _ = zoo.window("lstm")
    params = dict(free.params, w_h=np.zeros((H, 4 * H), np.float32))
    gates = np.repeat([True, True, False, True], H)
    params["w_x"] = np.where(gates, 0, params["w_x"])
    params["b"] = np.where(gates, 100, 0).astype(np.float32)
    _, hs = unroll(zoo.cell_of("lstm"), params, free.xs, free.state)
    added = np.tanh(free.xs @ params["w_x"][:, 2 * H : 3 * H])
    close(hs, np.tanh(free.state.c + np.cumsum(added, 0)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["gru", "gru_reset_before", "gru_tutorial"])
def test_forced_gru_gates(name):
    """z = 1 keeps the state; z = 0 and r = 0 leave a feed-forward layer."""
    free, given = zoo.no_events(*zoo.window(name))

    def with_bias(reset, keep):
        b = free.params["b"] + np.repeat([reset, keep, 0], H).astype(np.float32)
        vectors = {"b": b} | {"b_hn": 0 * b[:H]} if name == "gru" else {"b": b}
        params = dict(free.params, **vectors)
        return zoo.run(name)(free._replace(params=params), given).hs, b[2 * H :]

    kept, _ = with_bias(0, 100)
    close(kept, np.broadcast_to(free.state.h, kept.shape), rtol=1e-6)
    forgot, b_n = with_bias(-100, -100)
    close(forgot, np.tanh(free.xs @ free.params["w_x"][:, 2 * H :] + b_n), rtol=1e-5)


def test_reset_before_is_reset_after_where_the_candidate_matrix_is_diagonal():
    """(r ⊙ h)·W = r ⊙ (h·W) then; and only then, so that they are not one cell."""
    free, given = zoo.no_events(*zoo.window("gru"))
    params = dict(free.params, b_hn=0 * free.params["b_hn"])
    one = {k: v for k, v in params.items() if k != "b_hn"}

    def pair(w_hn):
        w_h = np.concatenate([params["w_h"][:, : 2 * H], w_hn], 1)
        at = free._replace(params=dict(params, w_h=w_h))
        after = zoo.run("gru")(at, given).hs
        at = free._replace(params=dict(one, w_h=w_h))
        return after, zoo.run("gru_reset_before")(at, given).hs

    w_hn = params["w_h"][:, 2 * H :]
    close(*pair(np.diag(np.diag(w_hn))))
    after, before = pair(w_hn)
    assert np.abs(after - before).max() > 1e-3


class TestInitializers:
    """What `InitConfig` says is what is drawn."""

    def draw(self, name="lstm", bias=True, **config):
        cell = make_cell(name, 40, InitConfig(**config), bias)
        return cell.init(jax.random.key(0), 30)

    @pytest.mark.parametrize(
        ("weights", "scale", "x", "h"),
        [
            ("fan_in", 1.0, 30**-0.5, 40**-0.5),
            ("fan_in", 2.0, 2 * 30**-0.5, 2 * 40**-0.5),
            ("uniform", 0.1, 0.1, 0.1),
            ("glorot", 1.0, (6 / (30 + 160)) ** 0.5, (6 / (40 + 40)) ** 0.5),
        ],
    )
    def test_bounds_of_uniform_draws(self, weights, scale, x, h):
        params = self.draw(weights=weights, scale=scale)
        for w, bound in ((params["w_x"], x), (params["w_h"], h)):
            assert 0.98 * bound < np.abs(w).max() <= bound
            assert abs(w.mean()) < 0.05 * bound
            assert float(w.std()) == pytest.approx(bound / 3**0.5, rel=0.05)

    def test_normal(self):
        w = self.draw(weights="normal", scale=0.3)["w_x"]
        assert float(w.std()) == pytest.approx(0.3, rel=0.05)

    def test_recurrent_matrices_gate_by_gate(self):
        for kind in ("orthogonal", "identity"):
            w_h = self.draw(recurrent=kind, gain=0.5)["w_h"]
            for block in np.split(np.asarray(w_h), 4, axis=1):
                close(block.T @ block, 0.25 * np.eye(40), atol=1e-6)
        assert np.abs(block - 0.5 * np.eye(40)).max() == 0
        w_h = np.split(self.draw(recurrent="orthogonal")["w_h"], 4, axis=1)
        assert np.abs(w_h[0] - w_h[1]).max() > 0.1

    def test_forget_bias_is_the_second_block_alone(self):
        b = self.draw(forget_bias=1.5)["b"].reshape(4, 40)
        close(b, np.repeat([0, 1.5, 0, 0], 40).reshape(4, 40))
        assert "b" not in self.draw(bias=False)
        assert not np.any(self.draw("gru", forget_bias=1.5)["b"])

    def test_another_key_draws_other_weights(self):
        cell = make_cell("gru", 4)
        one, other = (cell.init(jax.random.key(k), 4)["w_h"] for k in (0, 1))
        assert np.abs(one - other).max() > 0.1

"""Layers and what is made of them: any cells, any lengths, padding that never leaks."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm.cells import make_cell
from lm.config import ConfigError, InitConfig
from lm.gradflow.transitions import of_layer
from lm.layers import backward, bidirectional, dropped, recurrent, residual, stack
from lm.recording import record
from lm.truncation import truncated
from lm.types import Context, Indexed
from lm.unroll import unroll
from tests.zoo import close

T, B, D, H = 5, 3, 2, 4
KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
XS = jnp.asarray(RNG.normal(size=(T, B, D)), jnp.float32)
LENGTHS = np.array([5, 3, 1])
MASK = jnp.asarray(np.arange(T)[:, None] < LENGTHS[None], jnp.float32)


def layer(cell: str = "gru", hidden: int = H):
    return recurrent(make_cell(cell, hidden, InitConfig()))


def two_ways(cells=("lstm", "gru")):
    return bidirectional(layer(cells[0]), layer(cells[1], 3))


DEEP = {
    "one way": lambda: stack(layer(), layer("lstm")),
    "residual": lambda: stack(layer(), residual(layer())),
    "bidirectional": two_ways,
    "deep bidirectional": lambda: stack(two_ways(), two_ways(("tanh", "min_gru"))),
    "under one way": lambda: stack(two_ways(), layer("gru_reset_before")),
}


@cache
def applied(name: str):
    """(layer, params, state after XS, outputs)."""
    made = DEEP[name]()

    @jax.jit
    def run(key):
        params = made.init(key, D)
        return params, *made.apply(params, XS, made.initial_state(params, B))

    return made, *run(KEY)


@pytest.mark.parametrize("name", DEEP)
def test_shapes_parts_and_one_key_for_all(name):
    made, params, _, ys = applied(name)
    assert ys.shape == (T, B, made.d_out)
    for part in made.parts:
        assert set(part.of(params)) >= {"w_x"}, part.name
    names = [part.name for part in made.parts]
    assert len(set(names)) == len(names)
    state = made.initial_state(params, B)
    recorded = jax.eval_shape(lambda p: record(made.apply, p, XS, state), params)
    assert sorted(recorded) == sorted(names)
    assert any(part.reverse for part in made.parts) == (made.step is None)


@pytest.mark.parametrize("name", ["one way", "residual"])
def test_step_by_step_is_the_whole(name):
    made, params, after, ys = applied(name)
    state = made.initial_state(params, B)
    for t in range(T):
        state, y = made.step(params, state, XS[t])
        close(y, ys[t], rtol=1e-5, atol=1e-6)
    close(state, after, rtol=1e-5, atol=1e-6)


def test_bidirectional_is_two_networks_one_of_them_on_the_mirrored_sequence():
    made, params, _, ys = applied("bidirectional")
    there, back = make_cell("lstm", H), make_cell("gru", 3)
    _, right = unroll(
        there, params["forward"], XS, there.initial_state(params["forward"], B)
    )
    _, left = unroll(
        back, params["backward"], XS[::-1], back.initial_state(params["backward"], B)
    )
    close(ys, jnp.concatenate([right, left[::-1]], axis=-1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", DEEP)
def test_a_padded_lane_is_the_lane_alone(name):
    """Values at its real steps and their gradients: what stands in the padding
    changes nothing, and nothing flows there."""
    weights = MASK[..., None] * jnp.asarray(RNG.normal(size=(T, B, 1)), jnp.float32)
    made, params, *_ = applied(name)

    def loss(xs, mask, weights):
        state = made.initial_state(params, xs.shape[1])
        _, ys = made.apply(params, xs, state, Context(mask_TB=mask))
        return jnp.sum(weights * ys), ys

    both = jax.jit(jax.value_and_grad(loss, has_aux=True))
    (_, ys), grads = both(XS, MASK, weights)
    assert not np.any(np.asarray(grads)[np.asarray(MASK) == 0])
    (_, noise), again = both(XS + 9 * (1 - MASK[..., None]), MASK, weights)
    close((noise * MASK[..., None], again), (ys * MASK[..., None], grads))
    for lane, length in list(enumerate(LENGTHS))[1:]:
        cut = XS[:length, lane : lane + 1], None, weights[:length, lane : lane + 1]
        (_, alone), alone_grads = both(*cut)
        close(ys[:length, lane : lane + 1], alone, rtol=1e-4, atol=1e-5)
        close(grads[:length, lane : lane + 1], alone_grads, rtol=1e-4, atol=1e-5)


def test_only_the_forward_state_is_carried():
    made, params, after, _ = applied("bidirectional")
    assert jax.tree.structure(after) == jax.tree.structure(
        layer("lstm").initial_state(params["forward"], B)
    )


def test_reading_backward_twice_is_reading_forward():
    made = backward(backward(layer()))
    params = made.init(KEY, D)
    state = made.initial_state(params, B)
    close(made.apply(params, XS, state), layer().apply(params, XS, state))
    assert not made.parts[0].reverse


def test_words_by_index_are_their_rows():
    made, ids = stack(layer(), residual(layer())), RNG.integers(0, 6, (T, B))
    params = made.init(KEY, D)
    table = jnp.asarray(RNG.normal(size=(6, D)), jnp.float32)
    state = made.initial_state(params, B)
    rows = made.apply(params, table[ids], state)
    close(made.apply(params, Indexed(table, jnp.asarray(ids)), state), rows)
    stepped = made.step(params, state, Indexed(table, jnp.asarray(ids[0])))  # type: ignore[misc]
    close(stepped[1], rows[1][0], rtol=1e-5, atol=1e-6)
    alone = residual(recurrent(make_cell("tanh", D)))
    params = alone.init(KEY, D)
    begin = alone.initial_state(params, B)
    by_row = alone.apply(params, table[ids], begin)
    close(alone.apply(params, Indexed(table, jnp.asarray(ids)), begin), by_row)


@pytest.mark.parametrize("name", ["bidirectional", "deep bidirectional"])
def test_what_reads_from_the_right_has_no_step_and_says_so(name):
    made, params, state, _ = applied(name)
    assert made.step is None
    with pytest.raises(ConfigError, match="optim.truncation is 3.*set it to 0"):
        truncated(made, 3)
    with pytest.raises(ConfigError, match="reads from the right"):
        of_layer(made, params)
    with pytest.raises(ConfigError, match="cannot be reset in mid-sequence"):
        reset = jnp.zeros((T, B))
        made.apply(params, XS, made.initial_state(params, B), Context(reset_TB=reset))


@pytest.mark.parametrize("name", DEEP)
def test_taps_of_every_part_are_the_gradients_of_its_states(name):
    """A tap at the last step that a part takes moves what it puts out there alone."""
    made, params, state, ys = applied(name)
    begin = made.initial_state(params, B)
    taps = {
        part.name: jax.tree.map(
            lambda s: jnp.zeros((T, *s.shape)),
            part.cell.initial_state(part.of(params), B),
        )
        for part in made.parts
    }

    @jax.jit
    @jax.grad
    def gradient(taps):
        return jnp.sum(made.apply(params, XS, begin, Context(taps=taps))[1])

    grads = gradient(taps)
    for part in made.parts:
        at = 0 if part.reverse else -1
        largest = max(np.abs(g[at]).max() for g in jax.tree.leaves(grads[part.name]))
        assert largest > 0, part.name


def test_dropout_is_on_the_input_and_in_training_alone():
    from lm.dropout import Dropout, Rates

    made = stack(layer(), dropped(layer(), "between", "hidden"))
    params = made.init(KEY, D)
    state = made.initial_state(params, B)
    plain = made.apply(params, XS, state)
    close(plain, stack(layer(), layer()).apply(params, XS, state))
    on = Dropout(KEY, Rates(hidden=0.5))
    one, two = (
        made.apply(params, XS, state, Context(dropout=d))[1]
        for d in (on, on._replace(key=jax.random.key(1)))
    )
    assert np.abs(one - two).max() > 1e-3

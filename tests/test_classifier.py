"""Many to one: pooling by hand, padding, and lag profiles of both directions."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm.config import ConfigError, InitConfig, ModelConfig, OptimConfig
from lm.dropout import Rates
from lm.gradflow import gates, through_time
from lm.losses import token_nats
from lm.models.classifier import POOLS, build_classifier
from lm.optim import Hyperparameters
from lm.train import init_state, make_loss, make_train_step
from lm.types import Context, Labelled
from lm.unroll import looped
from tests.zoo import close

T, B, V, C, H = 6, 3, 5, 3, 4
KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
LENGTHS = np.array([6, 4, 1])
MASK = (np.arange(T)[:, None] < LENGTHS[None]).astype(np.float32)
IDS = RNG.integers(0, V, (T, B)).astype(np.int32)
LABELS = np.array([0, 2, 1], np.int32)
BATCH = Labelled(IDS, MASK, LABELS, np.ones(B, np.float32))
NUMBERS = Hyperparameters(0.05, 5.0, 0.0, Rates())


def made(pooling="last", both_ways=True, cell="gru", layers=1):
    config = ModelConfig(cell, layers, H, 3, init=InitConfig(scale=2.0))
    model = build_classifier(config, V, C, pooling, both_ways)
    return model, jax.jit(model.problem.init)(KEY)


@pytest.mark.parametrize("both_ways", [False, True])
@pytest.mark.parametrize("pooling", POOLS)
def test_padding_and_lanes_that_only_fill_change_nothing(pooling, both_ways):
    model, params = made(pooling, both_ways)
    logits_of = jax.jit(model.logits)
    logits = logits_of(params, BATCH)
    for lane, length in list(enumerate(LENGTHS))[1:]:
        alone = Labelled(
            IDS[:length, lane : lane + 1],
            np.ones((length, 1), np.float32),
            LABELS[lane : lane + 1],
            np.ones(1, np.float32),
        )
        close(logits_of(params, alone), logits[lane : lane + 1], 1e-5, 1e-6)
    empty = np.where(np.arange(B) == 1, 0, MASK).astype(np.float32)
    filled = BATCH._replace(mask=empty, counted=np.array([1, 0, 1], np.float32))

    @jax.jit
    def both(params):
        slope = jax.grad(
            lambda p: model.problem.loss(p, (), filled, Context())[1].total
        )
        return slope(params), model.problem.evaluate(params, (), filled)[1]

    grads, scores = both(params)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grads))
    nats_B = np.asarray(token_nats(logits, LABELS))
    close(tuple(scores["loss"]), (nats_B[[0, 2]].sum(), 2.0), rtol=1e-5)
    right = (np.argmax(np.asarray(logits), -1) == LABELS)[[0, 2]].sum()
    assert tuple(scores["accuracy"]) == (right, 2)
    noise = BATCH._replace(inputs=np.where(MASK > 0, IDS, (IDS + 1) % V))
    close(logits_of(params, noise), logits, 1e-6)


def restarted(model, params, part, t, state):
    """The loss with the state of `part`, of the one layer of a network both ways, being
    `state` after the step t that it takes: the rest of its way goes on from there."""
    table, layer = params["embedding"], params["layers"][0]
    xs, cells = table[IDS], {p.name: p for p in model.parts}
    sides = {}
    for name in ("0.forward", "0.backward"):
        cell, own = cells[name].cell, cells[name].of(params)
        order = range(T) if name == "0.forward" else range(T - 1, -1, -1)
        s, hs = cell.initial_state(own, B), [jnp.zeros((B, H))] * T
        for step in order:
            new = cell.step(own, s, cell.project(own, xs[step]))
            keep = jnp.asarray(MASK[step] == 0)[:, None]
            s = jax.tree.map(lambda n, o, keep=keep: jnp.where(keep, o, n), new, s)
            if name == part.name:
                s = jax.tree.map(
                    lambda a, b, at=step == t: jnp.where(at, a, b), state, s
                )
            hs[step] = cell.output(s)
        sides[name] = jnp.stack(hs)
    last = jnp.stack([sides["0.forward"][n - 1, b] for b, n in enumerate(LENGTHS)])
    v = jnp.concatenate([last, sides["0.backward"][0]], axis=-1)
    logits = v @ params["classes"]["w"] + params["classes"]["b"][None]
    assert set(layer) == {"forward", "backward"}
    return token_nats(logits, LABELS).sum()


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_state_gradients_of_both_directions_by_starting_again(cell):
    model, params = made(cell=cell)

    @jax.jit
    def both(params):
        kept: dict = {}
        model.problem.loss(params, (), BATCH, Context(recorded=kept))
        want = {}
        for part in model.parts:
            rest = jax.grad(partial(restarted, model, params, part), argnums=1)
            whole = jax.vmap(rest)(jnp.arange(T), kept[part.name].after)
            want[part.name] = jax.tree.map(lambda g: g * MASK[..., None], whole)
        return through_time.state_gradients(model.problem, params, (), BATCH), want

    got, want = both(params)
    assert set(got) == {"0.forward", "0.backward"}
    close(got, want, rtol=1e-5, atol=1e-6)


def test_lags_count_from_where_each_direction_ends():
    """Forward: back from the last real step. Backward: on from the first."""
    model, params = made()
    ask = through_time.state_gradients, through_time.lag_norms
    ask += through_time.lag_profile, gates.gate_statistics
    all_of = jax.jit(lambda p: [f(model.problem, p, (), BATCH) for f in ask])
    gradients, found, profile, statistics = all_of(params)
    there = np.linalg.norm(gradients["0.forward"].h, axis=-1)
    back = np.linalg.norm(gradients["0.backward"].h, axis=-1)
    for lane, length in enumerate(LENGTHS):
        want = np.zeros(T)
        want[:length] = there[:length, lane][::-1]
        close(found["0.forward"][:, lane], want, rtol=1e-5)
        close(found["0.backward"][:, lane], back[:, lane], rtol=1e-5)
        assert not found["0.backward"][length:, lane].any()  # padding is no lag
    assert profile.raw_LK.shape == (2, T)
    assert set(statistics) == set(found)


@pytest.mark.slow
def test_any_driver_and_a_step_that_learns():
    model, params = made("attention")

    @jax.jit
    def losses_of(params):
        contexts = [Context(driver=driver) for driver in (None, looped)]
        return [model.problem.loss(params, (), BATCH, c)[1].total for c in contexts]

    one, two = losses_of(params)
    assert float(one) == pytest.approx(float(two), rel=1e-5)
    optim = OptimConfig("adam")
    state = init_state(model.problem, optim, NUMBERS, KEY, B)
    step = jax.jit(make_train_step(model.problem, optim))
    losses = []
    for _ in range(60):
        state, info = step(state, BATCH, KEY, NUMBERS)
        losses.append(float(info.loss.mean()))
    assert losses[0] > 0.5 and losses[-1] < 0.05


def test_what_it_cannot_do_is_refused_in_a_line():
    model, _ = made(layers=2)
    with pytest.raises(ConfigError, match="optim.truncation is 3.*set it to 0"):
        make_loss(model.problem, OptimConfig(truncation=3))
    with pytest.raises(ConfigError, match="optim.omega is 1.0.*reads from the right"):
        make_train_step(model.problem, OptimConfig(omega=1.0))

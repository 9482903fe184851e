"""Many to one: pooling by hand, padding, and lag profiles of both directions."""

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


def made(pooling="last", both_ways=True, layers=2, cell="gru"):
    config = ModelConfig(cell, layers, H, 3, init=InitConfig(scale=2.0))
    model = build_classifier(config, V, C, pooling, both_ways)
    return model, model.problem.init(KEY)


@pytest.mark.parametrize("both_ways", [False, True])
@pytest.mark.parametrize("pooling", POOLS)
def test_padding_and_lanes_that_only_fill_change_nothing(pooling, both_ways):
    model, params = made(pooling, both_ways)
    logits = model.logits(params, BATCH)
    for lane, length in enumerate(LENGTHS):
        alone = Labelled(
            IDS[:length, lane : lane + 1],
            np.ones((length, 1), np.float32),
            LABELS[lane : lane + 1],
            np.ones(1, np.float32),
        )
        close(model.logits(params, alone), logits[lane : lane + 1], 1e-5, 1e-6)
    empty = np.where(np.arange(B) == 1, 0, MASK).astype(np.float32)
    filled = BATCH._replace(mask=empty, counted=np.array([1, 0, 1], np.float32))
    grads = jax.grad(lambda p: model.problem.loss(p, (), filled, Context())[1].total)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grads(params)))
    _, scores = model.problem.evaluate(params, (), filled)
    nats_B = np.asarray(token_nats(logits, LABELS))
    close(tuple(scores["loss"]), (nats_B[[0, 2]].sum(), 2.0), rtol=1e-5)
    right = (np.argmax(np.asarray(logits), -1) == LABELS)[[0, 2]].sum()
    assert tuple(scores["accuracy"]) == (right, 2)
    noise = BATCH._replace(inputs=np.where(MASK > 0, IDS, (IDS + 1) % V))
    close(model.logits(params, noise), logits, 1e-6)


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
            if name == part.name and step == t:
                s = state
            hs[step] = cell.output(s)
        sides[name] = jnp.stack(hs)
    last = jnp.stack([sides["0.forward"][n - 1, b] for b, n in enumerate(LENGTHS)])
    v = jnp.concatenate([last, sides["0.backward"][0]], axis=-1)
    logits = v @ params["classes"]["w"] + params["classes"]["b"][None]
    assert set(layer) == {"forward", "backward"}
    return token_nats(logits, LABELS).sum()


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_state_gradients_of_both_directions_by_starting_again(cell):
    model, params = made(layers=1, cell=cell)
    got = through_time.state_gradients(model.problem, params, (), BATCH)
    assert set(got) == {"0.forward", "0.backward"}
    kept: dict = {}
    model.problem.loss(params, (), BATCH, Context(recorded=kept))
    for part in model.parts:
        for t in (0, 2, T - 1):
            state = jax.tree.map(lambda s, t=t: s[t], kept[part.name].after)
            want = jax.grad(lambda s, p=part, t=t: restarted(model, params, p, t, s))(
                state
            )
            at = jax.tree.map(lambda g, t=t: g[t], got[part.name])
            close(at, want, rtol=1e-5, atol=1e-6)


def test_lags_count_from_where_each_direction_ends():
    """Forward: back from the last real step. Backward: on from the first."""
    model, params = made(layers=1)
    gradients = through_time.state_gradients(model.problem, params, (), BATCH)
    found = through_time.lag_norms(model.problem, params, (), BATCH)
    there = np.linalg.norm(gradients["0.forward"].h, axis=-1)
    back = np.linalg.norm(gradients["0.backward"].h, axis=-1)
    for lane, length in enumerate(LENGTHS):
        want = np.zeros(T)
        want[:length] = there[:length, lane][::-1]
        close(found["0.forward"][:, lane], want, rtol=1e-5)
        close(found["0.backward"][:, lane], back[:, lane], rtol=1e-5)
    profile = through_time.lag_profile(model.problem, params, (), BATCH)
    assert profile.raw_LK.shape == (2, T)
    assert set(gates.gate_statistics(model.problem, params, (), BATCH)) == set(found)


def test_any_driver_and_a_step_that_learns():
    model, params = made("attention")
    one, two = (
        model.problem.loss(params, (), BATCH, Context(driver=d))[1].total
        for d in (None, looped)
    )
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
    model, _ = made()
    with pytest.raises(ConfigError, match="optim.truncation is 3.*set it to 0"):
        make_loss(model.problem, OptimConfig(truncation=3))
    with pytest.raises(ConfigError, match="optim.omega is 1.0.*reads from the right"):
        make_train_step(model.problem, OptimConfig(omega=1.0))

"""Steps of training and evaluation: torch's golden numbers, definitions, records."""

import json
import pathlib
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lm.config import DropoutConfig, ModelConfig, OptimConfig
from lm.losses import token_nats
from lm.models.language_model import build, make_apply
from lm.optim import clipper
from lm.problem import start
from lm.score import make_score_step
from lm.train import (
    averaged,
    clipped_norm,
    evaluation_params,
    group_names,
    init_state,
    make_eval_step,
    make_loss,
    make_train_step,
    norms,
    numbers_of,
    update_norms,
)
from lm.truncation import truncated
from lm.types import Batch, Context
from lm.unroll import looped
from tests.golden.make_train_step import CLIP, RATE, SHAPES, case, digest
from tests.zoo import close

T, B, V, H = 5, 2, 7, 4
KEY = jax.random.key(0)
RNG = np.random.default_rng(0)


class Config(NamedTuple):
    """As experiments' config: what `numbers_of` reads."""

    model: ModelConfig
    optim: OptimConfig


def batch(mask=None) -> Batch:
    ids = RNG.integers(0, V, (T + 1, B)).astype(np.int32)
    mask = np.ones((T, B), np.float32) if mask is None else mask
    return Batch(ids[:-1], ids[1:], mask, np.ones(B, bool))


@cache
def training(optim=None, dropout=None):
    """(model, compiled step, state, numbers) of a tiny model."""
    optim = optim or OptimConfig("sgd", 0.5, clip_at=0.05)
    config = ModelConfig("tanh", 2, H, 3, dropout=dropout or DropoutConfig())
    model, numbers = build(config, V), numbers_of(Config(config, optim))
    state = init_state(model.problem, optim, numbers, KEY, B)
    return model, jax.jit(make_train_step(model.problem, optim)), state, numbers


@pytest.mark.parametrize("name", ["sgd", "adamw"])
@pytest.mark.usefixtures("x64")
def test_three_steps_by_torch(name):
    golden_path = pathlib.Path(__file__).parent / "golden" / "train_step.json"
    golden = json.loads(golden_path.read_text())[name]
    (vocabulary, embedding), (hidden, _) = SHAPES["embedding"], SHAPES["layers.0.w_h"]
    config = ModelConfig("lstm", 2, hidden, embedding)
    decay = 0.1 if name == "adamw" else 0.0
    optim = OptimConfig(name, RATE, clip_at=CLIP, weight_decay=decay)
    model, numbers = build(config, vocabulary), numbers_of(Config(config, optim))
    arrays, windows = case()

    def leaf(path, like):
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        assert arrays[name].shape == like.shape
        return jnp.asarray(arrays[name])

    shapes = jax.eval_shape(model.init, KEY)
    params = jax.tree_util.tree_map_with_path(leaf, shapes)
    state = init_state(
        model.problem._replace(init=lambda *_: params), optim, numbers, KEY, 3
    )
    step, nats, norms = jax.jit(make_train_step(model.problem, optim)), [], []
    for window in windows:
        state, info = step(state, Batch(*window), KEY, numbers)
        nats.append(float(info.loss.total))
        norms.append(float(info.gradient_norm))
        assert float(info.clipped_norm) == pytest.approx(min(norms[-1], CLIP))
    np.testing.assert_allclose(nats, golden["nats"], rtol=1e-9)
    np.testing.assert_allclose(norms, golden["gradient_norm"], rtol=1e-9)
    names, leaves = group_names(state.params), jax.tree.leaves(state.params)
    got = {k: digest(v) for k, v in zip(names, leaves, strict=True)}
    close(got, golden["params"], rtol=1e-8, atol=1e-9)
    close(digest(np.array([s.h for s in state.carry])), golden["h"], rtol=1e-8)


def test_what_a_step_reports():
    model, step, state, numbers = training()
    data = batch()
    after, info = step(state, data, KEY, numbers)

    def loss(params):
        begin = model.initial_state(params, B)
        _, hs = model.apply(params, data.inputs, begin, Context(driver=looped))
        return token_nats(model.logits(params, hs), data.targets).mean()

    value, grads = jax.jit(jax.value_and_grad(loss))(state.params)

    assert float(info.loss.mean()) == pytest.approx(float(value), rel=1e-5)
    assert info.loss.count == T * B and after.step == state.step + 1
    whole = float(optax.tree.norm(grads))
    assert whole > 0.05, "clipping should have something to do"
    close(info.gradients_P, norms(grads), rtol=1e-4)
    close(info.gradient_norm, whole, rtol=1e-5)
    close(info.clipped_norm, 0.05, rtol=1e-6)
    close(info.weights_P, norms(after.params))
    close(info.updates_P, 0.5 * norms(grads) * 0.05 / whole, rtol=1e-4)
    moved = jax.tree.map(lambda p, g: p - 0.5 * g * 0.05 / whole, state.params, grads)
    close(after.params, moved, rtol=1e-4, atol=1e-6)
    assert len(group_names(state.params)) == len(info.weights_P)
    by_numpy = [np.linalg.norm(x) for x in jax.tree.leaves(grads)]
    close(norms(grads), np.array(by_numpy), rtol=1e-5)
    assert group_names(state.params)[:2] == ["embedding", "layers.0.b"]


@pytest.mark.parametrize(
    ("kind", "want"), [("norm", 2), ("value", 2 * 2**0.5), ("none", 5)]
)
def test_norm_after_clipping(kind, want):
    grads = {"w": np.array([3.0, -4.0], np.float32)}
    optim = OptimConfig(clip=kind, clip_at=2.0)
    numbers = training()[3]._replace(clip_at=2.0)
    clipped, _ = clipper(optim, 2.0).update(grads, optax.EmptyState())
    close(clipped_norm(optim, jnp.float32(5), clipped, numbers), want, rtol=1e-6)


@pytest.mark.parametrize("kind", ["norm", "value", "none"])
@pytest.mark.parametrize("size", [1.0, 0.01, 0.0])
def test_norms_of_sgd_updates_without_a_pass(kind, size):
    """What plain SGD's updates are known to be is what they are."""
    grads = {
        "a": np.array([3.0, -4.0], np.float32) * size,
        "b": np.full(1, size, np.float32),
    }
    optim, whole = OptimConfig("sgd", 0.5, clip=kind, clip_at=2.0), norms(grads)
    numbers = training()[3]._replace(clip_at=2.0, learning_rate=0.5)
    clipped, _ = clipper(optim, 2.0).update(grads, optax.EmptyState())
    updates = jax.tree.map(lambda g: -0.5 * g, clipped)
    got = update_norms(
        training()[0].problem, optim, updates, whole, jnp.linalg.norm(whole), numbers
    )
    close(got, norms(updates), rtol=1e-6)


def test_the_state_is_carried_but_for_fresh_lanes():
    model, step, state, numbers = training()
    after, _ = step(state, batch(), KEY, numbers)
    assert all(np.abs(layer.h).min() > 0 for layer in after.carry)
    data = batch()._replace(fresh=np.array([True, False]))
    begin = start(model.initial_state, after.params, after.carry, data.fresh)
    for layer, old in zip(begin, after.carry, strict=True):
        assert not np.any(layer.h[0])
        np.testing.assert_array_equal(layer.h[1], old.h[1])
    _, got = step(after, data, KEY, numbers)
    carried = data._replace(fresh=np.zeros(B, bool))
    _, want = step(after._replace(carry=begin), carried, KEY, numbers)
    _, other = step(after, carried, KEY, numbers)
    close(got.loss, want.loss)
    assert got.loss.total != other.loss.total


def test_reductions_differ_by_the_length_of_the_window():
    """Summed over time and averaged over lanes = T times the mean, if all count."""
    model, _, state, numbers = training()
    data = batch()
    mean, total = (
        jax.jit(
            jax.grad(
                make_loss(model.problem, OptimConfig(reduction=reduction)), has_aux=True
            )
        )(state.params, state.carry, data, None, numbers.rates)[0]
        for reduction in ("token", "time_sum")
    )
    close(jax.tree.map(lambda g: T * g, mean), total, rtol=1e-4, atol=1e-6)


def test_padding_counts_for_nothing():
    _, step, state, numbers = training()
    mask = np.ones((T, B), np.float32)
    mask[3:, 0] = 0
    data = batch(mask)
    targets = np.where(mask > 0, data.targets, 0).astype(np.int32)
    one, other = (
        step(state, data._replace(targets=t), KEY, numbers)
        for t in (data.targets, targets)
    )
    assert one[1].loss.count == mask.sum()
    close(one, other, rtol=0, atol=0)
    nothing = data._replace(mask=np.zeros((T, B), np.float32))
    after, info = step(state, nothing, KEY, numbers)
    assert info.loss.count == 0 and info.gradient_norm == 0
    close(after.params, state.params, rtol=0, atol=0)


def test_evaluation_sums_what_scoring_lists_and_training_counts():
    model, step, state, numbers = training()
    mask = np.ones((T, B), np.float32)
    mask[4, 1] = 0
    data = batch(mask)
    evaluate = jax.jit(make_eval_step(model.problem))
    carry, scores = evaluate(state.params, state.carry, data)
    total = scores["loss"]
    carried, nats_TB = jax.jit(make_score_step(model))(state.params, state.carry, data)
    after, info = step(state, data, KEY, numbers)
    assert float(nats_TB.sum()) == pytest.approx(float(total.total), rel=1e-6)
    assert nats_TB[4, 1] == 0 and total.count == mask.sum()
    close(info.loss, total)
    close((carried, after.carry), (carry, carry))


@pytest.mark.slow
def test_dropout_is_fresh_at_every_step_and_absent_in_evaluation():
    dropout = DropoutConfig("between", 0.5, 0.5, 0.5, 0.2, 0.2)
    model, step, state, numbers = training(None, dropout)
    data, still, losses = batch(), numbers._replace(learning_rate=0.0), []
    args = (state.params, state.carry, data)
    for _ in range(3):
        again, first = step(state, data, KEY, still)
        _, second = step(state, data, KEY, still)
        assert first.loss.total == second.loss.total
        losses.append(float(first.loss.total))
        state = again
    assert len(set(losses)) == 3
    got, want = (
        jax.jit(make_eval_step(m.problem))(*args) for m in (model, training()[0])
    )
    close(got, want, rtol=0, atol=0)
    rates = jax.tree.map(lambda _: 0.0, numbers.rates)
    _, off = step(state, data, KEY, still._replace(rates=rates))
    close(off.loss, want[1]["loss"])


def test_numbers_are_traced_so_that_runs_share_one_step():
    """One compilation for every learning rate; `vmap` carries several at once."""
    _, step, state, numbers = training()
    data, rates = batch(), (0.1, 0.9)
    alone = [step(state, data, KEY, numbers._replace(learning_rate=r)) for r in rates]
    assert step._cache_size() == 1
    every = numbers._replace(learning_rate=jnp.array(rates))
    axes = jax.tree.map(lambda _: None, numbers)._replace(learning_rate=0)
    together = jax.vmap(step, (None, None, None, axes))(state, data, KEY, every)
    for n, (want, want_info) in enumerate(alone):
        got, got_info = jax.tree.map(lambda x, n=n: x[n], together)
        close((got.params, got_info), (want.params, want_info))


class TestAverages:
    STEPS = [np.float32(x) for x in (1.0, 3.0, 5.0, 7.0)]

    def go(self, **config):
        optim, average, out = OptimConfig(**config), {"w": np.float32(10.0)}, []
        for step, value in enumerate(self.STEPS):
            average = averaged(optim, average, {"w": value}, step) or {}
            out.append(float(average["w"]))
        return out

    def test_ema(self):
        """a ← ½·a + ½·w, from the initial 10."""
        got = self.go(average="ema", average_decay=0.5)
        assert got == pytest.approx([5.5, 4.25, 4.625, 5.8125])

    def test_ema_corrected(self):
        """Σ ½ⁱ w_{t−i} / Σ ½ⁱ: the initial 10 is in none of them."""
        got = self.go(average="ema_corrected", average_decay=0.5)
        weights = [0.5 ** np.arange(n)[::-1] for n in range(1, 5)]
        want = [np.average(self.STEPS[: len(w)], weights=w) for w in weights]
        assert got == pytest.approx(want)

    def test_tail(self):
        assert self.go(average="tail") == pytest.approx([1, 2, 3, 4])
        got = self.go(average="tail", average_from=2)
        assert got == pytest.approx([1, 3, 5, 6])

    def test_evaluation_uses_it(self):
        optim = OptimConfig("sgd", 0.5, average="ema", average_decay=0.5)
        _, step, state, numbers = training(optim)
        after, _ = step(state, batch(), KEY, numbers)
        middle = jax.tree.map(lambda a, b: (a + b) / 2, state.params, after.params)
        close(evaluation_params(after), middle, rtol=1e-5, atol=1e-6)
        _, _, state, _ = training()
        assert evaluation_params(state) is state.params


@pytest.mark.slow
class TestTruncation:
    """At most τ recurrent steps of gradient per token, whatever the window."""

    def go(self, τ, how):
        model, _, state, _ = training()
        inputs = np.arange(T * B).reshape(T, B) % V
        carry = jax.tree.map(lambda s: s + 0.3, state.carry)
        weights = np.random.default_rng(1).normal(size=(T, B, H)).astype(np.float32)

        def loss(params):
            after, hs = how(model, params, inputs, carry, τ)
            return jnp.sum(weights * hs), (after, hs)

        return jax.jit(jax.value_and_grad(loss, has_aux=True))(state.params)

    @staticmethod
    def cut(model, params, inputs, state, τ):
        apply = make_apply(model.config, truncated(model.stack, τ))
        return apply(params, inputs, state)

    @staticmethod
    def one_by_one(model, params, inputs, state, τ):
        """From each h_t back through a Python loop whose start is cut off."""
        befores, hs = [state], []
        for t in range(T):
            ids = inputs[t : t + 1]
            befores.append(
                model.apply(params, ids, befores[-1], Context(driver=looped))[0]
            )
        for t in range(T):
            begin = max(0, t - τ)
            cut = jax.lax.stop_gradient(befores[begin])
            ids = inputs[begin : t + 1]
            hs.append(model.apply(params, ids, cut, Context(driver=looped))[1][-1])
        return befores[-1], jnp.stack(hs)

    @staticmethod
    def whole(model, params, inputs, state, τ):
        return model.apply(params, inputs, state, Context(driver=looped))

    @pytest.mark.parametrize("τ", [1, 3])
    def test_definition(self, τ):
        got, want = (self.go(τ, how) for how in (self.cut, self.one_by_one))
        close(got, want, rtol=1e-4, atol=1e-5)
        _, full = self.go(τ, self.whole)
        slopes = [grads["layers"][0]["w_h"] for grads in (full, got[1])]
        assert np.abs(slopes[0] - slopes[1]).max() > 1e-3

    def test_long_enough_is_everything(self):
        got, want = (self.go(100, how) for how in (self.cut, self.whole))
        close(got, want, rtol=1e-4, atol=1e-5)

    def test_training_uses_it(self):
        optim = OptimConfig("sgd", 0.5, clip_at=0.05, truncation=1)
        _, step, state, numbers = training(optim)
        full, data = training()[1], batch()
        (_, one), (_, other) = (f(state, data, KEY, numbers) for f in (step, full))
        close(one.loss, other.loss)
        assert np.abs(one.gradients_P - other.gradients_P).max() > 1e-4


@pytest.mark.slow
def test_a_text_is_learnt_by_heart():
    _, step, state, numbers = training(OptimConfig("adam", 0.05))
    ids = np.array([0, 1, 0, 2, 0, 3], np.int32)[:, None].repeat(B, 1)
    data = Batch(ids[:-1], ids[1:], np.ones((T, B), np.float32), np.ones(B, bool))
    nats = []
    for _ in range(100):
        state, info = step(state, data, KEY, numbers)
        nats.append(float(info.loss.mean()))
    assert nats[0] > 1.5 and nats[-1] < 0.05


def test_no_tracer_leaks_and_no_key_twice():
    _, step, state, numbers = training(None, DropoutConfig("locked", 0.1, 0.1, 0.1))
    data = batch()
    with jax.checking_leaks(), jax.debug_key_reuse(True):
        jax.eval_shape(step.__wrapped__, state, data, KEY, numbers)

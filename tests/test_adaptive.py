"""Cache, dynamic evaluation and mixtures, each against an oracle of its own."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.evaluate.tuning import climb, edges
from lm.adaptive.cache import empty_memory, make_cache_step
from lm.adaptive.dynamic import (
    MEANS,
    Rule,
    make_dynamic_step,
    make_fixed_step,
    make_squares_step,
    statistics_of,
)
from lm.adaptive.mixture import em_weights, mixed
from lm.config import ModelConfig
from lm.models.language_model import build
from lm.types import Batch, Context

RNG = np.random.default_rng(0)
V, H, T, B = 7, 3, 4, 2


def test_cache_against_brute_force():
    """Over windows, lanes and padding: all pairs of the last N tokens, one by one."""
    size, windows, θs = 5, 4, (0.5, 2.0)
    hs = RNG.normal(size=(windows, T, B, H)).astype(np.float32)
    words = RNG.integers(0, V, (windows, T, B)).astype(np.int32)
    real = np.ones((windows, T, B), np.float32)
    real[1, 2:, 0] = real[0, 1:, 1] = real[2, :, 1] = 0
    step, memory = CACHE, empty_memory(B, size, H)
    found = []
    for window in zip(hs, words, real, strict=True):
        memory, nats = step(memory, *window, jnp.array(θs))
        found.append(np.asarray(nats))
    for lane in range(B):
        chosen = real[:, :, lane] > 0
        own, ids = hs[:, :, lane][chosen], words[:, :, lane][chosen]
        for t, (h, word) in enumerate(zip(own, ids, strict=True)):
            before = slice(max(0, t - size), t)
            for k, θ in enumerate(θs):
                weights = np.exp(θ * own[before].astype(float) @ h)
                p = weights[ids[before] == word].sum() / weights.sum() if t else 1 / V
                nats = np.array(found)[:, :, lane, k][chosen][t]
                assert np.exp(-nats) == pytest.approx(p, rel=1e-5, abs=1e-12)


@pytest.mark.parametrize("read", [0, 3])
def test_a_cache_is_a_distribution(read):
    step, memory = CACHE, empty_memory(1, 4, H)
    hs = RNG.normal(size=(read + 1, 1, H)).astype(np.float32)
    if read:
        past = RNG.integers(0, V, (read, 1)).astype(np.int32)
        memory, _ = step(memory, hs[:read], past, np.ones((read, 1)), jnp.ones(1))
    p = [
        float(np.exp(-step(memory, hs[read:], np.full((1, 1), w), *ONE)[1][0, 0, 0]))
        for w in range(V)
    ]
    assert sum(p) == pytest.approx(1, rel=1e-6)
    assert (min(p) == max(p)) == (read == 0)


ONE = np.ones((1, 1), np.float32), jnp.ones(1)


def test_a_mixture_is_a_distribution():
    p_KV = RNG.dirichlet(np.ones(V), 3)
    p_KV[0] = np.eye(V)[2]
    with np.errstate(divide="ignore"):
        nats_KV = -np.log(p_KV)
    weights = np.array([0.5, 0.2, 0.3])
    p_V = np.exp(-mixed(nats_KV, weights))
    assert p_V.sum() == pytest.approx(1) and p_V == pytest.approx(weights @ p_KV)


def test_em_finds_what_a_grid_finds():
    nats = RNG.exponential(2.0, (3, 400))
    nats[1, ::5] = np.inf  # words that a cache has not seen
    found = em_weights(nats)
    assert found.weights_K.sum() == pytest.approx(1) and (found.weights_K >= 0).all()
    grid = [
        (a, b, 1 - a - b)
        for a in np.linspace(0, 1, 51)
        for b in np.linspace(0, 1, 51)
        if a + b <= 1 + 1e-9
    ]
    losses = [mixed(nats, np.array(w)).mean() for w in grid]
    best = int(np.argmin(losses))
    assert found.nats <= losses[best] + 1e-6 and found.nats > losses[best] - 1e-3
    np.testing.assert_allclose(found.weights_K, grid[best], atol=0.03)
    assert found.nats == pytest.approx(mixed(nats, found.weights_K).mean())


def test_em_of_one_and_of_what_nobody_expects():
    assert em_weights(np.ones((1, 3))).nats == 1
    nothing = np.array([[1.0, np.inf], [2.0, np.inf]])
    found = em_weights(nothing)
    assert found.nats == math.inf and found.weights_K.sum() == pytest.approx(1)


MODEL = build(ModelConfig(cell="gru", hidden=H, embedding=H, softmax="tied"), V)
FIXED, DYNAMIC = jax.jit(make_fixed_step(MODEL)), jax.jit(make_dynamic_step(MODEL))
STEP, SQUARES = jax.jit(MODEL.step), jax.jit(make_squares_step(MODEL))
CACHE = jax.jit(make_cache_step(V))


@pytest.fixture(scope="module")
def params():
    return jax.tree.map(lambda p: p + 0.3, jax.jit(MODEL.init)(jax.random.key(1)))


@pytest.fixture(scope="module")
def ones(params):
    return statistics_of(jax.tree.map(jnp.ones_like, params), 1, "tensors")


def batches(count, lanes=1):
    words = RNG.integers(0, V, (count, T + 1, lanes)).astype(np.int32)
    masks = np.ones((count, T, lanes), np.float32)
    masks[-1, 2:] = 0
    return [
        Batch(w[:-1], w[1:], mask, np.full(lanes, n == 0))
        for n, (w, mask) in enumerate(zip(words, masks, strict=True))
    ]


@jax.jit
@partial(jax.grad, has_aux=True)
def gradient(params, carry, batch):
    """Of the mean over T·B, by the model's own loss: (g, carry)."""
    carry, total = MODEL.problem.loss(params, carry, batch, Context())
    return total.total / batch.mask.size, carry


def flat(tree):
    return [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(tree)]


@pytest.mark.parametrize("mean", MEANS)
def test_dynamic_evaluation_against_numpy(params, mean):
    """Statistics and two segments, by the formulas of the module's docstring."""
    squares = jax.tree.map(jnp.zeros_like, params)
    carry = other = MODEL.initial_state(params, 3)
    expected = [0 * leaf for leaf in flat(params)]
    for batch in batches(3, lanes=3):
        squares, carry = SQUARES(squares, params, carry, batch)
        g, other = gradient(params, other, batch)
        expected = [own + d**2 for own, d in zip(expected, flat(g), strict=True)]
    rms = [np.sqrt(leaf / 3) for leaf in expected]
    by_tensor = np.mean([leaf.mean() for leaf in rms])
    by_element = np.concatenate([leaf.ravel() for leaf in rms]).mean()
    whole = {"tensors": by_tensor, "elements": by_element}[mean]
    statistics = statistics_of(squares, 3, mean)
    assert float(statistics.mean) == pytest.approx(whole, rel=1e-5)

    η, λ, ε = 0.01, 0.4, 1e-3
    carry = MODEL.initial_state(params, 1)
    θ, now = flat(params), params
    assert any((λ * leaf / whole > 1).any() for leaf in rms)  # some are cut to 1
    for batch in batches(2):
        g, _ = gradient(now, carry, batch)
        fixed, outputs = FIXED(now, carry, batch, jnp.ones(1))
        now, carry, scored = DYNAMIC(
            now, carry, batch, jnp.ones(1), params, statistics, Rule(η, λ, ε)
        )
        close = partial(np.testing.assert_allclose, rtol=1e-5)
        jax.tree.map(close, (scored, carry), (outputs, fixed))
        θ = [
            own + np.minimum(λ * s / whole, 1) * (first - own) - η * d / (s + ε)
            for own, first, s, d in zip(θ, flat(params), rms, flat(g), strict=True)
        ]
        for own, expected in zip(flat(now), θ, strict=True):
            np.testing.assert_allclose(own, expected, rtol=2e-4, atol=1e-6)


def test_the_gradient_of_the_softmax_bias_by_hand(params, ones):
    """Σ (softmax − one-hot) / T, computed from the logits of single steps."""
    (batch,) = batches(1)
    state, expected = MODEL.initial_state(params, 1), np.zeros(V)
    for token, target, real in zip(*(x[:, 0] for x in batch[:3]), strict=True):
        state, logits = STEP(params, state, jnp.array([token]))
        p = np.exp(np.asarray(logits, float)[0])
        p = p / p.sum() - np.eye(V)[target]
        expected += real * p / T
    after, _, _ = DYNAMIC(
        params,
        MODEL.initial_state(params, 1),
        batch,
        jnp.ones(1),
        params,
        ones,
        Rule(0.5, 0.0, 0.0),
    )
    moved = np.asarray(after["softmax"]["b"] - params["softmax"]["b"])
    np.testing.assert_allclose(moved, -0.5 * expected, rtol=1e-4, atol=1e-6)


def test_without_a_rate_nothing_moves_and_temperatures_divide(params, ones):
    carry, now, τs = MODEL.initial_state(params, 1), params, jnp.array([1.0, 2.0])
    for batch in batches(2):
        carry_at, logits = carry, []
        for token in batch.inputs[:, 0]:
            carry_at, own = STEP(params, carry_at, token[None])
            logits.append(np.asarray(own)[0])
        now, carry, found = DYNAMIC(
            now, carry, batch, τs, params, ones, Rule(0.0, 0.7, 1e-3)
        )
        for k, τ in enumerate((1.0, 2.0)):
            p = np.exp(np.array(logits, float) / τ)
            p = p[range(T), batch.targets[:, 0]] / p.sum(1)
            np.testing.assert_allclose(found.nats_TBK[:, 0, k], -np.log(p), rtol=1e-4)
    jax.tree.map(np.testing.assert_array_equal, now, params)


def test_climbing_ends_where_no_neighbour_is_better():
    seen = []

    def loss(values):
        seen.append(tuple(values.values()))
        if values["b"] == 4:
            return math.nan  # it has blown up
        return 4 * (values["a"] - 3) ** 2 + (values["b"] - values["a"]) ** 2

    grids = {"a": (0, 1, 2, 3, 4), "b": (0, 1, 2, 3, 4)}
    found = climb(grids, {"a": 0, "b": 4}, loss)
    assert found.values == {"a": 3, "b": 3} and found.loss == 0
    assert len(seen) == len(set(seen)) == len(found.tried) < 25
    assert edges(grids, {"a": 0, "b": 4}) == ["b"] and not edges({"a": (1,)}, {"a": 1})

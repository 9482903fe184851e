"""BPTT's sum: its terms add up, and truncation keeps the ones that it says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm.config import ModelConfig, OptimConfig
from lm.gradflow import terms
from lm.models.language_model import build
from lm.train import make_gradient, norms
from lm.types import Batch
from tests.linear import linear_model, with_recurrent
from tests.zoo import OF_EACH_FORM, close

pytestmark = pytest.mark.usefixtures("strict")
T, B, V, H = 5, 2, 7, 3
RNG = np.random.default_rng(0)
IDS, TARGETS = RNG.integers(0, V, (2, T, B)).astype(np.int32)
MASK = np.ones((T, B), np.float32)
MASK[1, 0] = MASK[3, 1] = 0


def start(name: str, layers: int, **options):
    config = ModelConfig(name, layers=layers, hidden=H, embedding=H, **options)
    model = build(config, V)
    params = jax.tree.map(lambda p: 1.5 * p, model.init(jax.random.key(1)))
    return (
        model,
        params,
        jax.tree.map(lambda s: s + 0.3, model.initial_state(params, B)),
    )


def gradient(model, params, state, batch, τ=0):
    make = make_gradient(model.problem, OptimConfig(truncation=τ))
    return jax.jit(lambda p: make(p, state, batch, None, None)[0])(params)


@pytest.mark.parametrize("name", OF_EACH_FORM)
def test_the_terms_sum_to_the_gradient(name):
    model, params, state = start(name, 2, softmax="tied", residual=True)

    @jax.jit
    def both(params):
        given = (model.layer, params, IDS, TARGETS, state)
        return terms.all_terms(*given), terms.bptt_terms(*given)

    all_terms, norms_PK = both(params)
    last = np.zeros((T, B), np.float32)
    last[-1] = 1
    batch = Batch(IDS, TARGETS, last, np.zeros(B, bool))
    want = gradient(model, params, state, batch)
    close(jax.tree.map(lambda t: t.sum(0), all_terms), want, atol=1e-6)
    close(norms_PK, np.asarray(jax.vmap(norms)(all_terms)).T, rtol=1e-4, atol=1e-7)


def test_a_term_of_a_linear_rnn_is_known():
    """∂⁺h_k/∂W = h_{k−1}, so the term of lag j is h_{k−1}ᵀ·δ·(Wᵀ)ʲ."""
    model = linear_model(H, V)
    w = RNG.normal(size=(H, H)).astype(np.float32) * 0.6
    params = with_recurrent(model.init(jax.random.key(0)), w)
    state = model.initial_state(params, 1)
    ids, targets = IDS[:, :1], TARGETS[:, :1]
    got = terms.all_terms(model.layer, params, ids, targets, state)["layers"][0]["w_h"]
    hs = np.asarray(model.apply(params, ids, state)[1])[:, 0]
    logits = hs[-1] @ params["softmax"]["w"] + params["softmax"]["b"]
    δ = np.asarray(jax.nn.softmax(logits)) - np.eye(V)[targets[-1, 0]]
    δ = δ @ np.asarray(params["softmax"]["w"]).T
    for lag in range(T - 1):
        back = δ @ np.linalg.matrix_power(w.T, lag)
        close(got[lag], np.outer(hs[T - 2 - lag], back), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "name, layers",
    [("lstm", 2), pytest.param("gru_reset_before", 1, marks=pytest.mark.quick)],
)
def test_truncated_gradients_equal_those_of_truncated_training(name, layers):
    model, params, state = start(name, layers)
    batch = Batch(IDS, TARGETS, MASK, np.array([True, False]))
    τs = [1, 2, 7]

    @jax.jit
    def both(params):
        given = (model.layer, params, batch, state, τs)
        return terms.gradient_by_lag(*given), terms.truncation_bias(*given)

    (full, parts), bias = both(params)
    want = gradient(model, params, state, batch)
    close(full, want, atol=1e-6)
    flat = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(want)])
    for n, τ in enumerate(τs):
        got = jax.tree.map(lambda p, n=n: p[: n + 1].sum(0), parts)
        twin = gradient(model, params, state, batch, τ)
        close(got, twin, atol=1e-6)
        other = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(twin)])
        error = np.linalg.norm(other - flat) / np.linalg.norm(flat)
        close(bias.relative_error_τ[n], error, rtol=1e-3, atol=1e-6)
        cosine = other @ flat / np.linalg.norm(flat) / np.linalg.norm(other)
        close(bias.cosine_τ[n], cosine, rtol=1e-5)
    assert bias.relative_error_τ[0] > 1e-3 and bias.relative_error_τ[-1] < 1e-5


def test_no_recurrent_step_at_all():
    """τ = 0 keeps only what step t does itself: the gradient with the state held."""
    model, params, state = start("lstm", 1)
    batch = Batch(IDS, TARGETS, MASK, np.zeros(B, bool))
    full, parts = jax.jit(
        lambda p: terms.gradient_by_lag(model.layer, p, batch, state, [0])
    )(params)
    before, _ = terms.states_before(model.layer, params, jnp.asarray(IDS), state)

    def held(params):
        total = 0.0
        for t in range(T):
            old = jax.tree.map(lambda s, t=t: s[t], before)
            logits = model.step(params, old, IDS[t])[1]
            total += jnp.sum(MASK[t] * terms.token_nats(logits, TARGETS[t]))
        return total / MASK.sum()

    want = jax.jit(jax.grad(held))(params)
    close(jax.tree.map(lambda p: p[0], parts), want, atol=1e-6)
    assert float(abs(full["layers"][0]["w_h"] - want["layers"][0]["w_h"]).max()) > 1e-4

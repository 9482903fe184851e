"""Entropy, rank and guesses: NumPy by brute force, and the step beside `score_step`."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm.config import ConfigError, ModelConfig
from lm.models.language_model import build
from lm.score import details, make_details_step, make_score_step
from lm.types import Batch

pytestmark = pytest.mark.usefixtures("strict")
T, B, V, K = 5, 3, 7, 4
RNG = np.random.default_rng(0)


def by_brute_force(logits_V, target, top):
    """(nats, entropy, rank, guesses, logs) of one place, a sorted list of all words."""
    p_V = np.exp(logits_V - logits_V.max())
    p_V /= p_V.sum()
    order = sorted(range(len(p_V)), key=lambda w: (-logits_V[w], w))
    entropy = -sum(p * math.log(p) for p in p_V if p > 0)
    guesses = order[:top]
    return -math.log(p_V[target]), entropy, order.index(target) + 1, guesses, p_V


def test_details_against_brute_force():
    logits = RNG.normal(size=(T, B, V)).astype(np.float32) * 3
    logits[1] = np.round(logits[1] / 3) + 0.0  # ties, no −0
    logits[2, 0, 3] = -np.inf  # a word that cannot come
    targets = RNG.integers(0, V, (T, B)).astype(np.int32)
    targets[2, 0] = 4
    got = details(jnp.asarray(logits), jnp.asarray(targets), jnp.ones((T, B)), K)
    assert got.hs_TBH is None
    for t, b in np.ndindex(T, B):
        place = logits[t, b].astype(float), int(targets[t, b]), K
        nats, entropy, rank, guesses, p_V = by_brute_force(*place)
        assert float(got.nats_TB[t, b]) == pytest.approx(nats, rel=1e-5, abs=1e-6)
        assert float(got.entropy_TB[t, b]) == pytest.approx(entropy, rel=1e-5)
        assert int(got.rank_TB[t, b]) == rank
        assert got.guesses_TBK[t, b].tolist() == guesses
        np.testing.assert_allclose(np.exp(got.logs_TBK[t, b]), p_V[guesses], rtol=1e-5)


def test_by_hand():
    # P = 1/2, 1/4, 1/4: entropy 1½ bits; the third word is third, after its equal.
    logits = jnp.log(jnp.array([[[2.0, 1.0, 1.0]]]))
    got = details(logits, jnp.array([[2]]), jnp.ones((1, 1)), 3)
    assert float(got.entropy_TB[0, 0]) == pytest.approx(1.5 * math.log(2))
    assert got.rank_TB[0, 0] == 3 and got.guesses_TBK[0, 0].tolist() == [0, 1, 2]
    hidden = details(logits, jnp.array([[2]]), jnp.zeros((1, 1)), 0)
    assert not any(float(x[0, 0]) for x in hidden[:3])
    assert hidden.guesses_TBK.shape == (1, 1, 0)


def test_the_step_says_what_the_score_step_says_and_carries_its_state():
    model = build(ModelConfig(cell="gru", hidden=6, embedding=5), V)
    params = model.init(jax.random.key(0))
    ids = jnp.asarray(RNG.integers(0, V, (T + 1, B)), jnp.int32)
    mask = jnp.ones((T, B)).at[-1, 0].set(0)
    batch = Batch(ids[:-1], ids[1:], mask, jnp.array([True, False, True]))
    carry = jax.tree.map(lambda s: s + 0.3, model.initial_state(params, B))
    plain, nats_TB = make_score_step(model)(params, carry, batch)
    step = jax.jit(make_details_step(model, K, states=True))
    after, found = step(params, carry, batch)
    np.testing.assert_allclose(found.nats_TB, nats_TB, rtol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), plain, after)
    want = details(model.logits(params, found.hs_TBH), batch.targets, mask, K)
    np.testing.assert_array_equal(found.guesses_TBK, want.guesses_TBK)
    assert found.hs_TBH.shape == (T, B, 6)
    with pytest.raises(ConfigError, match="top is 8"):
        make_details_step(model, V + 1)

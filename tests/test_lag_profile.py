"""The lag profile of a linear RNN in closed form, and its bootstrap intervals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm.gradflow import through_time
from lm.losses import token_nats
from lm.types import Batch
from tests.linear import linear_model, with_recurrent
from tests.zoo import close

pytestmark = pytest.mark.usefixtures("strict")
T, B, V, H = 12, 3, 5, 4
RNG = np.random.default_rng(0)
IDS, TARGETS = RNG.integers(0, V, (2, T, B)).astype(np.int32)
BATCH = Batch(IDS, TARGETS, np.ones((T, B), np.float32), np.ones(B, bool))


def test_a_linear_rnn_has_the_norms_of_the_powers_of_its_matrix():
    """∂ℓ_t/∂h_{t−k} = ∂ℓ_t/∂h_t·(Wᵀ)ᵏ, so G(k) = E‖∂ℓ_t/∂h_t·(Wᵀ)ᵏ‖."""
    model = linear_model(H, V)
    w = RNG.normal(size=(H, H)).astype(np.float32) * 0.5
    params = with_recurrent(model.init(jax.random.key(0)), w)
    state = model.initial_state(params, B)
    _, hs = model.apply(params, IDS, state)

    def last(h_BH):
        return jnp.sum(token_nats(model.logits(params, h_BH), TARGETS[-1]))

    δ = np.asarray(jax.grad(last)(hs[-1]), np.float64)
    powers = [np.linalg.matrix_power(w.T.astype(np.float64), k) for k in range(T)]
    want_KB = np.stack([np.linalg.norm(δ @ power, axis=1) for power in powers])
    got_LKB = through_time.lag_norms(model.problem, params, state, BATCH)["0"][None]
    close(got_LKB, want_KB[None], rtol=1e-4, atol=1e-7)
    got = through_time.lag_profile(model.problem, params, state, BATCH)
    close(got.raw_LK, want_KB.mean(1)[None], rtol=1e-4, atol=1e-7)


def test_numbers_read_off_a_profile():
    raw = np.array([[[4.0], [3.0], [1.0], [0.03], [0.05]], [[0.0]] * 5])
    got = through_time.profile_of(jnp.asarray(raw, jnp.float32))
    close(got.normalised_LK[0], [1, 0.75, 0.25, 0.0075, 0.0125])
    assert got.horizon_L.tolist() == [4, 0] and got.half_life_L.tolist() == [2, 0]


def test_intervals_are_those_of_resampled_lanes():
    norms = RNG.lognormal(size=(1, 3, 40)).astype(np.float32)
    got = through_time.bootstrap(jax.random.key(0), jnp.asarray(norms), resamples=4000)
    drawn = norms[:, :, RNG.integers(0, 40, (4000, 40))].mean(-1)
    close(got.low.raw_LK, np.quantile(drawn, 0.025, axis=-1), rtol=0.03)
    close(got.high.raw_LK, np.quantile(drawn, 0.975, axis=-1), rtol=0.03)
    mean = through_time.profile_of(jnp.asarray(norms))
    for low, at, high in zip(got.low, mean, got.high, strict=True):
        assert np.all(np.asarray(low) <= np.asarray(at))
        assert np.all(np.asarray(at) <= np.asarray(high))
    alike = np.broadcast_to(norms[:, :, :1], norms.shape)
    same = through_time.bootstrap(jax.random.key(0), jnp.asarray(alike), resamples=9)
    close(same.low.raw_LK, same.high.raw_LK, rtol=1e-5)

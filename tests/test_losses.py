"""Cross-entropy as sums: hand numbers, NumPy, optax; values and gradients."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lm.losses import Sum, bits, cross_entropy, perplexity, token_nats

pytestmark = pytest.mark.usefixtures("strict")
T, B, V = 4, 3, 7
RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(T, B, V)).astype(np.float32) * 3
TARGETS = RNG.integers(0, V, (T, B)).astype(np.int32)
MASK = RNG.integers(0, 2, (T, B)).astype(np.float32)


def numpy_nats(logits):
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return -np.take_along_axis(log_p, TARGETS[..., None], -1)[..., 0]


def test_by_hand():
    # P(target) = 3/4 and 1/4; the second does not count.
    logits = jnp.log(jnp.array([[[1.0, 3.0]], [[1.0, 3.0]]]))
    targets, mask = jnp.array([[1], [0]]), jnp.array([[1.0], [0.0]])
    got = cross_entropy(logits, targets, mask)
    assert float(got.total) == pytest.approx(math.log(4 / 3)) and got.count == 1
    even = cross_entropy(jnp.zeros((T, B, V)), jnp.asarray(TARGETS), jnp.ones((T, B)))
    assert float(even.mean()) == pytest.approx(math.log(V))


def test_values_against_numpy():
    got = cross_entropy(jnp.asarray(LOGITS), jnp.asarray(TARGETS), jnp.asarray(MASK))
    want = numpy_nats(LOGITS.astype(float))
    assert float(got.total) == pytest.approx((want * MASK).sum(), rel=1e-6)
    assert got.count == MASK.sum()


def test_gradient_is_softmax_minus_one_hot_where_counted():
    def loss(logits):
        return cross_entropy(logits, jnp.asarray(TARGETS), jnp.asarray(MASK)).total

    got = jax.grad(loss)(jnp.asarray(LOGITS))
    p = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)
    np.testing.assert_allclose(
        got, (p - np.eye(V)[TARGETS]) * MASK[..., None], atol=1e-6
    )
    assert np.all(np.asarray(got)[MASK == 0] == 0)


def test_own_backward_is_autodiffs():
    """Also with weights of either sign, and in float64."""
    δ = RNG.normal(size=(T, B))

    def ours(logits):
        return jnp.sum(δ * token_nats(logits, TARGETS))

    def optaxs(logits):
        nats = optax.softmax_cross_entropy_with_integer_labels(logits, TARGETS)
        return jnp.sum(δ * nats)

    with jax.enable_x64(True):
        logits = jnp.asarray(LOGITS, jnp.float64)
        got, want = (jax.value_and_grad(f)(logits) for f in (ours, optaxs))
    np.testing.assert_allclose(got[0], want[0], rtol=1e-12)
    np.testing.assert_allclose(got[1], want[1], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("size", [1e4, -1e4])
def test_huge_logits_stay_finite(size):
    logits = jnp.zeros((1, V)).at[0, 2].set(size)
    for target in (2, 3):
        at = jnp.array([target])
        value, grad = jax.value_and_grad(lambda x, a=at: token_nats(x, a)[0])(logits)
        assert np.isfinite(value) and np.all(np.isfinite(grad))
        assert abs(float(grad.sum())) < 1e-6
    surprise = token_nats(logits, jnp.array([3 if size > 0 else 2]))[0]
    assert float(surprise) == pytest.approx(1e4, rel=1e-3)


def test_integers_of_any_width_and_no_batch():
    want = token_nats(jnp.asarray(LOGITS), jnp.asarray(TARGETS))
    for dtype in (np.uint8, np.uint16, np.int16):
        got = token_nats(jnp.asarray(LOGITS), jnp.asarray(TARGETS.astype(dtype)))
        np.testing.assert_array_equal(got, want)
    one = token_nats(jnp.asarray(LOGITS[0, 0]), jnp.asarray(TARGETS[0, 0]))
    np.testing.assert_allclose(one, want[0, 0], rtol=1e-6)


def test_sums_add_up_where_means_of_means_would_not():
    halves = [
        cross_entropy(*(jnp.asarray(x[part]) for x in (LOGITS, TARGETS, MASK)))
        for part in (slice(0, 1), slice(1, T))
    ]
    whole = cross_entropy(*(jnp.asarray(x) for x in (LOGITS, TARGETS, MASK)))
    added = halves[0] + halves[1]
    assert isinstance(added, Sum)
    np.testing.assert_allclose(added, whole, rtol=1e-6)
    means = [half.total / max(1, half.count) for half in halves]
    assert abs(float(sum(means) / 2 - whole.mean())) > 1e-3


def test_units():
    assert perplexity(math.log(100)) == pytest.approx(100)
    assert perplexity(1e4) == math.inf
    assert bits(math.log(2)) == 1
    assert perplexity(bits(3.0) * math.log(2)) == pytest.approx(math.exp(3.0))

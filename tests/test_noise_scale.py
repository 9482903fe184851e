"""Gradient noise scale against sample variances, clip rate, norms with names."""

import jax
import jax.numpy as jnp
import numpy as np

from lm.gradflow import norms
from lm.train import StepInfo
from lm.types import Sum
from tests.zoo import close

RNG = np.random.default_rng(0)
TRUE = {"w": np.full((2, 3), 0.5), "b": np.array([1.0, -1.0])}


def examples(count):
    """Gradients of `count` examples: the true one plus noise."""
    noise = {"w": (count, 2, 3), "b": (count, 2)}
    drawn = {k: TRUE[k] + RNG.normal(size=shape) for k, shape in noise.items()}
    return {k: jnp.asarray(v, jnp.float32) for k, v in drawn.items()}


def test_noise_is_the_sample_variance_and_signal_what_is_left():
    drawn = examples(20)
    got = norms.noise_scale_of(lambda example: example, drawn, 20)
    flat = np.concatenate([np.reshape(v, (20, -1)) for v in drawn.values()], axis=1)
    noise = flat.var(axis=0, ddof=1).sum()
    signal = (flat.mean(0) ** 2).sum() - noise / 20
    close(got.noise, noise, rtol=1e-4)
    close(got.signal, signal, rtol=1e-4)
    close(got.scale, noise / signal, rtol=1e-4)


def test_two_batch_sizes_solve_for_both():
    """E|G_B|² = |G|² + tr Σ/B at B = 4 and 64, with |G|² = 3 and tr Σ = 60."""
    got = norms.noise_scale(jnp.asarray(3 + 60 / 4), jnp.asarray(3 + 60 / 64), 4, 64)
    close(got, norms.NoiseScale(3.0, 60.0, 20.0), rtol=1e-5)


def test_pooling_is_unbiased_where_single_ratios_are_not():
    def one(drawn):
        return norms.noise_scale_of(lambda example: example, drawn, 8)

    drawn = examples(8 * 500)
    many = jax.tree.map(lambda v: v.reshape(500, 8, *v.shape[1:]), drawn)
    measured = jax.jit(jax.vmap(one))(many)
    got = norms.pooled(measured)
    close(got.noise, 8.0, rtol=0.05)
    close(got.signal, sum((v**2).sum() for v in TRUE.values()), rtol=0.1)
    close(got.scale, got.noise / got.signal)


def test_clip_rate_counts_the_steps_that_were_cut():
    before = jnp.asarray([1.0, 6.0, 5.0, 9.0])
    close(norms.clip_rate(before, jnp.minimum(before, 5.0)), 0.5)


def test_norms_have_the_names_of_their_groups():
    three = np.arange(1.0, 3.0)
    info = StepInfo(Sum(0, 0), 0, 0, three, 2 * three, 3 * three)
    got = norms.per_group({"layers": ({"w": 0},), "softmax": {"b": 0}}, info)
    assert list(got) == ["layers.0.w", "softmax.b"]
    want = {"gradient": 2.0, "weight": 4.0, "update": 6.0, "ratio": 1.5}
    close(got["softmax.b"], want)

"""Pieces of cells that are computed in parts for speed are what they are parts of."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm.cells.forms import in_halves, interpolated, sigmoid, squashed
from lm.products import with_bias
from tests.zoo import close

pytestmark = pytest.mark.usefixtures("strict", "x64")


def drawn(width: int, number: int = 3):
    """Arrays (2, width)."""
    rng = np.random.default_rng(width)
    return tuple(jnp.asarray(rng.normal(size=(2, width))) for _ in range(number))


def same(one, other, xs):
    """Values, derivatives forward and backward, and second ones."""

    def told(f, *xs):
        tangents = tuple(jnp.cos(x) for x in xs)
        value, pull = jax.vjp(f, *xs)
        curvature = jax.hessian(lambda x: jnp.sum(f(x, *xs[1:]) ** 3))(xs[0])
        return value, jax.jvp(f, xs, tangents), pull(jnp.sin(value)), curvature

    close(*(jax.jit(told, static_argnums=0)(f, *xs) for f in (one, other)))


def both(one, other, xs):
    """The same, and under vmap."""
    same(one, other, xs)
    same(jax.vmap(one), jax.vmap(other), tuple(jnp.stack([x, 2 * x]) for x in xs))


@pytest.mark.parametrize("width", [5, 1, 2, 8])
def test_halves_are_the_whole(width):
    def function(z, a, b):
        return jnp.tanh(z * a + (1 - z) * b)

    both(lambda *xs: in_halves(function, *xs), function, drawn(width))
    both(interpolated, lambda z, a, b: z * a + (1 - z) * b, drawn(width))


@pytest.mark.parametrize("width", [3, 1])
def test_one_tanh_over_all_gates_is_each_gate_s_own(width):
    by = ("sigmoid", "tanh", "sigmoid")

    def apart(z):
        i, g, o = jnp.split(z, 3, axis=-1)
        return jnp.concatenate([sigmoid(i), jnp.tanh(g), sigmoid(o)], axis=-1)

    def together(z):
        return jnp.concatenate(squashed(z, by), axis=-1)

    both(together, apart, drawn(3 * width, 1))
    (z,) = drawn(3 * width, 1)
    close(sigmoid(z), jax.nn.sigmoid(z))


def test_a_bias_s_gradient_is_the_sum_over_all_rows():
    rng = np.random.default_rng(0)
    zs, b = jnp.asarray(rng.normal(size=(3, 2, 5))), jnp.asarray(rng.normal(size=5))

    def gradients(plus):
        def loss(zs, b):
            return jnp.sum(jnp.sin(plus(zs, b)))

        return jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))(zs, b)

    close(gradients(with_bias), gradients(lambda zs, b: zs + b[None, None]))

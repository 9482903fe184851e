"""The inverse of a unit lower triangular matrix, and that no LAPACK call makes it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from lm.cells import make_cell
from lm.cells.triangular import unit_lower_inverse
from lm.unroll import unroll


@pytest.mark.parametrize("n", [1, 2, 5, 32])
def test_it_is_the_inverse(n):
    L_NN = np.random.default_rng(n).normal(size=(2, 3, n, n)).astype(np.float32) / 2
    wanted = np.linalg.inv(np.eye(n) + np.tril(L_NN, -1).astype(float))
    found = jax.jit(unit_lower_inverse)(L_NN)
    np.testing.assert_allclose(found, wanted, atol=1e-6 * np.abs(wanted).max())


def test_equal_keys_do_not_cancel():
    """Powers of this L reach 10¹⁴, its inverse is of ones and twos."""
    L_NN = 2 * np.tril(np.ones((32, 32), np.float32), -1)
    wanted = np.linalg.inv(np.eye(32) + L_NN.astype(float))
    np.testing.assert_allclose(unit_lower_inverse(L_NN), wanted, atol=1e-5)


def test_its_derivatives():
    L_NN = jnp.asarray(np.random.default_rng(0).normal(size=(2, 5, 5)), jnp.float32)
    check_grads(unit_lower_inverse, (L_NN,), 2, ("fwd", "rev"), atol=2e-2, rtol=2e-2)


def test_gated_delta_net_calls_no_lapack():
    """Two batched solves at once wait for each other for ever on two cores."""
    cell = make_cell("gated_delta_net", 8)
    params = cell.init(jax.random.key(0), 8)
    state, xs_TBD = cell.initial_state(params, 2), jnp.ones((40, 2, 8))

    def loss(params):
        return unroll(cell, params, xs_TBD, state)[1].sum()

    program = jax.jit(jax.grad(loss)).lower(params).as_text("hlo")
    assert "lapack" not in program and "triangular-solve" not in program

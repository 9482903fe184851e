"""Lyapunov exponents where they are known, and what their sum must be."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm.config import ModelConfig
from lm.gradflow.jacobians import step_jacobians
from lm.gradflow.lyapunov import lyapunov_spectrum
from lm.gradflow.transitions import of_layer
from lm.models.language_model import build
from tests.linear import linear_model, with_recurrent
from tests.zoo import OF_EACH_FORM, close

pytestmark = pytest.mark.usefixtures("strict")
T, B, V, H = 60, 2, 5, 3
RNG = np.random.default_rng(0)
IDS = jnp.asarray(RNG.integers(0, V, (T, B)), jnp.int32)
FACTORS = np.array([1.1, 0.9, -0.3])


def spectrum(model, params, ids=IDS, **options):
    state = model.initial_state(params, ids.shape[1])
    run = jax.jit(
        lambda p: lyapunov_spectrum(of_layer(model.layer, p), state, ids, **options)
    )
    return run(params)


def test_a_diagonal_linear_rnn_to_four_digits():
    model = linear_model(H, V)
    params = with_recurrent(model.init(jax.random.key(0)), np.diag(FACTORS))
    got = spectrum(model, params, warmup=10)
    close(got.exponents_K, np.log(abs(FACTORS)), rtol=0, atol=1e-4)
    close(got.standard_error_K, np.zeros(3), atol=1e-6)
    assert got.running_TK.shape == (T - 10, 3)
    close(got.running_TK[-1], got.exponents_K)


def test_the_warm_up_lets_the_frame_turn():
    """In a slanted basis the exponents are the same, once the start is forgotten."""
    model, basis = linear_model(H, V), RNG.normal(size=(H, H)) + 2 * np.eye(H)
    slanted = np.linalg.inv(basis) @ np.diag([1.1, 0.6, 0.2]) @ basis
    params = with_recurrent(model.init(jax.random.key(0)), slanted)
    got = spectrum(model, params, warmup=40, exponents=2)
    close(got.exponents_K, np.log([1.1, 0.6]), rtol=0, atol=1e-4)


def test_the_layers_of_a_linear_stack_keep_their_exponents():
    """A triangular system: its spectrum is the union of its layers'."""
    model = linear_model(2, V, layers=2)
    params = with_recurrent(
        model.init(jax.random.key(0)), np.diag([1.2, 0.5]), np.diag([0.8, 0.2])
    )
    got = spectrum(model, params, warmup=30)
    close(got.exponents_K, np.log([1.2, 0.8, 0.5, 0.2]), rtol=0, atol=2e-4)


def test_the_standard_error_is_that_of_independent_steps():
    """s' = e^x·s with x ~ N(−.1, .5²): λ = −.1, error .5/√(steps·lanes)."""
    steps, lanes = 2000, 4
    xs = jnp.asarray(RNG.normal(-0.1, 0.5, (steps, lanes, 1)), jnp.float32)
    start = jnp.ones((lanes, 1))
    got = lyapunov_spectrum(
        lambda s, x: jnp.exp(x) * s, start, xs, warmup=0, segments=25
    )
    error = 0.5 / np.sqrt(steps * lanes)
    assert abs(float(got.exponents_K[0]) + 0.1) < 4 * error
    close(got.standard_error_K[0], error, rtol=0.25)


@pytest.mark.parametrize("name", OF_EACH_FORM)
def test_all_exponents_sum_to_the_growth_of_volume(name):
    """Σ λ_i = E ln|det J_t|, for any system."""
    model = build(ModelConfig(name, layers=2, hidden=2, embedding=2), V)
    params = jax.tree.map(lambda p: 1.5 * p, model.init(jax.random.key(3)))
    ids = IDS[:8]
    got = spectrum(model, params, ids, warmup=0)
    state = model.initial_state(params, B)
    jacobian = jax.jit(lambda p: step_jacobians(of_layer(model.layer, p), state, ids))(
        params
    )
    _, logs = np.linalg.slogdet(np.asarray(jacobian, np.float64))
    if not np.isfinite(logs).all():
        assert name in ("relu", "irnn")  # dead units: no volume is left
        assert float(got.exponents_K.sum()) == -np.inf
        return
    close(got.exponents_K.sum(), logs.mean(), rtol=1e-3, atol=1e-3)


def test_a_warm_up_that_leaves_nothing():
    model = linear_model(H, V)
    with pytest.raises(ValueError, match="warmup is 60 but the sequence has 60 steps"):
        spectrum(model, model.init(jax.random.key(0)), warmup=60)

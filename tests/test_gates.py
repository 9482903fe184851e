"""What is read off the gates, by hand and over whole models."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm.config import ModelConfig
from lm.gradflow import gates
from lm.models.language_model import build
from lm.recording import Recorded, record
from lm.types import Batch
from tests.zoo import B, H, cell_of, close

pytestmark = pytest.mark.usefixtures("strict")
V = 5
IDS = np.random.default_rng(0).integers(0, V, (6, B)).astype(np.int32)
BATCH = Batch(IDS, IDS, np.ones((6, B), np.float32), np.zeros(B, bool))


def test_statistics_by_hand():
    gate = jnp.asarray([[[0.05, 0.95]], [[0.5, 1.0]]])
    got = gates.statistics(gate)
    close(got.below_10, 0.25)
    close(got.above_90, 0.5)
    close(got.mean, 0.625)
    want = np.zeros(gates.BINS)
    want[[1, 10, 19]] = 0.25, 0.25, 0.5
    close(got.histogram, want)
    close(got.left_H, [0.5, 0])
    close(got.right_H, [0, 1])


def test_the_state_and_its_drift():
    norms = 3.0 + 0.25 * jnp.arange(7.0)[:, None] * jnp.ones((1, 2))
    got = gates.drifting(norms)
    close(got.norm_T, norms[:, 0])
    close(got.drift, 0.25)
    close(gates.drifting(norms[:1]).drift, 0.0)


@pytest.mark.parametrize("name", ["lstm", "gru", "relu"])
def test_layers_of_a_model(name):
    """Statistics of each layer are those of its cell on what that layer reads."""
    model = build(ModelConfig(name, layers=2, hidden=H, embedding=3), V)
    params = model.init(jax.random.key(0))
    state = model.initial_state(params, B)
    given = (model.problem, params, state, BATCH)
    found = jax.jit(gates.gate_statistics, static_argnums=0)(*given)
    assert len(found) == 2
    _, hs = model.apply(params, IDS, state)
    layers = list(record(model.apply, params, IDS, state).values())
    close(layers[1].after.h, hs)
    close(layers[1].before.h[1:], hs[:-1])
    close(
        model.parts[1].cell.project(params["layers"][1], layers[0].after.h),
        layers[1].zs_TBG,
    )
    look = model.parts[1].cell.gates
    assert look
    every = np.stack(
        [
            look(params["layers"][1], old, z)["slope"]
            for old, z in zip(unstack(layers[1].before), layers[1].zs_TBG, strict=True)
        ]
    )
    close(found["1"]["slope"].mean, every.mean())
    norm = gates.state_statistics(*given)["1"].norm_T
    close(norm, np.linalg.norm(hs, axis=-1).mean(1), rtol=1e-5)


def unstack(state):
    return [jax.tree.map(lambda s, t=t: s[t], state) for t in range(len(state.h))]


def test_a_forget_gate_that_is_known():
    """f = σ(b) everywhere without weights: f̄ = e^(−1/20) holds for 20 steps."""
    model = build(ModelConfig("lstm", hidden=H, embedding=3), V)
    params = jax.tree.map(jnp.zeros_like, model.init(jax.random.key(0)))
    f = np.exp(-1 / 20)
    bias = np.zeros(4 * H, np.float32)
    bias[H : 2 * H] = np.log(f / (1 - f))
    params["layers"][0]["b"] = jnp.asarray(bias)
    given = (model.problem, params, model.initial_state(params, B), BATCH)
    close(gates.time_constants(*given)["0"], np.full(H, 20.0), rtol=1e-3)
    assert float(gates.gate_statistics(*given)["0"]["forget"].above_90) == 1


def test_dead_units():
    model = build(ModelConfig("relu", hidden=H, embedding=3), V)
    params = model.init(jax.random.key(0))
    bias = jnp.asarray([9.0, -9.0, 9.0])
    params["layers"][0].update(b=bias, w_h=jnp.zeros((H, H)))
    given = (model.problem, params, model.initial_state(params, B), BATCH)
    close(gates.dead_units(*given)["0"], 1 / 3)
    assert gates.time_constants(*given) == {"0": None}


def test_a_cell_that_names_no_gates():
    layer = Recorded(None, None, jnp.zeros((1, 1, 1)))
    assert gates.gates_of(cell_of("tanh")._replace(gates=None), {}, layer) == {}

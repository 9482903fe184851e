"""Where the loss of each token reaches: by one gradient a pair, and in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm.config import InitConfig, ModelConfig
from lm.gradflow.reach import reach
from lm.gradflow.through_time import hidden_gradient, state_gradients
from lm.losses import token_nats
from lm.models.language_model import build
from lm.types import Batch, Context
from lm.unroll import scanned
from tests.linear import linear_model, with_recurrent
from tests.zoo import close

pytestmark = pytest.mark.usefixtures("strict")
T, B, V, H, D = 7, 2, 9, 4, 3
RNG = np.random.default_rng(0)
IDS, TARGETS = RNG.integers(0, V, (2, T, B)).astype(np.int32)
MASK = np.ones((T, B), np.float32)
MASK[-1, 1] = 0
BATCH = Batch(IDS, TARGETS, MASK, np.array([True, False]))
RESET = np.zeros((T, B), np.float32)
RESET[4, 0] = 1
INIT = InitConfig(scale=0.8)
MODELS = [
    ModelConfig("gru", 2, H, H, residual=True, softmax="tied", init=INIT),
    ModelConfig("lstm", 1, H, 0, init=INIT),
]


def made(config):
    model = build(config, V)
    params = jax.jit(model.init)(jax.random.key(1))
    state = jax.tree.map(lambda s: s + 0.3, model.initial_state(params, B))
    return model, params, state


@pytest.mark.parametrize("config", MODELS, ids=lambda config: config.cell)
def test_each_pair_by_a_gradient_of_its_own(config):
    """∂ℓ_t/∂x_s by jax.grad of one token's loss to one input, by a plain scan; and
    of states by the instrument that looks at one target."""
    model, params, state = made(config)
    read = jax.jit(lambda p: reach(model, p, state, BATCH, RESET, chunk=3))
    got = jax.tree.map(np.asarray, read(params))
    table = np.asarray(params.get("embedding", np.eye(V, dtype=np.float32)))
    fresh = model.initial_state(params, B)
    state = jax.tree.map(lambda f, s: s.at[0].set(f[0]), fresh, state)

    def nats(x_BD, s, t):
        xs = jnp.asarray(table[IDS]).at[s].set(x_BD)
        context = Context(reset_TB=jnp.asarray(RESET), driver=scanned)
        _, hs = model.stack.apply(params["layers"], xs, state, context)
        nats_B = token_nats(model.logits(params, hs[t]), jnp.asarray(TARGETS)[t])
        return jnp.sum(nats_B * jnp.asarray(MASK)[t])

    one = jax.jit(jax.grad(nats))
    for s, t in ((0, 0), (0, 3), (2, 6), (5, 6), (1, 5), (6, 3)):
        want_B = np.linalg.norm(one(table[IDS[s]], s, t), axis=-1)
        close(got.inputs_TTB[t, s], want_B, rtol=1e-4, atol=1e-7)
    assert got.inputs_TTB[6, 2, 0] == 0 < got.inputs_TTB[5, 2, 1]  # a reset at 4
    assert not np.any(np.triu(got.inputs_TTB[..., 1], 1))
    assert not got.inputs_TTB[6, :, 1].any()  # masked
    taps = jax.jit(lambda p, b: state_gradients(model.problem, p, state, b))
    only = np.zeros((T, B), np.float32)
    only[3] = 1  # before the reset
    want = taps(params, BATCH._replace(mask=only))
    for part in model.parts:
        h_TBH = hidden_gradient(part.cell, want[part.name])
        norms_TB = np.linalg.norm(h_TBH, axis=-1)
        close(got.states[part.name][3], norms_TB, rtol=1e-4, atol=1e-7)
    assert got.states["0"][5, 3, 0] == 0 < got.states["0"][5, 3, 1]


def test_a_linear_rnn_in_closed_form():
    """∂ℓ_t/∂h_{t−k} = δ_t·(Wᵀ)ᵏ, and ∂ℓ_t/∂x_{t−k} that times W_xᵀ, in NumPy."""
    model = linear_model(H, V)
    w = RNG.normal(size=(H, H)) * 0.5
    params = jax.jit(model.init)(jax.random.key(0))
    params = with_recurrent(params, w.astype(np.float32))
    state = model.initial_state(params, B)
    batch = BATCH._replace(mask=np.ones((T, B), np.float32))
    read = jax.jit(lambda p: reach(model, p, state, batch))
    got = jax.tree.map(np.asarray, read(params))
    p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    w_x, w_out = p["layers"][0]["w_x"], p["softmax"]["w"]
    logits = jax.jit(lambda p: model.logits(p, model.apply(p, IDS, state)[1]))(params)
    logits = np.asarray(logits, np.float64)
    p_TBV = np.exp(logits - logits.max(-1, keepdims=True))
    p_TBV /= p_TBV.sum(-1, keepdims=True)
    δ_TBH = (p_TBV - np.eye(V)[TARGETS]) @ w_out.T
    for t, s in ((0, 0), (6, 6), (6, 1), (4, 2)):
        back = δ_TBH[t] @ np.linalg.matrix_power(w.T, t - s)
        close(got.states["0"][t, s], np.linalg.norm(back, axis=1), rtol=1e-4)
        into = np.linalg.norm(back @ w_x.T, axis=1)
        close(got.inputs_TTB[t, s], into, rtol=1e-4)

"""Cross-entropy a block of words at a time: against all logits at once, by NumPy and
through a language model; and what it takes of memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm import softmax
from lm.config import DropoutConfig, ModelConfig
from lm.dropout import Dropout, rates_of
from lm.losses import cross_entropy
from lm.models.language_model import build, make_problem
from lm.score import make_score_step
from lm.softmax import block_width, token_nats_of
from lm.types import Batch, Context
from lm.words import softmax_nats
from tests.zoo import close

pytestmark = pytest.mark.usefixtures("strict")
T, B, D, V = 3, 2, 4, 11
RNG = np.random.default_rng(0)
HS, W, BIAS = (RNG.normal(size=shape) for shape in ((T, B, D), (D, V), V))
δ = RNG.normal(size=(T, B))
TARGETS = RNG.integers(0, V, (T, B)).astype(np.int32)
TARGETS[0] = 0, V - 1


def by_numpy():
    """Σ δ·ℓ, and its gradients, from all logits."""
    logits = HS @ W + BIAS
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    nats = -np.log(np.take_along_axis(p, TARGETS[..., None], -1)[..., 0])
    δ_logits = (p - np.eye(V)[TARGETS]) * δ[..., None]
    return nats, (
        δ_logits @ W.T,
        np.einsum("tbd,tbv->dv", HS, δ_logits),
        δ_logits.sum((0, 1)),
    )


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("width", [1, 4, V])
def test_against_numpy(width, tied, x64):
    """Blocks that fit the vocabulary, and a last one of what is left."""
    w = W.T if tied else W

    def loss(hs, w, b):
        nats = token_nats_of(hs, w, b, TARGETS, width, tied)
        return jnp.sum(δ * nats), nats

    grads, nats = jax.jit(jax.grad(loss, (0, 1, 2), has_aux=True))(HS, w, BIAS)
    wanted, (δ_hs, δ_w, δ_b) = by_numpy()
    close(nats, wanted, rtol=1e-12)
    close(grads, (δ_hs, δ_w.T if tied else δ_w, δ_b), rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("size", [1e4, -1e4])
def test_huge_logits_stay_finite(size):
    w = jnp.zeros((1, V)).at[0, 2].set(size)
    for word in (2, 3):

        def nats(h, w, word=word):
            at = jnp.array([word])
            return token_nats_of(h, w, jnp.zeros(V), at, 4, False)[0]

        value, grads = jax.value_and_grad(nats, (0, 1))(jnp.ones((1, 1)), w)
        assert np.isfinite(value) and all(np.isfinite(g).all() for g in grads)


def test_a_width_follows_from_the_sizes():
    assert block_width(700, 10_000) is None  # Zaremba medium
    assert block_width(2**13, 2**13) is None and block_width(2**13, 2**13 + 1) == 256
    assert block_width(16_384, 250_000) == 256  # the narrowest
    assert block_width(1_000, 250_000) == 1_024
    assert block_width(1, 2**27) == 2**20
    assert block_width(2**26, 100) == 100


MODELS = {
    "full": ModelConfig("lstm", hidden=D, embedding=3),
    "tied": ModelConfig("gru", hidden=D, embedding=D, softmax="tied"),
    "projected": ModelConfig("tanh", 1, D, 3, softmax="tied_projected", bias=False),
    "dropped": ModelConfig(
        "tanh", 1, D, 0, dropout=DropoutConfig("between", output=0.5)
    ),
}


@pytest.fixture
def in_blocks(monkeypatch):
    """Whatever has any logits makes them in blocks of 4 words."""
    monkeypatch.setattr(softmax, "LOGITS", 0)
    monkeypatch.setattr(softmax, "NARROWEST", 4)
    monkeypatch.setattr(softmax, "BLOCK", 4)


@pytest.mark.parametrize("name", MODELS)
def test_a_language_model_in_blocks_is_the_one_with_all_logits(name, in_blocks):
    """Training's loss and gradient with mask and dropout, evaluation, and scores."""
    config = MODELS[name]
    model = build(config, V)
    whole = make_problem(model, None, measure=cross_entropy)
    params = model.init(jax.random.key(0))
    carry = model.initial_state(params, B)
    mask = np.array([[1, 1], [1, 0], [0, 1]], np.float32)
    batch = Batch(TARGETS[::-1], TARGETS, mask, np.zeros(B, bool))
    context = Context(dropout=Dropout(jax.random.key(1), rates_of(config.dropout)))

    def of(problem):
        def loss(params):
            _, total = problem.loss(params, carry, batch, context)
            return total.total / total.count, total

        found = jax.value_and_grad(loss, has_aux=True)(params)
        return found, problem.evaluate(params, carry, batch)[1]

    got, wanted = (jax.jit(lambda p=p: of(p))() for p in (model.problem, whole))
    close(got, wanted, rtol=1e-5, atol=1e-6)
    _, nats_TB = make_score_step(model)(params, carry, batch)
    close(nats_TB.sum(), wanted[1]["loss"].total, rtol=1e-5)


def test_members_of_a_population_are_themselves():
    keys = jax.random.split(jax.random.key(0), 2)
    ws = jax.vmap(lambda key: jax.random.normal(key, (D, V)))(keys)

    hs, b = jnp.float32(HS), jnp.zeros(V)
    grad = jax.grad(lambda w: token_nats_of(hs, w, b, TARGETS, 4, False).sum())
    close(jax.vmap(grad)(ws), jnp.stack([grad(w) for w in ws]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("tied", [False, True])
def test_memory_over_250000_words(tied):
    """16,384 tokens: beside the gradient under 100 MB, where all logits are 16 GB."""
    tokens, words, width = 16_384, 250_000, 256
    shapes = (tokens, width), (words, width) if tied else (width, words), (words,)
    hs, w, b = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes)
    targets = jax.ShapeDtypeStruct((tokens,), jnp.int32)

    def loss(hs, w, b, targets):
        own, table = ({}, w) if tied else ({"w": w}, None)
        return softmax_nats(own | {"b": b}, table, hs, targets).sum()

    gradient = jax.jit(jax.grad(loss, (0, 1, 2)))
    planned = gradient.lower(hs, w, b, targets).compile().memory_analysis()
    assert planned and planned.temp_size_in_bytes < 100e6

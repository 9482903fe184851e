"""The language model as a whole: the same numbers by every way of asking for them."""

from dataclasses import replace
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm.config import ConfigError, DropoutConfig, InitConfig, ModelConfig
from lm.losses import token_nats
from lm.models.language_model import build, by_rows, one_hot_rows
from lm.problem import taps_of
from lm.train import count_parameters
from lm.types import Batch, Context
from lm.unroll import looped, unroll
from lm.words import project_words
from tests.zoo import close

pytestmark = pytest.mark.usefixtures("strict")
T, B, V, H = 4, 2, 7, 4
CONFIGS = {
    "full": ModelConfig("lstm", layers=2, hidden=H, embedding=3),
    "tied": ModelConfig("gru", hidden=H, embedding=H, softmax="tied"),
    "projected": ModelConfig("tanh", 2, H, 3, softmax="tied_projected"),
    "one-hot": ModelConfig("gru_reset_before", hidden=H, embedding=0),
    "residual": ModelConfig("gru", 3, H, 3, residual=True),
    "tutorial": ModelConfig("tanh", hidden=H, embedding=0, bias=False),
}
every_model = pytest.mark.parametrize("name", CONFIGS)
RNG = np.random.default_rng(0)
IDS = RNG.integers(0, V, (T, B)).astype(np.int32)
TARGETS = RNG.integers(0, V, (T, B)).astype(np.int32)


@cache
def built(name):
    """(model, params, state), the state and the biases not zero."""
    model = build(CONFIGS[name], V)
    params = model.init(jax.random.key(0))
    state = model.initial_state(params, B)
    rng = np.random.default_rng(1)

    def jitter(x):
        return np.asarray(x) + 0.3 * rng.normal(size=x.shape).astype(np.float32)

    return model, jax.tree.map(jitter, params), jax.tree.map(jitter, state)


def evaluate(model, driver, params, inputs, state, targets, mask):
    """(logits, state) and the gradient of Σ mask·nats in the parameters."""

    def loss(params):
        after, hs = model.apply(
            params, inputs, state, Context(mask_TB=mask, driver=driver)
        )
        logits = model.logits(params, hs)
        return jnp.sum(mask * token_nats(logits, targets)), (logits, after)

    (_, values), grads = jax.value_and_grad(loss, has_aux=True)(params)
    return values, grads


@cache
def compiled(name):
    return jax.jit(partial(evaluate, built(name)[0], None))


def ones(t=T):
    return np.ones((t, B), np.float32)


@every_model
def test_parameters(name):
    model, params, state = built(name)
    c, G = CONFIGS[name], {"lstm": 4, "tanh": 1}.get(CONFIGS[name].cell, 3) * H
    assert model.vocabulary == V and model.config == c
    assert len(model.parts) == len(params["layers"]) == len(state) == c.layers
    widths = [c.embedding or V, H]
    for d_in, layer in zip(widths, params["layers"], strict=False):
        assert layer["w_x"].shape == (d_in, G) and layer["w_h"].shape == (H, G)
        assert ("b" in layer) == c.bias
    assert ("embedding" in params) == bool(c.embedding)
    shapes = {k: v.shape for k, v in params["softmax"].items()}
    full, projection = {"w": (H, V)}, {"projection": (H, c.embedding)}
    wanted = {"full": full, "tied": {}, "tied_projected": projection}[c.softmax]
    assert shapes == wanted | ({"b": (V,)} if c.bias else {})
    assert count_parameters(params) == sum(x.size for x in jax.tree.leaves(params))


def test_count_by_hand():
    """V·D + 4·(D·H + H·H + H) + H·V + V."""
    model = build(ModelConfig("lstm", 1, hidden=5, embedding=3), 10)
    params = jax.eval_shape(model.init, jax.random.key(0))
    assert count_parameters(params) == 30 + 4 * (15 + 25 + 5) + 50 + 10


@every_model
def test_ids_are_one_hot_rows_and_the_unroll_a_python_loop(name):
    """Values and gradients, by both at once: compiled ids, looped one-hot rows."""
    model, params, state = built(name)
    mask = RNG.integers(0, 2, (T, B)).astype(np.float32)
    got = compiled(name)(params, IDS, state, TARGETS, mask)
    one_hot = np.eye(V, dtype=np.float32)[IDS]
    close(got, evaluate(model, looped, params, one_hot, state, TARGETS, mask))


def test_a_problem_by_rows_gives_the_same_numbers():
    model, params, state = built("one-hot")
    batch = Batch(IDS, TARGETS, ones(), np.ones(B, bool))
    rows = one_hot_rows(batch, V).inputs
    assert rows.shape == (T, B, V) and (jnp.argmax(rows, -1) == IDS).all()
    by_row = by_rows(model.problem, V)
    close(
        *(p.loss(params, state, batch, Context()) for p in (model.problem, by_row)),
    )


@every_model
def test_step_by_step_and_window_by_window_is_the_whole(name):
    model, params, state = built(name)
    (logits, last), _ = compiled(name)(params, IDS, state, TARGETS, ones())
    now, step = state, jax.jit(model.step)
    for t in range(T):
        now, logits_BV = step(params, now, IDS[t])
        close(logits_BV, logits[t], rtol=1e-5, atol=1e-5)
    close(now, last, rtol=1e-5, atol=1e-5)
    middle, _ = model.apply(params, IDS[:2], state, Context(driver=looped))
    after, hs = model.apply(params, IDS[2:], middle, Context(driver=looped))
    close((model.logits(params, hs), after), (logits[2:], last), rtol=1e-5, atol=1e-5)


@every_model
def test_padding_is_as_if_it_were_not_there(name):
    _, params, state = built(name)
    mask = ones()
    mask[2:, 0] = 0
    got = compiled(name)(params, IDS, state, TARGETS, mask)
    ids = np.where(mask > 0, IDS, (IDS + 1) % V).astype(np.int32)
    (_, last), grads = compiled(name)(params, ids, state, TARGETS, mask)
    close((last, grads), (got[0][1], got[1]), rtol=0, atol=0)


def test_reset_starts_the_lane_anew():
    model, params, state = built("full")
    reset = np.zeros((T, B), bool)
    reset[2, 1] = True
    _, hs = model.apply(params, IDS, state, Context(reset_TB=reset))
    _, fresh = model.apply(params, IDS[2:], model.initial_state(params, B))
    close(hs[2:, 1], fresh[:, 1])
    _, plain = model.apply(params, IDS, state)
    close(hs[:, 0], plain[:, 0])


def test_gradient_of_a_tied_matrix_is_the_sum_of_both_uses():
    _, params, state = built("tied")
    untied = build(ModelConfig("gru", hidden=H, embedding=H), V)
    softmax = {"w": params["embedding"].T, **params["softmax"]}
    at = dict(params, softmax=softmax)
    want, δ = evaluate(untied, None, at, IDS, state, TARGETS, ones())
    got, δ_tied = compiled("tied")(params, IDS, state, TARGETS, ones())
    close(got, want)
    close(δ_tied["embedding"], δ["embedding"] + δ["softmax"]["w"].T)
    close(δ_tied["layers"], δ["layers"])


def test_a_linear_projection_behind_a_tied_softmax():
    """logits = h·P·Eᵀ + b: that of a full softmax with w = P·Eᵀ."""
    model, params, _ = built("projected")
    hs = RNG.normal(size=(T, B, H)).astype(np.float32)
    w = params["softmax"]["projection"] @ params["embedding"].T
    close(model.logits(params, hs), hs @ w + params["softmax"]["b"][None, None])
    close(model.logits(params, hs[0, 0]), hs[0, 0] @ w + params["softmax"]["b"])


def test_rows_of_the_projected_embedding_are_projections_of_its_rows():
    model, params, _ = built("full")
    cell, layer, table = model.parts[0].cell, params["layers"][0], params["embedding"]

    def both(ids):
        def zs(layer, table):
            return jnp.sum(jnp.sin(project_words(cell, layer, table, ids)))

        return jax.value_and_grad(zs, (0, 1))(layer, table)

    few = IDS[:3]  # 6 < V ids, looked up first
    many = np.concatenate([few, few])  # 12 ≥ V, projected first
    value, grads = both(many)
    close((value, grads), jax.tree.map(lambda x: 2 * x, both(few)), atol=1e-5)
    assert project_words(cell, layer, table, many).shape == (6, B, 4 * H)


def test_a_residual_layer_adds_its_input_from_the_second_layer_on():
    model, params, state = built("residual")
    xs = jnp.asarray(params["embedding"])[IDS]
    cell, (first, *above) = model.parts[0].cell, params["layers"]
    _, hs = unroll(cell, first, xs, state[0])
    for layer, at in zip(above, state[1:], strict=True):
        hs = hs + unroll(cell, layer, hs, at)[1]
    close(model.apply(params, IDS, state)[1], hs)
    plain = build(replace(CONFIGS["residual"], residual=False), V)
    assert not np.allclose(plain.apply(params, IDS, state)[1], hs, atol=0.1)


def test_gradient_passes_residual_layers_that_do_nothing():
    """With zero weights above the first layer, GRUs at rest hand their input on: the
    gradient reaches the first layer as it reaches the last."""
    model, params, _ = built("residual")
    zero = jax.tree.map(jnp.zeros_like, params["layers"][1:])
    params = {**params, "layers": (params["layers"][0], *zero)}
    state = model.initial_state(params, B)
    taps = taps_of(model.parts, params, T, B)

    def loss(taps):
        return jnp.sum(model.apply(params, IDS, state, Context(taps=taps))[1][-1])

    grads = jax.grad(loss)(taps)
    close([g.h[-1] for g in grads.values()], [np.ones((B, H))] * 3)


@pytest.mark.parametrize("name", ["full", "tied"])
def test_taps_reach_every_layer(name):
    """The gradient of a tap on the last layer's output is the logits' weight."""
    model, params, state = built(name)
    taps = taps_of(model.parts, params, T, B)

    def loss(taps):
        _, hs = model.apply(params, IDS, state, Context(taps=taps, driver=looped))
        return jnp.sum(hs[-1])

    grads = jax.grad(loss)(taps)
    close(list(grads.values())[-1].h[-1], np.ones((B, H)))
    assert all(np.abs(layer.h[0]).max() > 0 for layer in grads.values())


def test_initial_loss_is_ln_v():
    for name in ("full", "tied", "one-hot"):
        model = build(CONFIGS[name], 50)
        params = model.init(jax.random.key(0))
        state = model.initial_state(params, B)
        _, hs = model.apply(params, IDS, state, Context(driver=looped))
        nats = token_nats(model.logits(params, hs), TARGETS)
        assert float(nats.mean()) == pytest.approx(np.log(50), abs=0.25)


def test_every_draw_is_within_the_scale():
    init = InitConfig(weights="uniform", scale=0.05, forget_bias=0)
    params = build(ModelConfig(layers=2, hidden=9, embedding=9, init=init), 11).init(
        jax.random.key(0)
    )
    leaves = {id(x): np.asarray(x) for x in jax.tree.leaves(params)}
    for leaf in leaves.values():
        assert np.abs(leaf).max() <= 0.05 and (leaf.ndim == 1) == (not leaf.any())
    w = [x for x in leaves.values() if x.shape == (9, 36)]
    assert len(w) == 4 and len({x.tobytes() for x in w}) == 4


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ({"layers": 0}, r"model.layers is 0: must lie in \[1, 8\]"),
        ({"layers": 9}, "model.layers is 9"),
        ({"hidden": 0}, "model.hidden is 0"),
        ({"softmax": "tide"}, "did you mean 'tied'"),
        ({"softmax": "tied", "hidden": 3, "embedding": 4}, r"\(4\).*\(3\) differ"),
        ({"softmax": "tied", "embedding": 0}, "needs an embedding"),
    ],
)
def test_a_bad_config_says_what_it_would_take(bad, why):
    with pytest.raises(ConfigError, match=why):
        ModelConfig(**bad)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ({"input": 0.1}, "choose dropout.kind 'between' or 'locked'"),
        ({"kind": "locked", "hidden": 1.0}, r"must lie in \[0.0, 1.0\)"),
        ({"zoneout": float("nan")}, "dropout.zoneout is nan"),
        ({"kind": "lokked"}, "did you mean 'locked'"),
    ],
)
def test_bad_dropout_says_what_it_would_take(bad, why):
    with pytest.raises(ConfigError, match=why):
        DropoutConfig(**bad)


def test_an_unknown_cell_is_refused_when_built():
    with pytest.raises(ConfigError, match="did you mean 'gru'"):
        build(ModelConfig("gro"), V)

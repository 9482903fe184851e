"""Structures by name, and the Transformer: whatever takes a model takes these."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm.config import ConfigError, DropoutConfig, ModelConfig
from lm.dropout import Dropout, rates_of
from lm.generate import Filters, make_text_sampler
from lm.gradflow.through_time import lag_norms
from lm.heads import classification
from lm.models.decoder import build_decoder
from lm.models.labelling import build_labelling
from lm.models.language_model import build
from lm.models.stacks import place_of, stack_of
from lm.problem import taps_of
from lm.regularizers import gradient_with_omega
from lm.structure import STRUCTURES, WHOLE
from lm.structure.normed import normed
from lm.structure.transformer import transformer
from lm.truncation import states_before
from lm.types import Batch, Context

T, B, V, H = 5, 2, 7, 8
KEY = jax.random.key(0)
IDS = np.random.default_rng(0).integers(0, V, (T + 1, B)).astype(np.int32)
BATCH = Batch(IDS[:-1], IDS[1:], np.ones((T, B), np.float32), np.ones(B, bool))
CELLS = dict.fromkeys(STRUCTURES, "gru") | {name: name for name in WHOLE}


def config(name: str, **changes) -> ModelConfig:
    structure = name if name in STRUCTURES else "plain"
    given = {"layers": 2, "hidden": H, "embedding": 6} | changes
    return ModelConfig(CELLS[name], structure=structure, **given)


@pytest.mark.parametrize("name", CELLS)
def test_all_that_takes_a_language_model_takes_it(name):
    """Traced, not run: loss with dropout, taps and recorder, lag profiles, truncation,
    states before each step, and both a table of word vectors and one-hot words."""
    drops = DropoutConfig("locked", input=0.1, hidden=0.2, output=0.1)
    for changes in ({}, {"embedding": 0}):
        model = build(config(name, dropout=drops, **changes), V)
        problem, kept = model.problem, {}
        params = jax.eval_shape(model.init, KEY)
        state = jax.eval_shape(lambda p, m=model: m.initial_state(p, B), params)
        if name == "clockwork" and changes:
            with pytest.raises(ConfigError, match="set model.embedding above 0"):
                jax.eval_shape(problem.evaluate, params, state, BATCH)
            continue

        def trained(params, state, key, problem=problem, kept=kept):
            taps = taps_of(problem.parts, params, T, B)
            dropout = Dropout(key, rates_of(drops))
            given = Context(dropout=dropout, taps=taps, recorded=kept)
            return problem.loss(params, state, BATCH, given)[1].total

        gradient = jax.eval_shape(jax.grad(trained), params, state, KEY)
        assert jax.tree.structure(gradient) == jax.tree.structure(params)
        assert {part.name for part in model.parts} == set(kept)
        for part in model.parts:
            own = part.of(params)
            assert "w_r" in own if name == "hawk" else own["w_x"].ndim == 2
        cut = problem.truncated
        assert cut is not None
        measured = partial(lag_norms, cut(2) if changes else problem)
        norms = jax.eval_shape(measured, params, state, BATCH)
        assert {leaf.shape for leaf in norms.values()} == {(T, B)}
        before, after = jax.eval_shape(
            partial(states_before, model.layer), params, BATCH.inputs, state
        )
        assert jax.tree.structure(before) == jax.tree.structure(after)
        shapes = jax.eval_shape(model.step, params, state, IDS[0])
        assert shapes[1].shape == (B, V)
        assert jax.tree.map(jnp.shape, shapes[0]) == jax.tree.map(jnp.shape, state)


@pytest.mark.parametrize("name", CELLS)
def test_both_ways_and_labelling(name):
    layer = stack_of(config(name), both_ways=True)
    xs = jax.ShapeDtypeStruct((T, B, 6), np.float32)

    def read(key, xs):
        params = layer.init(key, 6)
        given = Context(mask_TB=BATCH.mask)
        return layer.apply(params, xs, layer.initial_state(params, B), given)[1]

    assert jax.eval_shape(read, KEY, xs).shape == (T, B, 2 * H) == (T, B, layer.d_out)
    assert layer.step is None
    labels = build_labelling(config(name, embedding=0), 6, 3, classification())

    def answered(key, xs):
        params = labels.init(key)
        return labels.apply(params, xs, labels.initial_state(params, B))[1]

    assert jax.eval_shape(answered, KEY, xs).shape == (T, B, H)


def test_residual_has_two_names():
    one = build(config("residual"), V)
    other = build(config("plain", residual=True), V)
    said = [
        str(
            jax.make_jaxpr(
                lambda key, m=m: m.apply(
                    m.init(key), IDS, m.initial_state(m.init(key), B)
                )
            )(KEY)
        )
        for m in (one, other)
    ]
    assert said[0] == said[1]
    assert one.config.kind == other.config.kind == "residual gru"
    assert config("transformer").kind == "transformer"


def test_layers_of_a_dilated_stack_skip_1_2_and_4_steps():
    model = build(config("dilated", layers=3), V)
    params = jax.eval_shape(model.init, KEY)
    state = jax.eval_shape(lambda p: model.initial_state(p, B), params)
    assert [leaf.shape for leaf in jax.tree.leaves(state)] == [
        (B, H),
        (B, 2, H),
        (B, 4, H),
    ]


def test_a_structure_of_ones_own_is_one_line_in_the_registry(monkeypatch):
    def twice(place):
        return normed(normed(place.plain()))

    monkeypatch.setitem(STRUCTURES, "twice", twice)
    own = ModelConfig("tanh", 1, H, 3, structure="twice")
    params = jax.eval_shape(build(own, V).init, KEY)
    assert set(params["layers"][0]) == {"layer", "norm"}
    assert own.kind == "twice tanh"


@pytest.mark.slow
def test_a_transformer_writes_what_it_would_score_highest(monkeypatch):
    """Token by token, a cache of W = 3 steps behind each; as two windows of it."""
    monkeypatch.setitem(WHOLE, "small", partial(transformer, W=3))
    model = build(ModelConfig("small", 2, H, H, softmax="tied"), V)
    params = jax.tree.map(lambda x: 3 * x, model.init(KEY))
    write = make_text_sampler(model, Filters(greedy=True), 9)
    text = np.concatenate([IDS[:3], jax.jit(write)(params, KEY, IDS[:3])])

    @jax.jit
    def logits(params, ids, state):
        state, hs = model.apply(params, ids, state)
        return state, model.logits(params, hs)

    begin = model.initial_state(params, B)
    middle, first = logits(params, text[:6], begin)
    _, second = logits(params, text[6:], middle)
    found = np.concatenate([first, second])
    assert np.array_equal(found.argmax(-1)[2:-1], text[3:])
    assert len(np.unique(text)) > 2
    norms = jax.jit(partial(lag_norms, model.problem))(params, begin, BATCH)
    assert np.all(norms["1"][:4] > 0) and not np.any(norms["1"][4:])
    assert np.all(norms["0"] > 0)  # by two layers, 6 steps back


def test_what_cannot_be_is_refused_in_one_line():
    def fails(match, run):
        with pytest.raises(ConfigError, match=match) as told:
            run()
        assert "\n" not in str(told.value)

    fails("did you mean 'dilated'", lambda: stack_of(ModelConfig(structure="dilat")))
    fails("did you mean 'transformer'", lambda: stack_of(ModelConfig("transfomer")))
    fails(
        "leave that 'plain'",
        lambda: stack_of(ModelConfig("transformer", residual=True)),
    )
    fails("one structure", lambda: ModelConfig(residual=True, structure="dilated"))
    fails(
        "use another cell", lambda: stack_of(ModelConfig("qrnn", structure="clockwork"))
    )
    drops = DropoutConfig(zoneout=0.1)
    fails("set both to 0", lambda: stack_of(ModelConfig("transformer", dropout=drops)))
    drops = DropoutConfig(weight=0.1)
    fails("no recurrent matrices", lambda: stack_of(ModelConfig("hawk", dropout=drops)))
    cell = place_of(config("plain"), 0).one().parts[0].cell
    wide = ModelConfig(hidden=H, structure="gated_block")
    fails("has 8: choose one by model.cell", lambda: stack_of(wide, cell))
    for name in ("dilated", "transformer"):
        fails(
            "carries more than", lambda name=name: build_decoder(config(name), V, 4, 4)
        )
    build_decoder(config("prenorm_block"), V, 4, 4, "bahdanau")
    fails(
        "as wide as its output",
        lambda: STRUCTURES["highway"](place_of(config("plain"), 1)).init(KEY, 3),
    )
    problem = build(config("transformer"), V).problem

    def omega():
        def loss(params, carry, batch, key, rates, context):
            carry, total = problem.loss(params, carry, batch, context)
            return total.total, (carry, total)

        params = jax.eval_shape(problem.init, KEY)
        state = jax.eval_shape(lambda p: problem.carry(p, B), params)
        gradient = gradient_with_omega(problem, loss, 2.0)
        jax.eval_shape(gradient, params, state, BATCH, KEY, None)

    fails("set optim.omega to 0", omega)

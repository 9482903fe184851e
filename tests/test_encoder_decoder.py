"""Encoder, attention, decoder: against NumPy sums, step by step, and by gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm.attention import Looked, attend, attention
from lm.config import ConfigError, InitConfig, ModelConfig
from lm.generate import make_beam, make_searches
from lm.gradflow.source import along, source_gradients
from lm.gradflow.through_time import lag_norms, state_gradients
from lm.losses import smoothed_nats, token_nats
from lm.models.decoder import build_decoder
from lm.models.encoder_decoder import join, with_own_words
from lm.models.encoders import sentence_encoder
from lm.types import Context, Pairs
from tests.zoo import close

S, T, B, V, W, H = 5, 4, 3, 7, 6, 3
RNG = np.random.default_rng(0)
SOURCES, TARGETS = np.array([5, 3, 0]), np.array([4, 2, 0])
REAL_S = (np.arange(S)[:, None] < SOURCES).astype(np.float32)
REAL_T = (np.arange(T)[:, None] < TARGETS).astype(np.float32)
BATCH = Pairs(
    RNG.integers(0, V, (S, B)).astype(np.int32),
    REAL_S,
    RNG.integers(0, W, (T, B)).astype(np.int32),
    RNG.integers(0, W, (T, B)).astype(np.int32),
    REAL_T,
    np.zeros((T, B), np.float32),
)
PLACES = [
    ("none", "general"),
    ("luong", "general"),
    ("luong", "additive"),
    ("bahdanau", "general"),
    ("bahdanau", "additive"),
]


def made(place, score, cell="gru", layers=1, **settings):
    config = ModelConfig(cell, layers, H, 2, init=InitConfig(scale=2.0))
    encoder, width = sentence_encoder(config, V)
    decoder = build_decoder(config, W, width, width, place, score)
    model = join(encoder, decoder, **settings)
    return model, jax.jit(model.problem.init)(jax.random.key(1))


def softmax(x):
    weights = np.exp(x - x.max())
    return weights / weights.sum()


def by_hand(params, place, score, source, inputs):
    """(logits (T, W), weights (T, S) or None) of one lane of a tanh network."""
    p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    encoder, decoder = p["encoder"], p["decoder"]

    def tanh(own, x, h):
        return np.tanh(x @ own["w_x"] + own["b"] + h @ own["w_h"])

    def score_of(h, m):
        own = decoder["attention"]
        if score == "general":
            return h @ (m @ own["w"])
        return own["v"] @ np.tanh(h @ own["w"] + m @ own["u"])

    def found(h):
        weights = softmax(np.array([score_of(h, m) for m in memory]))
        return weights @ memory, weights

    xs, sides = encoder["embedding"][source], []
    for name, order in (("forward", 1), ("backward", -1)):
        h, states = np.zeros(H), []
        for x in xs[::order]:
            h = tanh(encoder["layers"][0][name], x, h)
            states.append(h)
        sides.append(np.array(states[::order]))
    memory = np.concatenate(sides, axis=1)
    summary = np.concatenate([sides[0][-1], sides[1][0]])
    h = np.tanh(summary @ decoder["bridge"][0]["w"] + decoder["bridge"][0]["b"])
    logits, weights = [], []
    for word in inputs:
        x = decoder["embedding"][word]
        if place == "bahdanau":
            context, weight = found(h)
            weights.append(weight)
            x = np.concatenate([x, context])
        u = h = tanh(decoder["layers"][0], x, h)
        if place == "luong":
            context, weight = found(h)
            weights.append(weight)
            u = np.tanh(np.append(context, h) @ decoder["attentional"]["w"])
        logits.append(u @ decoder["softmax"]["w"] + decoder["softmax"]["b"])
    return np.array(logits), np.array(weights) if weights else None


@pytest.mark.parametrize(("place", "score"), PLACES)
def test_logits_and_gradients_are_those_of_sums_by_hand(place, score):
    model, params = made(place, score, "tanh")
    logits, weights = jax.jit(
        lambda p: (model.logits(p, BATCH), model.weights(p, BATCH))
    )(params)
    for lane, (source, target) in enumerate(zip(SOURCES[:2], TARGETS[:2], strict=True)):
        one = BATCH.source[:source, lane], BATCH.inputs[:target, lane]
        wanted, looked = by_hand(params, place, score, *one)
        close(logits[:target, lane], wanted, 1e-4, 1e-5)
        if looked is not None:
            close(weights[lane, :target, :source], looked, 1e-4, 1e-5)

    def loss(params):
        return model.problem.loss(params, (), BATCH, Context())[1].total

    def loss_by_hand(params):
        total = 0.0
        for lane, (source, target) in enumerate(
            zip(SOURCES[:2], TARGETS[:2], strict=True)
        ):
            one = BATCH.source[:source, lane], BATCH.inputs[:target, lane]
            for row, word in zip(
                by_hand(params, place, score, *one)[0],
                BATCH.targets[:target, lane],
                strict=True,
            ):
                total -= np.log(softmax(row)[word])
        return total

    leaves, treedef = jax.tree.flatten(
        jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    )
    slopes = jax.tree.leaves(jax.jit(jax.grad(loss))(params))
    for number, (leaf, slope) in enumerate(zip(leaves, slopes, strict=True)):
        way = RNG.normal(size=leaf.shape)
        ends = []
        for step in (1e-5, -1e-5):
            moved = [*leaves]
            moved[number] = leaf + step * way
            ends.append(loss_by_hand(jax.tree.unflatten(treedef, moved)))
        close(np.sum(slope * way), (ends[0] - ends[1]) / 2e-5, 2e-3, 2e-4)


@pytest.mark.parametrize("name", ["dot", "general", "additive"])
def test_attention_is_a_mean_weighted_by_scores(name):
    kind, width = attention(name), 4
    params = kind.init(jax.random.key(0), width, width, InitConfig())
    queries = jnp.asarray(RNG.normal(size=(2, T, width)), jnp.float32)
    values = jnp.asarray(RNG.normal(size=(2, S, width)), jnp.float32)
    mask = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], np.float32)
    at = Looked(kind.keys(params, values), values, mask)
    context, weights = attend(kind, params, queries, at)
    p = {k: np.asarray(v) for k, v in params.items()}
    for lane, places in ((0, 3), (1, 5)):
        for t, query in enumerate(np.asarray(queries[lane])):
            own = np.asarray(values[lane, :places])
            scores = {
                "dot": lambda m, q=query: q @ m,
                "general": lambda m, q=query: q @ (m @ p["w"]),
                "additive": lambda m, q=query: (
                    p["v"] @ np.tanh(q @ p["w"] + m @ p["u"])
                ),
            }[name]
            wanted = softmax(np.array([scores(m) for m in own]))
            close(weights[lane, t, :places], wanted, 1e-5, 1e-6)
            close(context[lane, t], wanted @ own, 1e-5, 1e-6)
    assert not np.asarray(weights)[0, :, 3:].any()


@pytest.mark.parametrize(
    ("place", "score", "cell"),
    [
        ("none", "dot", "lstm"),
        ("luong", "general", "gru"),
        ("bahdanau", "additive", "lstm"),
    ],
)
def test_steps_are_the_whole_and_padding_never_leaks(place, score, cell):
    model, params = made(place, score, cell, layers=2)

    @jax.jit
    def all_of(params, batch):
        state = model.begin(params, batch.source, batch.source_mask)
        _, steps = jax.lax.scan(
            lambda state, words: model.step(params, state, words), state, batch.inputs
        )
        gradients = state_gradients(model.problem, params, (), batch)
        return model.logits(params, batch), steps, gradients

    whole, steps, gradients = all_of(params, BATCH)
    close(steps, whole, 1e-5, 1e-5)
    noise = BATCH._replace(source=np.where(REAL_S > 0, BATCH.source, 6))
    close(all_of(params, noise)[0], whole, 1e-6)
    for part in model.problem.parts:
        real = REAL_T if part.name.startswith("decoder") else REAL_S
        for leaf in jax.tree.leaves(gradients[part.name]):
            norms = np.linalg.norm(np.asarray(leaf), axis=-1)
            assert np.isfinite(norms).all() and not norms[real == 0].any()
        h_TB = np.linalg.norm(np.asarray(gradients[part.name].h), axis=-1)
        assert (h_TB[real > 0] > 0).all(), part.name


@pytest.mark.slow
@pytest.mark.parametrize(("place", "score"), [PLACES[0], PLACES[4]])
def test_lag_profiles_and_the_source(place, score):
    model, params = made(place, score)
    words = np.arange(S * B, dtype=np.int32).reshape(S, B) % V
    distinct = BATCH._replace(source=words)

    def of_word(table, t):
        own = params | {"encoder": params["encoder"] | {"embedding": table}}
        mask = REAL_T * (np.arange(T)[:, None] == t) * (np.arange(B) == 0)
        one = distinct._replace(mask=mask.astype(np.float32))
        return model.problem.loss(own, (), one, Context())[1].total

    @jax.jit
    def all_of(params):
        lags = lag_norms(model.problem, params, (), BATCH)
        norms = source_gradients(model.problem, params, distinct)
        return lags, norms, jax.grad(of_word)(params["encoder"]["embedding"], 1)

    lags, norms, slope = jax.device_get(all_of(params))
    assert {name: found.shape for name, found in lags.items()} == {
        "encoder.0.forward": (S, B),
        "encoder.0.backward": (S, B),
        "decoder.0": (T, B),
    }
    # The middle word of lane 0 is its second: lags 0 and 1 of the decoder alone.
    assert (lags["decoder.0"][:, 0] > 0).tolist() == [True, True, False, False]
    assert norms.shape == (T, S, B) and not norms[:, REAL_S == 0].any()
    assert not norms.transpose(0, 2, 1)[REAL_T == 0].any()
    assert len(set(words[:, 0].tolist())) == S
    wanted = np.linalg.norm(slope[words[:, 0]], axis=-1)
    close(norms[1, :, 0], wanted, 1e-4, 1e-7)


def test_shares_along_the_source_by_hand():
    norms = np.zeros((3, 4, 1))
    norms[0, 0], norms[1, 1], norms[1, 2], norms[2, 3] = 5, 1, 3, 2
    ones = np.ones((4, 1))
    found = along(jnp.asarray(norms), jnp.asarray(ones[:3]), jnp.asarray(ones), bins=2)
    close(found, [[2, 0], [0.5, 1.5], [0, 2]], 1e-6)


def test_smoothing_and_words_of_its_own():
    logits = jnp.asarray(RNG.normal(size=(T, B, W)), jnp.float32)
    even = -np.asarray(jax.nn.log_softmax(logits)).mean(-1)
    nats = np.asarray(token_nats(logits, BATCH.targets))
    wanted = 0.9 * nats + 0.1 * even
    close(smoothed_nats(logits, BATCH.targets, 0.1), wanted, 1e-5)
    own = np.zeros((T, B), np.float32)
    own[2, 0] = own[1, 1] = own[0, 0] = 1
    batch = with_own_words(logits, BATCH._replace(own=own))
    said = np.argmax(np.asarray(logits), -1)
    expected = BATCH.inputs.copy()
    expected[2, 0], expected[1, 1] = said[1, 0], said[0, 1]
    np.testing.assert_array_equal(batch.inputs, expected)
    plain, params = made("luong", "general")
    sampled, _ = made("luong", "general", own=True)

    def total(model):
        loss = jax.jit(lambda p: model.problem.loss(p, (), BATCH, Context())[1])
        return loss(params).total

    close(total(sampled), total(plain), 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("normalise", [0.0, 1.0])
def test_a_wide_beam_finds_the_best_by_length(normalise):
    model, params = made("bahdanau", "additive")
    tokens, width = 2, W**2
    state = jax.jit(model.begin)(params, BATCH.source, BATCH.source_mask)
    step = jax.jit(model.step)
    first = jnp.zeros(B, jnp.int32)
    search = make_searches(model.step, W, width, tokens, 0, normalise)
    beams = jax.jit(search)(params, state, first)
    alone = make_beam(model.step, W, width, tokens, 0, normalise=normalise)
    own = jax.tree.map(lambda leaf: leaf[:1], state)
    one = jax.jit(alone)(params, own, first[:1])
    np.testing.assert_array_equal(one.ids[0], beams.ids[0, 0])
    close(one.log_probability[0], beams.log_probability[0, 0], 1e-5)
    best, table = -np.inf, {(): (own, 0.0)}
    for length in range(1, tokens + 1):
        longer = {}
        for text, (at, nats) in table.items():
            token = jnp.array([text[-1] if text else 0], jnp.int32)
            after, logits = step(params, at, token)
            for word, gain in enumerate(np.asarray(jax.nn.log_softmax(logits)[0])):
                if word == 0 or length == tokens:
                    best = max(best, (nats + gain) / length**normalise)
                if word:
                    longer[(*text, word)] = (after, nats + gain)
        table = longer
    score = one.log_probability[0] / one.lengths[0] ** normalise
    close(score, best, 1e-5, 1e-5)


def test_what_cannot_be_is_refused():
    config = ModelConfig("gru", 1, H, 2)
    with pytest.raises(ConfigError, match="score 'general'"):
        build_decoder(config, W, 2 * H, 2 * H, "luong", "dot").init(jax.random.key(0))
    with pytest.raises(ConfigError, match="use 'luong'"):
        build_decoder(ModelConfig("lru", 1, 4, 2), W, 8, 8, "bahdanau")
    with pytest.raises(ConfigError, match="'generel' is unknown"):
        attention("generel")
    with pytest.raises(ConfigError, match=r"model.embedding is 0"):
        build_decoder(ModelConfig("gru", 1, H, 0), W, 6, 6)

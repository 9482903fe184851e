"""Sampling and beam search against the whole prefix re-run, and against enumeration."""

import itertools
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm.config import ConfigError, DropoutConfig, InitConfig, ModelConfig
from lm.generate import (
    Filters,
    argmax,
    ban,
    filtered,
    folded,
    keep_top_k,
    keep_top_p,
    make_beam,
    make_sampler,
    make_text_beam,
    make_text_sampler,
    read_prompt,
    tempered,
)
from lm.models.language_model import build
from tests.zoo import OF_EACH_FORM

pytestmark = pytest.mark.usefixtures("strict")
V, STOP = 7, 0
INF = np.inf


@cache
def tiny(cell="lstm", layers=1, vocabulary=V, **changes):
    """A model with weights large enough that its choices are not all alike."""
    init = InitConfig(weights="normal", scale=1.0)
    settings = {"hidden": 5, "embedding": 4, "init": init} | changes
    model = build(ModelConfig(cell=cell, layers=layers, **settings), vocabulary)
    return model, jax.jit(model.init)(jax.random.key(1))


LONGEST = 20


def oracle(model, params):
    """logits_after(ids): the whole prefix through `apply`, every time again."""

    @jax.jit
    def through(ids_T):
        state = model.initial_state(params, 1)
        _, hs_TBH = model.apply(params, ids_T[:, None], state)
        return model.logits(params, hs_TBH[:, 0])

    def logits_after(ids):
        padded = np.zeros(LONGEST, np.int32)
        padded[: len(ids)] = ids
        return np.asarray(through(padded)[len(ids) - 1], np.float64)

    return logits_after


def log_softmax(logits):
    shifted = logits - logits.max()
    return shifted - np.log(np.exp(shifted).sum())


@cache
def sampler(model, filters, tokens, stop):
    return jax.jit(make_text_sampler(model, filters, tokens, stop))


def sampled(model, params, prompt, tokens, lanes=1, seed=0, stop=None, **filters):
    sample = sampler(model, Filters(**filters), tokens, stop)
    prompt = jnp.tile(jnp.asarray(prompt, jnp.int32)[:, None], (1, lanes))
    return np.asarray(sample(params, jax.random.key(seed), prompt))


@pytest.mark.parametrize("cell", OF_EACH_FORM)
def test_greedy_is_the_argmax_of_the_whole_prefix_re_run(cell):
    model, params = tiny(cell)
    assert "embedding" in params and "embedding" not in folded(model, params)
    ids, logits_after = [0, 3, 2], oracle(model, params)
    wrote = sampled(model, params, ids, 12, greedy=True)[:, 0]
    for token in wrote:
        assert token == logits_after(ids).argmax()
        ids.append(token)


@pytest.mark.parametrize(
    "changes",
    [
        {"embedding": 0, "layers": 2},
        {"softmax": "tied_projected"},
        {"bias": False},
        {"dropout": DropoutConfig(zoneout=0.2)},
    ],
)
def test_greedy_for_every_kind_of_model(changes):
    model, params = tiny(**changes)
    ids, logits_after = [0], oracle(model, params)
    for token in sampled(model, params, ids, 8, greedy=True)[:, 0]:
        assert token == logits_after(ids).argmax()
        ids.append(token)


def test_samples_follow_the_models_distribution():
    model, params = tiny()
    n = 20_000
    drawn = sampled(model, params, [0, 4], 1, n, temperature=0.7)[0]
    expected = np.exp(log_softmax(oracle(model, params)([0, 4]) / 0.7))
    share = np.bincount(drawn, minlength=V) / n
    error = np.sqrt(expected * (1 - expected) / n)
    assert (np.abs(share - expected) < 4.5 * error + 1e-9).all()


def test_the_same_seed_gives_the_same_text_and_another_another():
    model, params = tiny()
    first = sampled(model, params, [0], 140, 3, seed=5)
    assert (first == sampled(model, params, [0], 140, 3, seed=5)).all()
    assert (first != sampled(model, params, [0], 140, 3, seed=6)).any()
    assert (first[:, 0] != first[:, 1]).any()
    fewer = sampled(model, params, [0], 30, 2, seed=5)
    assert (fewer == first[:30, :2]).all()


def test_after_the_stop_mark_nothing_but_stop_marks():
    model, params = tiny()
    free = sampled(model, params, [STOP], 140, 3)
    stopped = sampled(model, params, [STOP], 140, 3, stop=STOP)
    for lane in range(3):
        end = int(np.argmax(free[:, lane] == STOP))
        assert free[end, lane] == STOP
        assert (stopped[: end + 1, lane] == free[: end + 1, lane]).all()
        assert (stopped[end:, lane] == STOP).all()


def test_no_temperature_is_greedy_and_one_of_top_k_too():
    model, params = tiny()
    greedy = sampled(model, params, [0], 20, greedy=True)
    assert (greedy == sampled(model, params, [0], 20, temperature=0.0)).all()
    assert (greedy == sampled(model, params, [0], 20, top_k=1)).all()
    assert (greedy == sampled(model, params, [0], 20, top_p=0.0)).all()


def test_banned_tokens_never_come():
    model, params = tiny()
    drawn = sampled(model, params, [0], 140, 3, banned=(1, 4))
    assert not np.isin(drawn, (1, 4)).any() and len(np.unique(drawn)) == V - 2


def test_filters_by_hand():
    probability = jnp.asarray([0.1, 0.4, 0.2, 0.3])
    logits = jnp.log(probability)

    def kept(filtered_logits):
        return np.isfinite(np.asarray(filtered_logits)).tolist()

    assert kept(keep_top_k(logits, 2)) == [False, True, False, True]
    assert kept(keep_top_k(logits, 0)) == kept(keep_top_k(logits, 9)) == [True] * 4
    assert kept(keep_top_p(logits, 0.39)) == [False, True, False, False]
    assert kept(keep_top_p(logits, 0.41)) == [False, True, False, True]
    assert kept(keep_top_p(logits, 0.71)) == [False, True, True, True]
    assert kept(keep_top_p(logits, 1.0)) == [True] * 4
    assert kept(ban(logits, (1, 2))) == [True, False, False, True]
    both = filtered(logits, Filters(temperature=2.0, top_k=3, banned=(1,)))
    shares = np.log([0.1 / 0.3, 0.2 / 0.3, 1.0]) / 2  # less the largest
    np.testing.assert_allclose(both, np.insert(shares, 1, -INF), rtol=1e-6)
    sharp = filtered(logits, Filters(temperature=0.1, top_p=0.9))
    assert kept(sharp) == [False, True, False, False]


def test_argmax_is_the_first_of_the_largest():
    values = jnp.asarray([[1.0, 3, 3, 2], [-INF, -INF, 0, -INF]])
    assert argmax(values).tolist() == [1, 2]


def beams(model, params, prompt, width, tokens, **settings):
    search = jax.jit(make_text_beam(model, width, tokens, **settings))
    found = search(params, jnp.asarray(prompt, jnp.int32))
    return jax.tree.map(np.asarray, found)


def test_a_beam_of_one_is_greedy():
    model, params = tiny()
    found = beams(model, params, [0], 1, 20)
    greedy = sampled(model, params, [0], 20, greedy=True)[:, 0]
    assert (found.ids[0] == greedy).all() and found.lengths[0] == 20


def enumerated(model, params, prompt, tokens, stop):
    """Every text of at most `tokens` tokens with its log-probability, best first."""
    texts, logits_after = {}, oracle(model, params)
    for ids in itertools.product(range(model.vocabulary), repeat=tokens):
        if stop in ids:
            end = ids.index(stop) + 1
            ids = ids[:end] + (stop,) * (tokens - end)
            length = end
        else:
            length = tokens
        if ids not in texts:
            total, prefix = 0.0, list(prompt)
            for token in ids[:length]:
                total += log_softmax(logits_after(prefix))[token]
                prefix.append(token)
            texts[ids] = total
    return sorted(texts.items(), key=lambda item: -item[1])


@pytest.mark.parametrize("stop", [None, STOP])
def test_a_wide_beam_is_exhaustive(stop):
    model, params = tiny("gru", layers=1, vocabulary=3)
    tokens = 3
    wanted = enumerated(model, params, [0, 1], tokens, stop)
    found = beams(model, params, [0, 1], 3**tokens, tokens, stop=stop)
    real = np.isfinite(found.log_probability)
    assert real.sum() == len(wanted)
    assert [tuple(ids) for ids in found.ids[real].tolist()] == [t for t, _ in wanted]
    scores = [score for _, score in wanted]
    np.testing.assert_allclose(found.log_probability[real], scores, atol=1e-4)
    if stop is not None:
        ends = [t.index(stop) + 1 if stop in t else tokens for t, _ in wanted]
        assert found.lengths[real].tolist() == ends


def test_a_wider_beam_finds_no_worse_here_and_bans_hold():
    model, params = tiny()
    narrow = beams(model, params, [0], 1, 20, banned=(2, 3))
    wide = beams(model, params, [0], 16, 20, banned=(2, 3))
    assert narrow.log_probability[0] <= wide.log_probability[0] + 1e-4
    assert not np.isin(wide.ids, (2, 3)).any()


@pytest.mark.parametrize("temperature", [1e-3, 1e-30, 1e-37, 1e-38, 1e-45, 1e-300])
def test_a_temperature_near_zero_is_greedy(temperature):
    model, params = tiny()
    greedy = sampled(model, params, [0], 20, greedy=True)
    assert (greedy == sampled(model, params, [0], 20, temperature=temperature)).all()
    near = jax.jit(lambda x: tempered(x, temperature))(jnp.asarray([3.0, 5.0, -INF]))
    assert near[1] == 0 and near[0] <= -100 and near[2] == -INF


def test_any_temperature_leaves_what_is_banned_and_no_number_is_lost():
    logits = ban(jnp.asarray([3.0, 5.0, 1.0]), (1,))
    for temperature in (1e38, 1e300):
        hot = tempered(logits, temperature)
        assert hot[1] == -INF and np.allclose(hot[jnp.asarray([0, 2])], 0)
    for wrong in ({"temperature": -1.0}, {"temperature": np.nan}, {"top_p": INF}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            make_sampler(tiny()[0].step, V, Filters(**wrong), 3)


def chain(params, state, token_B):
    """A step that is no language model's: it counts, and cycles through the ids."""
    return state + 1, 9 * jnp.eye(V)[(token_B + params) % V]


def test_any_step_can_be_sampled_and_searched_from_any_state():
    token_B, state = jnp.asarray([1, 5]), jnp.zeros((2, 3, 2))
    sample = jax.jit(make_sampler(chain, V, Filters(greedy=True), 4, stop=0))
    ids_TB = sample(2, jax.random.key(0), state, token_B)
    assert ids_TB.T.tolist() == [[3, 5, 0, 0], [0, 0, 0, 0]]
    search = jax.jit(make_beam(chain, V, 3, 4, stop=0))
    assert search(2, state[:1], token_B[:1]).ids[0].tolist() == [3, 5, 0, 0]


def test_lanes_can_be_drawn_a_few_at_a_time():
    model, params = tiny()
    write = jax.jit(make_text_sampler(model, Filters(), 9), static_argnums=3)
    key, prompt = jax.random.key(2), jnp.asarray([[0], [3]])
    whole = write(params, key, prompt, 6, 0)
    parts = [write(params, key, prompt, 2, first) for first in (0, 2, 4)]
    assert (np.concatenate(parts, 1) == whole).all()
    assert (whole == write(params, key, jnp.tile(prompt, (1, 6)), 0, 0)).all()


@pytest.mark.slow
def test_a_prompt_of_any_length_takes_the_memory_of_one_token():
    model, params = tiny()
    ids = jax.random.randint(jax.random.key(0), (2000, 1), 0, V)

    @jax.jit
    def read(ids):
        return read_prompt(model.step, params, model.initial_state(params, 1), ids)

    state, last = read(ids)
    expected, _ = model.apply(params, ids[:-1], model.initial_state(params, 1))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), state, expected
    )
    assert last == ids[-1]
    sizes = []
    for length in (200, 2000):
        used = read.lower(ids[:length]).compile().memory_analysis()
        assert used is not None
        sizes.append(used.temp_size_in_bytes)
    assert sizes[1] - sizes[0] < 1800 * 16, "more than the prompt itself"

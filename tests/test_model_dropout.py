"""Dropout in the whole model: in training only, and where the config says."""

import jax
import numpy as np
import pytest

from lm.config import DropoutConfig, ModelConfig
from lm.dropout import Dropout, rates_of
from lm.models.language_model import build
from lm.types import Context
from lm.unroll import looped
from tests.zoo import close

T, B, V, H = 3, 2, 7, 4
IDS = np.random.default_rng(0).integers(0, V, (T, B)).astype(np.int32)


def features(seed=0, layers=2, train=True, driver=looped, **config):
    """hs_TBH of a model with this dropout."""
    dropout = DropoutConfig(**config)
    model = build(ModelConfig("tanh", layers, H, embedding=H, dropout=dropout), V)
    params = model.init(jax.random.key(0))
    state = jax.tree.map(lambda s: s + 0.5, model.initial_state(params, B))
    drop = Dropout(jax.random.key(seed), rates_of(dropout)) if train else None
    _, hs = model.apply(params, IDS, state, Context(dropout=drop, driver=driver))
    return np.asarray(hs)


KINDS = {
    "input": {"kind": "between", "input": 0.5},
    "hidden": {"kind": "locked", "hidden": 0.5},
    "output": {"kind": "between", "output": 0.5},
    "embedding": {"embedding": 0.5},
    "weight": {"weight": 0.5},
    "zoneout": {"zoneout": 0.5},
}
ALL = {k: v for kinds in KINDS.values() for k, v in kinds.items()}


@pytest.mark.parametrize("where", KINDS)
def test_same_key_same_masks_and_off_in_evaluation(where):
    config = KINDS[where]
    one, again, other = (features(seed, **config) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert np.any(one != other)
    off = features(train=False, **config)
    if where == "zoneout":  # evaluation takes the expectation, not the identity
        assert np.any(off != features(train=False))
    else:
        np.testing.assert_array_equal(off, features(train=False))


def test_output_masks_by_kind():
    plain = features(train=False)
    for kind in ("between", "locked"):
        out = features(kind=kind, output=0.5)
        zero = out == 0
        np.testing.assert_allclose(out[~zero], 2 * plain[~zero], rtol=1e-6)
        assert 0 < zero.mean() < 1
        assert np.all(zero == zero[:1]) == (kind == "locked")


def test_nothing_between_layers_with_one_layer():
    config = {"kind": "between", "hidden": 0.5, "layers": 1}
    np.testing.assert_array_equal(features(**config), features(layers=1, train=False))


def test_everything_at_once_by_every_driver():
    got, want = (features(driver=driver, **ALL) for driver in (None, looped))
    close(got, want, rtol=1e-5, atol=1e-5)
    assert np.any(got != features(train=False))


@pytest.mark.usefixtures("fresh_keys")
def test_no_key_is_used_twice():
    dropout = DropoutConfig(**ALL)
    model = build(ModelConfig("lstm", 2, H, H, dropout=dropout), V)

    def apply(key):
        params = model.init(jax.random.key(0))
        state = model.initial_state(params, B)
        return model.apply(
            params, IDS, state, Context(dropout=Dropout(key, rates_of(dropout)))
        )

    jax.eval_shape(apply, jax.random.key(3))


def test_step_and_apply_agree_under_zoneout():
    model = build(ModelConfig("gru", 2, H, H, dropout=DropoutConfig(zoneout=0.4)), V)
    params = model.init(jax.random.key(0))
    now = state = model.initial_state(params, B)
    last, hs = model.apply(params, IDS, state, Context(driver=looped))
    for t in range(T):
        now, logits = model.step(params, now, IDS[t])
        close(logits, model.logits(params, hs[t]), rtol=1e-5, atol=1e-5)
    close(now, last, rtol=1e-5, atol=1e-5)

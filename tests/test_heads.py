"""Heads and models of tasks: definitions by hand, floors by models without memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm.cells import make_cell
from lm.config import ConfigError, InitConfig, ModelConfig
from lm.heads import classification, regression
from lm.losses import cross_entropy
from lm.models.labelling import build_labelling
from lm.models.language_model import build

T, B, H = 4, 3, 5
KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
HEAD = classification()


def test_regression_by_hand():
    outputs = jnp.asarray([[[0.5], [0.0]], [[1.0], [2.0]]])
    targets = jnp.asarray([[0.53, 9.0], [1.03, 2.05]])
    mask = jnp.asarray([[1.0, 0.0], [1.0, 1.0]])
    head = regression(0.04)
    total = head.total(outputs, targets, mask)
    assert float(total.total) == pytest.approx(0.0043, rel=1e-4)
    assert total.count == 3
    assert head.solved(outputs, targets, mask).tolist() == [True, False]


def test_classification_is_cross_entropy_and_argmax():
    outputs = jnp.asarray(RNG.normal(size=(T, B, 6)), jnp.float32)
    best = jnp.argmax(outputs, axis=-1)
    targets = best.at[1, 2].add(1) % 6
    mask = jnp.ones((T, B))
    head = classification()
    assert head.total(outputs, targets, mask) == cross_entropy(outputs, targets, mask)
    assert head.solved(outputs, targets, mask).tolist() == [True, True, False]
    mask = mask.at[1, 2].set(0)
    assert head.solved(outputs, targets, mask).all(), "what is masked is not asked"


@pytest.mark.parametrize("layers", [1, 2])
def test_a_task_model_is_a_language_model_of_other_widths(layers):
    config = ModelConfig("gru", layers, H, 0)
    model, square = build_labelling(config, 2, 1, HEAD), build(config, 7)
    params = model.init(KEY)
    assert params["layers"][0]["w_x"].shape == (2, 3 * H)
    xs = jnp.asarray(RNG.normal(size=(T, B, 2)), jnp.float32)
    state, hs = model.apply(params, xs, model.initial_state(params, B))
    assert model.logits(params, hs).shape == (T, B, 1)
    assert len(state) == layers and hs.shape == (T, B, H)
    same = build_labelling(config, 7, 7, HEAD)
    shapes = [jax.tree.map(jnp.shape, m.init(KEY)) for m in (same, square)]
    assert shapes[0] == shapes[1]


def test_ids_are_one_hot_rows_and_a_cell_of_ones_own_is_taken():
    cell = make_cell("lstm", H, InitConfig(forget_bias=3.0))._replace(name="mine")
    model = build_labelling(ModelConfig("lstm", 1, H, 0), 6, 4, HEAD, cell)
    params, ids = model.init(KEY), RNG.integers(0, 6, (T, B))
    assert float(params["layers"][0]["b"].max()) == 3.0
    begin = model.initial_state(params, B)
    _, by_index = model.apply(params, jnp.asarray(ids), begin)
    _, by_row = model.apply(params, jax.nn.one_hot(ids, 6), begin)
    np.testing.assert_allclose(by_index, by_row, rtol=1e-5, atol=1e-6)


def test_an_embedding_is_refused():
    with pytest.raises(ConfigError, match="model.embedding is 8.*set it to 0"):
        build_labelling(ModelConfig("tanh", 1, H, 8), 2, 1, HEAD)

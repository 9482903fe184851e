"""A linear RNN, h' = x·W_x + h·W, as a user hands it in: what is known in closed form.

An identity in disguise, not of our registry: it goes through the adapter.
"""

from typing import Any

import jax
import jax.numpy as jnp

from lm.adapters import cell_of
from lm.config import ModelConfig
from lm.models.language_model import build


def linear_cell(hidden: int):
    def init(key, d_in):
        key_x, key_h = jax.random.split(key)
        return {
            "w_x": jax.random.normal(key_x, (d_in, hidden)),
            "w_h": jax.random.normal(key_h, (hidden, hidden)) / hidden**0.5,
        }

    def step(params, h, x):
        return x @ params["w_x"] + h @ params["w_h"]

    return cell_of(step, d_hidden=hidden, init=init, recurrent=("w_h",), name="linear")


def linear_model(hidden: int, vocabulary: int, layers: int = 1):
    config = ModelConfig(layers=layers, hidden=hidden, embedding=hidden)
    return build(config, vocabulary, linear_cell(hidden))


def with_recurrent(params, *matrices) -> Any:
    """The parameters of `linear_model`, its layers' recurrent matrices replaced."""
    pairs = zip(params["layers"], matrices, strict=True)
    layers = tuple(dict(p, w_h=jnp.asarray(w, jnp.float32)) for p, w in pairs)
    return dict(params, layers=layers)

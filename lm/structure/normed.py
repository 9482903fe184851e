"""Layer normalization on what a layer hands up.

    y_t = γ ⊙ LN(layer(x)_t) + β        LN(a) = (a − mean a) / √(var a + 10⁻⁵)

Ba, Kiros & Hinton 2016, "Layer normalization", equation 4, between layers; inside a
cell, where the paper has it, it is `layer_norm_lstm`. Recurrent states stay as they
are.
"""

import jax.numpy as jnp

from lm.cells.lstm_normed import normed as standardized
from lm.structure.around import around
from lm.structure.place import Place
from lm.types import Array, Layer, Params


def init_norm(width: int) -> Params:
    """{gain γ = 1, bias β = 0}."""
    return {"gain": jnp.ones(width), "bias": jnp.zeros(width)}


def norm(params: Params, xs: Array) -> Array:
    """γ ⊙ LN(x) + β along the last axis of (…, H)."""
    shape = (1,) * (xs.ndim - 1) + (-1,)
    gain, bias = params["gain"].reshape(shape), params["bias"].reshape(shape)
    return gain * standardized(xs) + bias


def normed(layer: Layer) -> Layer:
    """The layer, its output normalized."""

    def init(key: Array, d_in: int) -> dict[str, Params]:
        return {"norm": init_norm(layer.d_out)}

    return around(layer, init, behind=lambda params, xs, ys: norm(params["norm"], ys))


def prenormed(layer: Layer) -> Layer:
    """The layer, what it reads normalized."""

    def init(key: Array, d_in: int) -> dict[str, Params]:
        return {"norm": init_norm(d_in)}

    return around(layer, init, before=lambda params, xs: norm(params["norm"], xs))


def normalized(place: Place) -> Layer:
    """Layer normalization of what each layer hands up (Ba, Kiros & Hinton 2016)."""
    return normed(place.plain())

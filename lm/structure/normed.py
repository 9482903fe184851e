"""Layer normalization on what a layer hands up.

    y_t = γ ⊙ LN(layer(x)_t) + β        LN(a) = (a − mean a) / √(var a + 10⁻⁵)

Ba, Kiros & Hinton 2016, "Layer normalization", equation 4, between layers; inside a
cell, where the paper has it, it is `layer_norm_lstm`. Recurrent states stay as they
are. Without mean and β (Zhang & Sennrich 2019, "Root mean square layer normalization"):

    RMS(a) = γ ⊙ a / √(mean a² + 10⁻⁶)
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from lm.cells.lstm_normed import normed as standardized
from lm.structure.around import around
from lm.structure.place import Place
from lm.types import Array, Layer, Params

RMS_EPSILON = 1e-6


class Norm(NamedTuple):
    """init (width) -> params; apply (params, xs) -> (…, H) normalized along H."""

    init: Callable[[int], Params]
    apply: Callable[[Params, Array], Array]


def init_norm(width: int) -> Params:
    """{gain γ = 1, bias β = 0}."""
    return {"gain": jnp.ones(width), "bias": jnp.zeros(width)}


def norm(params: Params, xs: Array) -> Array:
    """γ ⊙ LN(x) + β along the last axis of (…, H)."""
    shape = (1,) * (xs.ndim - 1) + (-1,)
    gain, bias = params["gain"].reshape(shape), params["bias"].reshape(shape)
    return gain * standardized(xs) + bias


def rms(params: Params, xs: Array) -> Array:
    """γ ⊙ x / √(mean x² + 10⁻⁶) along the last axis of (…, H)."""
    gain = params["gain"].reshape((1,) * (xs.ndim - 1) + (-1,))
    mean = jnp.mean(xs * xs, axis=-1, keepdims=True)
    return gain * xs * jax.lax.rsqrt(mean + RMS_EPSILON)


LAYER = Norm(init_norm, norm)
RMS = Norm(lambda width: {"gain": jnp.ones(width)}, rms)


def normed(layer: Layer, by: Norm = LAYER) -> Layer:
    """The layer, its output normalized."""

    def init(key: Array, d_in: int) -> dict[str, Params]:
        return {"norm": by.init(layer.d_out)}

    def behind(params: Params, xs: Array, ys: Array) -> Array:
        return by.apply(params["norm"], ys)

    return around(layer, init, behind=behind)


def prenormed(layer: Layer, by: Norm = LAYER) -> Layer:
    """The layer, what it reads normalized."""

    def init(key: Array, d_in: int) -> dict[str, Params]:
        return {"norm": by.init(d_in)}

    def before(params: Params, xs: Array) -> Array:
        return by.apply(params["norm"], xs)

    return around(layer, init, before=before)


def normalized(place: Place) -> Layer:
    """Layer normalization of what each layer hands up (Ba, Kiros & Hinton 2016)."""
    return normed(place.plain())

"""Layer normalization on what a layer hands up.

    y_t = γ ⊙ LN(layer(x)_t) + β        LN(a) = (a − mean a) / √(var a + 10⁻⁵)

Ba, Kiros & Hinton 2016, "Layer normalization", equation 4, between layers; inside a
cell, where the paper has it, it is `layer_norm_lstm`. Recurrent states stay as they
are. Without mean and β (Zhang & Sennrich 2019, "Root mean square layer normalization"):

    RMS(a) = γ ⊙ a / √(mean a² + 10⁻⁶)
"""

import jax
import jax.numpy as jnp

from lm.cells.lstm_normed import normed as standardized
from lm.structure.around import around
from lm.structure.place import Place
from lm.types import Array, Layer, Params

RMS_EPSILON = 1e-6


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


def rms(params: Params, xs: Array) -> Array:
    """γ ⊙ x / √(mean x² + 10⁻⁶) along the last axis of (…, H)."""
    gain = params["gain"].reshape((1,) * (xs.ndim - 1) + (-1,))
    mean = jnp.mean(xs * xs, axis=-1, keepdims=True)
    return gain * xs * jax.lax.rsqrt(mean + RMS_EPSILON)


def rms_normed(layer: Layer) -> Layer:
    """The layer, its output divided by its root mean square."""

    def init(key: Array, d_in: int) -> dict[str, Params]:
        return {"norm": {"gain": jnp.ones(layer.d_out)}}

    return around(layer, init, behind=lambda params, xs, ys: rms(params["norm"], ys))


def rms_prenormed(layer: Layer) -> Layer:
    """The layer, what it reads divided by its root mean square."""

    def init(key: Array, d_in: int) -> dict[str, Params]:
        return {"norm": {"gain": jnp.ones(d_in)}}

    return around(layer, init, before=lambda params, xs: rms(params["norm"], xs))


def prenormed(layer: Layer) -> Layer:
    """The layer, what it reads normalized."""

    def init(key: Array, d_in: int) -> dict[str, Params]:
        return {"norm": init_norm(d_in)}

    return around(layer, init, before=lambda params, xs: norm(params["norm"], xs))


def normalized(place: Place) -> Layer:
    """Layer normalization of what each layer hands up (Ba, Kiros & Hinton 2016)."""
    return normed(place.plain())

"""Highway layers: a gate that reads the input chooses between it and the layer.

    y_t = t ⊙ layer(x)_t + (1 − t) ⊙ x_t        t = σ(x_t·W_T + b_T),  b_T = −2

Srivastava, Greff & Schmidhuber 2015, "Training very deep networks", equation 3, with
carry gate 1 − t, around a recurrent layer in place of one step. b_T < 0 lets the input
through at the start. The highway LSTM of Zhang et al. 2016 ("Highway long short-term
memory RNNs for distant speech recognition") is another thing: its gate adds
the memory c of the layer below to the LSTM's own, so it is no structure around a cell.
"""

import jax.numpy as jnp

from lm.cells.forms import add_bias, draw, sigmoid
from lm.config import ConfigError, InitConfig
from lm.products import matmul
from lm.structure.around import around
from lm.structure.place import Place
from lm.types import Array, Layer, Params

CARRIED = -2.0  # b_T at the start, of the paper's −1 to −4


def highway(layer: Layer, init: InitConfig) -> Layer:
    """The layer with a highway beside it.

    Raises:
      ConfigError: where input and output are not equally wide.
    """

    def init_gate(key: Array, d_in: int) -> dict[str, Params]:
        if d_in != layer.d_out:
            raise ConfigError(
                f"a highway goes around a layer whose input is as wide as its output, "
                f"but these are {d_in} and {layer.d_out}: make them equal"
            )
        return {"gate": {"w": draw(key, (d_in, d_in), init), "b": biases(d_in)}}

    def joined(params: Params, xs: Array, ys: Array) -> Array:
        gate = params["gate"]
        t = sigmoid(add_bias(matmul(xs, gate["w"]), gate["b"]))
        return t * ys + (1 - t) * xs

    return around(layer, init_gate, behind=joined)


def biases(width: int) -> Array:
    """b_T at the start."""
    return jnp.full(width, CARRIED)


def highways(place: Place) -> Layer:
    """A gate that reads the input chooses, unit by unit, between it and the layer, from
    the second layer on (Srivastava, Greff & Schmidhuber 2015)."""
    here = place.plain()
    return highway(here, place.config.init) if place.number else here

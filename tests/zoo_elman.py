"""The Elman family in NumPy."""

import numpy as np

from tests.zoo_parts import Entry, affine, relu, slope


def tanh_step(p, x, s):
    h = np.tanh(affine(p, x) + s["h"] @ p["w_h"])
    return {"h": h, "slope": slope(h)}


def relu_step(p, x, s):
    h = relu(affine(p, x) + s["h"] @ p["w_h"])
    return {"h": h, "slope": np.where(h > 0, 1.0, 0.0)}


ELMAN = {
    "tanh": Entry(tanh_step),
    "relu": Entry(relu_step),
    "irnn": Entry(relu_step),
}

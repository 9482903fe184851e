"""The LSTM family in NumPy."""

import numpy as np

from tests.zoo_parts import Entry, affine, slope, σ


def lstm_step(p, x, s):
    i, f, g, o = np.split(affine(p, x) + s["h"] @ p["w_h"], 4, axis=1)
    i, f, g, o = σ(i), σ(f), np.tanh(g), σ(o)
    c = f * s["c"] + i * g
    gates = {"input": i, "forget": f, "output": o, "slope": slope(g)}
    return {"h": o * np.tanh(c), "c": c, **gates}


LSTM = {
    "lstm": Entry(lstm_step, ("h", "c")),
}

"""The LSTM family in NumPy."""

import numpy as np

from tests.zoo_parts import Entry, affine, slope, σ


def lstm_step(p, x, s):
    i, f, g, o = np.split(affine(p, x) + s["h"] @ p["w_h"], 4, axis=1)
    return lstm_of(σ(i), σ(f), np.tanh(g), σ(o), s)


def lstm_of(i, f, g, o, s):
    c = f * s["c"] + i * g
    gates = {"input": i, "forget": f, "output": o, "slope": slope(g)}
    return {"h": o * np.tanh(c), "c": c, **gates}


def multiplicative_lstm_step(p, x, s):
    x_m, x_g = np.split(x @ p["w_x"], [s["h"].shape[1]], axis=1)
    m = x_m * (s["h"] @ p["w_m"])
    i, f, g, o = np.split(x_g + p["b"] + m @ p["w_h"], 4, axis=1)
    return lstm_of(σ(i), σ(f), np.tanh(g), σ(o), s)


LSTM = {
    "lstm": Entry(lstm_step, ("h", "c")),
    "multiplicative_lstm": Entry(multiplicative_lstm_step, ("h", "c"), form="general"),
}

"""The GRU family in NumPy."""

import numpy as np

from tests.zoo_parts import Entry, affine, hard_σ, slope, σ


def gated(r, z, n, h):
    """z keeps the old."""
    gates = {"reset": r, "update": z, "slope": slope(n)}
    return {"h": (1 - z) * n + z * h, **gates}


def gru_step(p, x, s):
    xr, xz, xn = np.split(affine(p, x), 3, axis=1)
    hr, hz, hn = np.split(s["h"] @ p["w_h"], 3, axis=1)
    r, z = σ(xr + hr), σ(xz + hz)
    return gated(r, z, np.tanh(xn + r * (hn + p["b_hn"])), s["h"])


def gru_before_step(gate):
    def step(p, x, s):
        (xr, xz, xn), h = np.split(affine(p, x), 3, axis=1), s["h"]
        wr, wz, wn = np.split(p["w_h"], 3, axis=1)
        r, z = gate(xr + h @ wr), gate(xz + h @ wz)
        return gated(r, z, np.tanh(xn + (r * h) @ wn), h)

    return step


GRU = {
    "gru": Entry(gru_step, biases=("b", "b_hn")),
    "gru_chrono": Entry(gru_step, biases=("b", "b_hn")),
    "gru_reset_before": Entry(gru_before_step(σ), form="general"),
    "gru_tutorial": Entry(gru_before_step(hard_σ), form="general"),
}

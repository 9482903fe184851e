"""The GRU family in NumPy."""

from functools import partial

import numpy as np

from tests.zoo_parts import Entry, affine, hard_σ, relu, slope, σ


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


def mgu_step(p, x, s):
    (x_f, x_n), (w_f, w_n), h = halves(affine(p, x)), halves(p["w_h"]), s["h"]
    f = σ(x_f + h @ w_f)
    return new_in(f, np.tanh(x_n + (f * h) @ w_n), h) | {"forget": f}


def halves(a):
    return np.split(a, 2, axis=1)


def new_in(f, n, h):
    """f lets the new in."""
    return {"h": (1 - f) * h + f * n, "keep": 1 - f, "slope": slope(n)}


def minimal_step(gates):
    def step(p, x, s):
        h, w_n = s["h"], p["w_h"][:, -s["h"].shape[1] :]
        r, z = halves(σ(gates(p, h)))
        return gated(r, z, np.tanh(affine(p, x) + (r * h) @ w_n), h)

    return step


def of_bias(p, h):
    return np.tile(p["b_rz"], (len(h), 1))


def of_state(p, h):
    return h @ p["w_h"][:, : 2 * h.shape[1]]


def mut_step(p, x, s, number):
    h, u = s["h"], np.split(p["w_h"], 2 if number == 1 else 3, axis=1)
    xs = np.split(x @ p["w_x"], 3, axis=1)
    b_z, b_r, b_n = np.split(p["b"], 3)
    z = {1: 0, 2: h @ u[0], 3: np.tanh(h) @ u[0]}[number]
    z, r = σ(xs[0] + z + b_z), σ(xs[1] + h @ u[-2] + b_r)
    x_n = np.tanh(xs[2]) if number == 1 else xs[2]
    n = np.tanh(x_n + (r * h) @ u[-1] + b_n)
    return new_in(z, n, h) | {"update": z, "reset": r}


def ligru_step(p, x, s):
    z, n = halves(affine(p, x) + s["h"] @ p["w_h"])
    z, n = σ(z), relu(n)
    rise = np.where(n > 0, 1.0, 0.0)
    return {"h": z * s["h"] + (1 - z) * n, "update": z, "slope": rise}


def ran_step(p, x, s):
    x_i, x_f, x_c = np.split(x @ p["w_x"], 3, axis=1)
    h_i, h_f = halves(s["h"] @ p["w_h"] + p["b"])
    i, f = σ(x_i + h_i), σ(x_f + h_f)
    c = i * x_c + f * s["c"]
    return {"h": np.tanh(c), "c": c, "input": i, "forget": f}


def star_step(p, x, s):
    x_k, x_n = halves(affine(p, x))
    k, n = σ(x_k + s["h"] @ p["w_h"]), np.tanh(x_n)
    new = new_in(k, n, s["h"])
    return new | {"h": np.tanh(new["h"]), "update": k}


def atr_step(p, x, s):
    a, q = affine(p, x), s["h"] @ p["w_h"]
    i, f = σ(a + q), σ(a - q)
    return {"h": i * a + f * s["h"], "input": i, "forget": f}


GRU = {
    "gru": Entry(gru_step, biases=("b", "b_hn")),
    "gru_chrono": Entry(gru_step, biases=("b", "b_hn")),
    "gru_reset_before": Entry(gru_before_step(σ), form="general"),
    "gru_tutorial": Entry(gru_before_step(hard_σ), form="general"),
    "mgu": Entry(mgu_step, form="general"),
    "gru_minimal_1": Entry(
        minimal_step(lambda p, h: of_state(p, h) + of_bias(p, h)),
        form="general",
        biases=("b", "b_rz"),
    ),
    "gru_minimal_2": Entry(minimal_step(of_state), form="general"),
    "gru_minimal_3": Entry(minimal_step(of_bias), form="general"),
    "mut1": Entry(partial(mut_step, number=1), form="general"),
    "mut2": Entry(partial(mut_step, number=2), form="general"),
    "mut3": Entry(partial(mut_step, number=3), form="general"),
    "ligru": Entry(ligru_step),
    "ran": Entry(ran_step, ("h", "c")),
    "star": Entry(star_step),
    "atr": Entry(atr_step),
}

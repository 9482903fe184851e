"""The Elman family in NumPy."""

from functools import lru_cache

import numpy as np
import scipy.linalg

from tests.zoo_parts import Entry, affine, relu, slope, σ


def tanh_step(p, x, s):
    h = np.tanh(affine(p, x) + s["h"] @ p["w_h"])
    return {"h": h, "slope": slope(h)}


def relu_step(p, x, s):
    h = relu(affine(p, x) + s["h"] @ p["w_h"])
    return {"h": h, "slope": np.where(h > 0, 1.0, 0.0)}


def multiplicative_rnn_step(p, x, s):
    x_m, x_h = np.split(x @ p["w_x"], 2, axis=1)
    m = x_m * (s["h"] @ p["w_m"])
    h = np.tanh(x_h + m @ p["w_h"] + p["b"])
    return {"h": h, "slope": slope(h)}


def scrn_step(p, x, s, α=0.95):
    m = s["h"].shape[1]
    A, B = p["w_x"][:, :m], p["w_x"][:, m:]
    R, P = p["w_h"][:m], p["w_h"][m:]
    slow = (1 - α) * x @ B + α * s["s"]
    h = σ(slow @ P + x @ A + s["h"] @ R)
    gates = np.hstack([h * (1 - h), 1 + 0 * slow]), np.hstack([0 * h, α + 0 * slow])
    return {"h": h, "s": slow, "slope": gates[0], "keep": gates[1]}


def indrnn_step(p, x, s):
    h = relu(affine(p, x) + p["u"] * s["h"])
    return {"h": h, "slope": np.where(h > 0, 1.0, 0.0)}


def constrained_step(orthogonal):
    @lru_cache(1)
    def matrix_of(n, upper):
        A = np.triu(np.frombuffer(upper).reshape(n, n), 1)
        return orthogonal(A - A.T)

    def step(p, x, s):
        z = x @ p["w_x"] + s["h"] @ matrix_of(len(p["a"]), p["a"].tobytes())
        open_ = np.abs(z) + p["t"] > 0
        return {"h": np.where(open_, z + np.sign(z) * p["t"], 0), "slope": open_ * 1.0}

    return step


def scaled_cayley(A):
    n = len(A)
    D = np.diag([-1.0] * (n // 2) + [1.0] * (n - n // 2))
    return np.linalg.inv(np.eye(n) + A) @ (np.eye(n) - A) @ D


def antisymmetric_step(p, x, s, ε=0.1, γ=0.01):
    w = p["w_h"]
    n = np.tanh(affine(p, x) + s["h"] @ (w - w.T - γ * np.eye(len(w))))
    return {"h": s["h"] + ε * n, "slope": slope(n)}


def antisymmetric_gated_step(p, x, s, ε=0.1, γ=0.01):
    w, (x_z, x_n) = p["w_h"], np.split(affine(p, x), 2, axis=1)
    r = s["h"] @ (w - w.T - γ * np.eye(len(w)))
    z, n = σ(x_z + r), np.tanh(x_n + r)
    return {"h": s["h"] + ε * z * n, "update": z, "slope": slope(n)}


def lipschitz_step(p, x, s, ε=0.01, β=0.8, γ=0.01):
    A, W = (
        β * (M - M.T) + (1 - β) * (M + M.T) - γ * np.eye(len(M))
        for M in np.split(p["w_h"], 2, axis=1)
    )
    n = np.tanh(affine(p, x) + s["h"] @ W)
    return {"h": s["h"] + ε * (s["h"] @ A + n), "slope": slope(n)}


def cornn_step(p, x, s, dt=0.1, γ=1.0, ε=1.0):
    both = np.hstack([s["h"], s["z"]]) @ np.vstack(np.split(p["w_h"], 2, axis=1))
    n = np.tanh(affine(p, x) + both)
    z = s["z"] + dt * (n - γ * s["h"] - ε * s["z"])
    return {"h": s["h"] + dt * z, "z": z, "slope": slope(n)}


def unicornn_step(p, x, s, dt=0.1, α=1.0):
    n = np.tanh(affine(p, x) + p["w"] * s["h"])
    z = s["z"] - dt * σ(p["c"]) * (n + α * s["h"])
    return {"h": s["h"] + dt * σ(p["c"]) * z, "z": z, "slope": slope(n)}


def lem_step(p, x, s):
    x_1, x_2, x_z, x_y = np.split(affine(p, x), 4, axis=1)
    u_1, u_2, u_z = np.split(s["h"] @ p["w_h"], 3, axis=1)
    slow, fast = σ(x_1 + u_1), σ(x_2 + u_2)
    z = (1 - fast) * s["z"] + fast * np.tanh(x_z + u_z)
    n = np.tanh(x_y + z @ p["w_z"])
    h = (1 - slow) * s["h"] + slow * n
    return {"h": h, "z": z, "keep": 1 - slow, "keep_z": 1 - fast, "slope": slope(n)}


def cfn_step(p, x, s):
    x_θ, x_η, x_n = np.split(x @ p["w_x"], 3, axis=1)
    u_θ, u_η = np.split(s["h"] @ p["w_h"] + p["b"], 2, axis=1)
    θ, η, n = σ(x_θ + u_θ), σ(x_η + u_η), np.tanh(x_n)
    h = θ * np.tanh(s["h"]) + η * n
    return {"h": h, "forget": θ, "input": η, "slope": slope(n)}


def minimal_rnn_step(p, x, s):
    n = np.tanh(affine(p, x))
    u = σ(s["h"] @ p["w_h"] + n @ p["w_n"] + p["b_u"])
    return {"h": u * s["h"] + (1 - u) * n, "update": u, "slope": slope(n)}


def fast_and_slow(s):
    return np.hstack([s["h"], s["s"]])


ELMAN = {
    "tanh": Entry(tanh_step),
    "relu": Entry(relu_step),
    "irnn": Entry(relu_step),
    "orthogonal": Entry(tanh_step),
    "multiplicative_rnn": Entry(multiplicative_rnn_step, form="general"),
    "scrn": Entry(scrn_step, ("h", "s"), biases=(), output=fast_and_slow),
    "indrnn": Entry(indrnn_step, form="general"),
    "exprnn": Entry(constrained_step(scipy.linalg.expm), biases=()),
    "scornn": Entry(constrained_step(scaled_cayley), biases=()),
    "antisymmetric": Entry(antisymmetric_step),
    "antisymmetric_gated": Entry(antisymmetric_gated_step),
    "lipschitz": Entry(lipschitz_step),
    "cornn": Entry(cornn_step, ("h", "z"), form="general"),
    "unicornn": Entry(unicornn_step, ("h", "z"), form="general"),
    "lem": Entry(lem_step, ("h", "z"), form="general"),
    "cfn": Entry(cfn_step),
    "minimal_rnn": Entry(minimal_rnn_step, biases=("b", "b_u")),
}

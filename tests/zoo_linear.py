"""Cells that are linear in their state, or elementwise in it, in NumPy."""

import numpy as np
import scipy.linalg

from tests.zoo_parts import Entry, affine, rms, silu, softplus, σ


def min_gru_step(p, x, s):
    z, candidate = np.split(affine(p, x), 2, axis=1)
    z = σ(z)
    return {"h": (1 - z) * s["h"] + z * candidate, "update": z, "keep": 1 - z}


def min_lstm_step(p, x, s):
    f, i, candidate = np.split(affine(p, x), 3, axis=1)
    f, i = σ(f), σ(i)
    f, i = f / (f + i), i / (f + i)
    return {"h": f * s["h"] + i * candidate, "forget": f, "input": i}


def rg_lru_step(p, x, s):
    """One head, so that its blocks are whole matrices."""
    u = affine(p, x)
    r, i = σ(u @ p["w_r"][0] + p["b_r"]), σ(u @ p["w_i"][0] + p["b_i"])
    a = np.exp(-softplus(p["decay"])) ** (8 * r)
    h = a * s["h"] + np.sqrt(1 - a**2) * i * u
    return {"h": h, "recurrence": r, "input": i, "keep": a}


def sru_gates(p, x, c):
    w, w_f, w_r, _ = np.split(p["w_x"], 4, axis=1)
    (b_f, b_r), (v_f, v_r) = np.split(p["b"], 2), np.split(p.get("v", np.zeros(6)), 2)
    return x @ w, σ(x @ w_f + v_f * c + b_f), σ(x @ w_r + v_r * c + b_r)


def sru_step(p, x, s):
    new, f, r = sru_gates(p, x, s["c"])
    found = {"c": f * s["c"] + (1 - f) * new, "forget": f, "highway": r}
    return found | ({"r": r} if "r" in s else {})


def sru_read(p, x, s):
    r = s["r"] if "r" in s else sru_gates(p, x, 0)[2]
    return r * s["c"] + 3**0.5 * (1 - r) * (x @ np.split(p["w_x"], 4, axis=1)[3])


def qrnn_step(p, x, s):
    w, v = np.split(p["w_x"], 2, axis=1)
    z, f, o = np.split(x @ w + p["b"] + s["p"], 3, axis=1)
    z, f, o = np.tanh(z), σ(f), σ(o)
    new = {"c": f * s["c"] + (1 - f) * z, "o": o, "p": x @ v}
    return new | {"forget": f, "output": o, "slope": 1 - z**2}


def parts(s):
    return {"re": s.real, "im": s.imag}


def lru_step(p, x, s):
    B_re, B_im, _ = np.split(p["w_x"], 3, axis=1)
    λ = np.exp(-np.exp(p["nu"]) + 1j * np.exp(p["theta"]))
    new = λ * (s["re"] + 1j * s["im"]) + np.exp(p["gamma"]) * (x @ (B_re + 1j * B_im))
    return parts(new) | {"keep": abs(λ) + 0 * s["re"]}


def s5_step(p, x, s):
    B_re, B_im, _ = np.split(p["w_x"], 3, axis=1)
    λ = -np.exp(p["rho"]) + 1j * p["omega"]
    held = np.exp(λ * np.exp(p["delta"]))
    new = held * (s["re"] + 1j * s["im"]) + (held - 1) / λ * (x @ (B_re + 1j * B_im))
    return parts(new) | {"keep": abs(held) + 0 * s["re"]}


def complex_read(p, x, s):
    C, D = p["c_re"] + 1j * p["c_im"], np.split(p["w_x"], 3, axis=1)[2]
    return ((s["re"] + 1j * s["im"]) @ C).real + x @ D + p["b"]


def bounded(p, z):
    γ = σ(p["bound"])
    return γ + (1 - γ) * σ(z)


def hgrn_step(p, x, s):
    f, *_, re, im = np.split(affine(p, x), 5, axis=1)
    λ = bounded(p, f)
    c = silu(re) + 1j * silu(im)
    new = λ * np.exp(1j * p["theta"]) * (s["re"] + 1j * s["im"]) + (1 - λ) * c
    return parts(new) | {"keep": λ}


def hgrn_real_step(p, x, s):
    f, _, c = np.split(affine(p, x), 3, axis=1)
    λ = bounded(p, f)
    return {"re": λ * s["re"] + (1 - λ) * silu(c), "keep": λ}


def hgrn_read(p, x, s):
    state = np.concatenate([s[name] for name in ("re", "im") if name in s], axis=1)
    g = affine(p, x)[:, 3 : 3 + state.shape[1]]
    return silu(g) * rms(state) * p["gain"] @ p["w_o"]


def legendre(q=16, θ=64.0):
    A, B = np.zeros((q, q)), np.zeros((q, 1))
    for i in range(q):
        B[i] = (2 * i + 1) * (-1) ** i / θ
        for j in range(q):
            A[i, j] = (2 * i + 1) * (-1 if i < j else (-1) ** (i - j + 1)) / θ
    held = scipy.linalg.expm(A)
    return held, np.linalg.solve(A, (held - np.eye(q)) @ B)[:, 0]


HELD, INPUT = legendre()


def lmu_step(p, x, s):
    z, h, m = affine(p, x), s["h"], s["m"]
    m = m @ HELD.T + (z[:, 3:] + h @ p["e_h"] + m @ p["e_m"]) * INPUT
    h = np.tanh(z[:, :3] + h @ p["w_h"] + m @ p["w_m"])
    return {"h": h, "m": m, "slope": 1 - h**2}


def parallel_lmu_step(p, x, s):
    new = s["m"][..., 0] @ HELD.T + affine(p, x)[:, 3:] * INPUT
    new = {"m": new[..., None]}
    return new | {"slope": 1 - parallel_lmu_read(p, x, new) ** 2}


def parallel_lmu_read(p, x, s):
    return np.tanh(affine(p, x)[:, :3] + s["m"][..., 0] @ p["w_m"])


PAIR = ("re", "im")
LINEAR_IN_STATE = {
    "min_gru": Entry(min_gru_step, form="linear"),
    "min_lstm": Entry(min_lstm_step, form="linear"),
    "rg_lru": Entry(rg_lru_step, form="linear", biases=("b", "b_r", "b_i")),
    "sru": Entry(sru_step, ("c", "r"), "general", read=sru_read),
    "sru_v1": Entry(sru_step, ("c",), "linear", read=sru_read),
    "qrnn": Entry(
        qrnn_step, ("c", "o", "p"), "linear", read=lambda p, x, s: s["o"] * s["c"]
    ),
    "lru": Entry(lru_step, PAIR, "linear", read=complex_read),
    "s5": Entry(s5_step, PAIR, "linear", read=complex_read),
    "hgrn": Entry(hgrn_step, PAIR, "linear", read=hgrn_read),
    "hgrn_real": Entry(hgrn_real_step, ("re",), "linear", read=hgrn_read),
    "lmu": Entry(lmu_step, ("h", "m"), "general"),
    "parallel_lmu": Entry(parallel_lmu_step, ("m",), "linear", read=parallel_lmu_read),
}

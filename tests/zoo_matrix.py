"""sLSTM, and cells whose state is a matrix, in NumPy: with one head, as H = 3 makes."""

import numpy as np

from tests.zoo_linear import bounded
from tests.zoo_parts import Entry, affine, rms, silu, slope, softplus, σ


def slstm_step(p, x, s):
    r = np.einsum("bd,ndge->bge", s["h"], p["w_h"]).reshape(len(x), -1)
    i, f, z, o = np.split(affine(p, x) + r, 4, axis=1)
    kept = s["m"] - softplus(-f)
    m = np.where(s["n"] == 0, i, np.maximum(i, kept))
    i, f, z, o = np.exp(i - m), np.exp(kept - m), np.tanh(z), σ(o)
    c, n = f * s["c"] + i * z, f * s["n"] + i
    new = {"h": o * c / n, "c": c, "n": n, "m": m}
    gates = {"input": i, "forget": f, "keep": f * s["n"] / n, "output": o}
    return new | gates | {"slope": slope(z)}


def mlstm_step(p, x, s):
    a = affine(p, x)
    _, k, v, o = np.split(a[:, :12], 4, axis=1)
    i, log_f = a[:, 12:13], -softplus(-a[:, 13:])
    m = np.maximum(i, s["m"] + log_f)
    keep, f, i = np.exp(log_f), np.exp(s["m"] + log_f - m), np.exp(i - m)
    k = i * k / 3**0.5
    new = {
        "C": f[..., None, None] * s["C"] + np.einsum("bd,be->bde", k, v)[:, None],
        "n": f[..., None] * s["n"] + k[:, None],
        "m": m,
    }
    return new | {"keep": keep + 0 * o, "output": σ(o)}


def mlstm_read(p, x, s):
    q, _, _, o = np.split(affine(p, x)[:, :12], 4, axis=1)
    qn = np.einsum("bd,bd->b", q, s["n"][:, 0])
    size = np.maximum(abs(qn), np.exp(-s["m"][:, 0]))
    return σ(o) * np.einsum("bd,bde->be", q, s["C"][:, 0]) / size[:, None]


def hgrn2_step(p, x, s):
    f, _, v = np.split(affine(p, x), 3, axis=1)
    f = bounded(p, f)
    S = f[:, None, :, None] * s["S"] + np.einsum("bd,be->bde", 1 - f, v)[:, None]
    return {"S": S, "keep": f}


def hgrn2_read(p, x, s):
    q = silu(np.split(affine(p, x), 3, axis=1)[1])
    return rms(np.einsum("bd,bde->be", q, s["S"][:, 0])) * p["gain"]


def unit(x):
    return x / np.sqrt((x**2).sum(-1, keepdims=True) + 1e-6)


def gated_delta_step(most):
    def step(p, x, s):
        """As the equation has it, with the matrix I − β·k ⊗ k."""
        a = affine(p, x)
        k, v = unit(silu(a[:, 3:6])), silu(a[:, 6:9])
        α = np.exp(-np.exp(p["log_rate"]) * softplus(a[:, 12:13] + p["delta"]))
        β = most * σ(a[:, 13:])
        T = α[..., None] * (np.eye(3) - β[..., None] * k[:, :, None] * k[:, None, :])
        S = T @ s["S"][:, 0] + β[..., None] * k[:, :, None] * v[:, None, :]
        gates = {"keep": α + 0 * k, "write": β / most + 0 * k}
        return {"S": S[:, None], **gates}

    return step


def gated_delta_read(p, x, s):
    a = affine(p, x)
    q, o = unit(silu(a[:, :3])), silu(a[:, 9:12])
    read = np.einsum("bd,bde->be", q, s["S"][:, 0]) / 3**0.5
    return rms(read) * p["gain"] * o


MATRIX_STATES = {
    "slstm": Entry(slstm_step, ("h", "c", "n", "m"), positive=("n",)),
    "mlstm": Entry(mlstm_step, ("C", "n", "m"), "general", read=mlstm_read),
    "hgrn2": Entry(hgrn2_step, ("S",), "linear", read=hgrn2_read),
    "gated_delta_net": Entry(
        gated_delta_step(1), ("S",), "linear", read=gated_delta_read
    ),
    "gated_delta_net_negative": Entry(
        gated_delta_step(2), ("S",), "linear", read=gated_delta_read
    ),
}

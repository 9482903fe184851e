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


def peephole_step(i=1, f=1, o=1, φ_in=np.tanh, φ_out=np.tanh, coupled=False):
    """i, f, o: 0 where that gate is not there."""

    def step(p, x, s):
        a = affine(p, x) + s["h"] @ p["w_h"]
        there = [name for name, has in zip("ifgo", (i, f, 1, o), strict=True) if has]
        a = dict(zip(there, np.split(a, len(there), axis=1), strict=True))

        def gate(name, c):
            return σ(a[name] + p.get(f"p_{name}", 0) * c) if name in a else 1 + 0 * c

        let = gate("i", s["c"])
        keep = 1 - let if coupled else gate("f", s["c"])
        g = φ_in(a["g"])
        c = keep * s["c"] + let * g
        out = gate("o", c)
        rise = slope(g) if φ_in is np.tanh else 1 + 0 * g
        gates = {"input": let, "forget": keep, "output": out, "slope": rise}
        return {"h": out * φ_out(c), "c": c, **gates}

    return step


def fgr_step(p, x, s):
    a = np.split(affine(p, x) + s["h"] @ p["w_h"], 4, axis=1)
    w, r = np.split(p["w_g"], 9, axis=1), []
    for to in range(3):
        r.append(sum(s[k] @ w[3 * at + to] for at, k in enumerate("ifo")))
    i, f = σ(a[0] + r[0] + p["p_i"] * s["c"]), σ(a[1] + r[1] + p["p_f"] * s["c"])
    g = np.tanh(a[2])
    c = f * s["c"] + i * g
    o = σ(a[3] + r[2] + p["p_o"] * c)
    return {**lstm_of(i, f, g, o, s), "i": i, "f": f, "o": o}


def capped_step(p, x, s):
    i, f, g, o = np.split(affine(p, x) + s["h"] @ p["w_h"], 4, axis=1)
    return lstm_of(np.minimum(1 - σ(f), σ(i)), σ(f), np.tanh(g), σ(o), s)


def projected_step(p, x, s):
    new = lstm_step(p, x, s)
    return new | {"h": new["h"] @ p["w_p"]}


def normed(a):
    return (a - a.mean(-1, keepdims=True)) / np.sqrt(a.var(-1, keepdims=True) + 1e-5)


def layer_norm_step(p, x, s):
    a = p["gain_x"] * normed(x @ p["w_x"]) + p["gain_h"] * normed(s["h"] @ p["w_h"])
    i, f, g, o = np.split(a + p["b"], 4, axis=1)
    new = lstm_of(σ(i), σ(f), np.tanh(g), σ(o), s)
    return new | {"h": σ(o) * np.tanh(p["gain_c"] * normed(new["c"]) + p["b_c"])}


def layer_norm_tf_step(p, x, s):
    gates = np.split(x @ p["w_x"] + s["h"] @ p["w_h"], 4, axis=1)
    each = zip(gates, np.split(p["gain"], 4), np.split(p["b"], 4), strict=True)
    i, f, g, o = (γ * normed(a) + b for a, γ, b in each)
    new = lstm_of(σ(i), σ(f), np.tanh(g), σ(o), s)
    c = p["gain_c"] * normed(new["c"]) + p["b_c"]
    return new | {"h": σ(o) * np.tanh(c), "c": c}


def layer_norm_out_step(p, x, s):
    i, f, g, o = np.split(affine(p, x) + s["h"] @ p["w_h"], 4, axis=1)
    new = lstm_of(σ(i), σ(f), np.tanh(g), σ(o), s)
    return new | {"h": σ(o) * np.tanh(p["gain_c"] * normed(new["c"]) + p["b_c"])}


def janet_step(p, x, s, β=1):
    a, g = np.split(affine(p, x) + s["h"] @ p["w_h"], 2, axis=1)
    f, i, g = σ(a), 1 - σ(a - β), np.tanh(g)
    return {"h": f * s["h"] + i * g, "forget": f, "input": i, "slope": slope(g)}


def mogrifier_step(p, x, s):
    h = s["h"]
    x = 2 * σ(h @ p["q_1"]) * x
    h = 2 * σ(x @ p["q_2"]) * h
    x = 2 * σ(h @ p["q_3"]) * x
    h = 2 * σ(x @ p["q_4"]) * h
    x = 2 * σ(h @ p["q_5"]) * x
    return lstm_step(p, x, {"h": h, "c": s["c"]})


def rhn_step(p, x, s):
    h, keep = s["h"], 1
    biases = np.split(np.concatenate([p["b"], p["b_deep"]]), 5)
    for at, w in enumerate(np.split(p["w_h"], 5, axis=1)):
        a = h @ w + biases[at] + (x @ p["w_x"] if at == 0 else 0)
        n, t = np.split(a, 2, axis=1)
        n, t = np.tanh(n), σ(t)
        h, keep = n * t + h * (1 - t), keep * (1 - t)
    return {"h": h, "keep": keep, "slope": slope(n)}


def cumax(a):
    e = np.exp(a)
    return np.cumsum(e, 1) / e.sum(1, keepdims=True)


def on_lstm_step(p, x, s):
    """Chunks of one unit: 10 and H have no other divisor."""
    a = affine(p, x) + s["h"] @ p["w_h"]
    let, keep, i, f, g, o = np.split(a, 6, axis=1)
    let, keep = 1 - cumax(let), cumax(keep)
    ω = keep * let
    i, f = σ(i) * ω + (let - ω), σ(f) * ω + (keep - ω)
    new = lstm_of(i, f, np.tanh(g), σ(o), s)
    return new | {"master_input": let, "master_forget": keep}


def fast_slow_step(p, x, s):
    def own(place):
        return {k: p[k + place] for k in ("w_x", "w_h", "b")}

    one = lstm_step(own(""), x, s)
    slow = lstm_step(own("_slow"), one["h"], {"h": s["s"], "c": s["d"]})
    return lstm_step(own("_2"), slow["h"], one) | {"s": slow["h"], "d": slow["c"]}


HC = ("h", "c")
LSTM = {
    "lstm": Entry(lstm_step, HC),
    "lstm_chrono": Entry(lstm_step, HC),
    "lstm_peephole": Entry(peephole_step(), HC),
    "lstm_nig": Entry(peephole_step(i=0), HC),
    "lstm_nfg": Entry(peephole_step(f=0), HC),
    "lstm_nog": Entry(peephole_step(o=0), HC),
    "lstm_niaf": Entry(peephole_step(φ_in=lambda a: a), HC),
    "lstm_noaf": Entry(peephole_step(φ_out=lambda c: c), HC),
    "lstm_cifg": Entry(peephole_step(f=0, coupled=True), HC),
    "lstm_coupled": Entry(peephole_step(f=0, coupled=True), HC),
    "lstm_fgr": Entry(fgr_step, ("h", "c", "i", "f", "o"), form="general"),
    "lstm_capped": Entry(capped_step, HC),
    "lstm_projected": Entry(projected_step, HC, form="general"),
    "layer_norm_lstm": Entry(layer_norm_step, HC, biases=("b", "b_c")),
    "layer_norm_lstm_tf": Entry(layer_norm_tf_step, HC, biases=("b", "b_c")),
    "layer_norm_lstm_out": Entry(layer_norm_out_step, HC, biases=("b", "b_c")),
    "janet": Entry(janet_step),
    "janet_chrono": Entry(janet_step),
    "multiplicative_lstm": Entry(multiplicative_lstm_step, HC, form="general"),
    "mogrifier": Entry(mogrifier_step, HC, form="general"),
    "rhn": Entry(rhn_step, form="general", biases=("b", "b_deep")),
    "on_lstm": Entry(on_lstm_step, HC),
    "fast_slow_lstm": Entry(
        fast_slow_step,
        ("h", "c", "s", "d"),
        form="general",
        biases=("b", "b_slow", "b_2"),
    ),
}

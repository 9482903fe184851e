"""The same numbers and gradients as two other libraries: Flax here, torch stored."""

import pathlib
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm.torch_weights import from_torch
from lm.unroll import unroll
from tests import zoo
from tests.zoo import H, close

GOLDEN = pathlib.Path(__file__).parent / "golden"
SIMPLE = {
    "tanh": nn.SimpleCell(H),
    "relu": nn.SimpleCell(H, activation_fn=nn.relu),
}
GATED = {
    "lstm": (nn.LSTMCell(H), "ifgo"),
    "lstm optimized": (nn.OptimizedLSTMCell(H), "ifgo"),
    "gru": (nn.GRUCell(H), "rzn"),
}


def flax_params(name, p):
    """Our stacked weights as Flax's dictionary of one matrix per gate."""
    if name in SIMPLE:
        return {"i": {"kernel": p["w_x"], "bias": p["b"]}, "h": {"kernel": p["w_h"]}}
    gates = GATED[name][1]
    biased = "h" if name.startswith("lstm") else "i"
    tree = {
        side + gate: {"kernel": kernel[:, n * H : (n + 1) * H]}
        for side, kernel in (("i", p["w_x"]), ("h", p["w_h"]))
        for n, gate in enumerate(gates)
    }
    for n, gate in enumerate(gates):
        tree[biased + gate]["bias"] = p["b"][n * H : (n + 1) * H]
    if name == "gru":
        tree["hn"]["bias"] = p["b_hn"]
    return tree


@pytest.mark.parametrize("name", [*SIMPLE, *GATED])
def test_flax(name):
    ours = name.split()[0]
    twin = SIMPLE[name] if name in SIMPLE else GATED[name][0]
    free, given = zoo.no_events(*zoo.window(ours))
    State = type(free.state)

    def loss(free):
        state = free.state
        # Flax's carry is (c, h), or h alone.
        carry = (state.c, state.h) if ours == "lstm" else state.h
        params = {"params": flax_params(name, free.params)}
        carry, hs = jax.lax.scan(partial(twin.apply, params), carry, free.xs)
        c, h = carry if ours == "lstm" else (None, carry)
        last = State(h) if c is None else State(h=h, c=c)
        weighed = jax.tree.map(lambda w, s: jnp.sum(w * s), given.on_state, last)
        return jnp.sum(given.on_hs * hs) + sum(weighed), (last, hs)

    (_, (last, hs)), grads = jax.jit(jax.value_and_grad(loss, has_aux=True))(free)
    close(zoo.run(ours)(free, given), zoo.Result(last, hs, grads))


@pytest.mark.parametrize("name", ["tanh", "relu", "lstm", "gru"])
@pytest.mark.usefixtures("x64", "strict")
def test_torch(name):
    """Two layers, all values and gradients, to 1e-9 of torch's float64."""
    stored = np.load(GOLDEN / f"torch_{name}.npz", allow_pickle=False)
    got, cell = dict(stored), zoo.make_cell(name, stored["h0"].shape[2])
    State = type(zoo.window(name)[0].state)

    def states(of):
        """Per layer; `of` is torch's name for a field."""
        return tuple(State(*(got[of(f)][k] for f in State._fields)) for k in (0, 1))

    def loss(layers, x, start):
        hs, last = x, []
        for params, state in zip(layers, start, strict=True):
            state, hs = unroll(cell, params, hs, state)
            last.append(state)
        return jnp.sum(got["on_y"] * hs), (tuple(last), hs)

    layers = from_torch(got, relu=name == "relu").params
    at = layers, got["x"], states(lambda f: f"{f}0")
    both = jax.jit(jax.value_and_grad(loss, (0, 1, 2), has_aux=True))
    (value, (last, hs)), (δ_layers, δ_x, δ_start) = both(*at)
    tight = {"rtol": 1e-9, "atol": 1e-12}
    close((value, hs, last), (got["loss"], got["y"], states(str)), **tight)
    wanted = got["grad_x"], states(lambda f: f"grad_{f}0")
    close((δ_x, δ_start), wanted, **tight)
    for layer, δ in enumerate(δ_layers):
        close(δ["w_x"].T, got[f"grad_weight_ih_l{layer}"], **tight)
        close(δ["w_h"].T, got[f"grad_weight_hh_l{layer}"], **tight)
        close(δ["b"], got[f"grad_bias_ih_l{layer}"], **tight)
        if name == "gru":
            close(δ["b_hn"], got[f"grad_bias_hh_l{layer}"][-cell.d_hidden :], **tight)

"""GRUs with fewer parts, and three that a search found.

z keeps the old state in all but MGU and MUT, where f and z let the new in, as in their
papers. All are general: r ⊙ h is multiplied, as in `gru_reset_before`.

`mgu`, Zhou, Wu, Zhang & Zhou 2016, "Minimal gated unit for recurrent neural networks",
packed f, n, where one gate does both:

    f = σ(x·W_xf + b_f + h·W_hf)        n = tanh(x·W_xn + b_n + (f ⊙ h)·W_hn)
    h' = (1 − f) ⊙ h + f ⊙ n

Its claim: a GRU's accuracy at two thirds of the parameters.

`gru_minimal_1`, `_2`, `_3`, Dey & Salem 2017, "Gate-variants of gated recurrent unit
(GRU) neural networks": gates that do not read x, with n and h' of `gru_reset_before`:

    r, z = σ(h·W_h + b)        σ(h·W_h)        σ(b)

Their claim: variants 1 and 2 do as a GRU does, 3 somewhat worse.

`mut1`, `mut2`, `mut3`, Jozefowicz, Zaremba & Sutskever 2015, "An empirical exploration
of recurrent network architectures", packed z, r, n, with h' = z ⊙ n + (1 − z) ⊙ h and

    MUT1  z = σ(x·W_xz + b_z)                     r = σ(x·W_xr + b_r + h·W_hr)
          n = tanh(tanh(x̃) + b_n + (r ⊙ h)·W_hn)
    MUT2  z = σ(x·W_xz + b_z + h·W_hz)            r = σ(x̃ + b_r + h·W_hr)
          n = tanh(x·W_xn + b_n + (r ⊙ h)·W_hn)
    MUT3  z = σ(x·W_xz + b_z + tanh(h)·W_hz)      r = σ(x·W_xr + b_r + h·W_hr)
          n as in MUT2

where x̃ is x itself if D = H, and x times a matrix of its own if not, in w_x like the
others. Some public code swaps the r of MUT2 and MUT3, or has no tanh(h). Their claim:
MUT1 beats GRU and LSTM at arithmetic, MUT3 on characters; on words none beats an LSTM
whose forget gate starts at b_f = 1.
"""

import jax
import jax.numpy as jnp

from lm.cells.forms import (
    add_bias,
    affine,
    draw,
    draw_gates,
    draw_recurrent,
    general,
    row,
    sigmoid,
    zeros,
)
from lm.cells.gru import GRUState, named
from lm.cells.mogrifier import features
from lm.config import InitConfig
from lm.types import Cell


def mgu(hidden: int, init: InitConfig, bias: bool = True) -> Cell:
    """The minimal gated unit."""

    def of_step(params, state, z_BG):
        w_f, w_n = jnp.split(params["w_h"], 2, axis=1)
        z_f, z_n = jnp.split(z_BG, 2, axis=-1)
        f = sigmoid(z_f + state.h @ w_f)
        return f, jnp.tanh(z_n + (f * state.h) @ w_n)

    def step(params, state, z_BG):
        f, n = of_step(params, state, z_BG)
        return GRUState(h=(1 - f) * state.h + f * n)

    def gates(params, state, z_BG):
        f, n = of_step(params, state, z_BG)
        return {"forget": f, "keep": 1 - f, "slope": 1 - n * n}

    return general(
        "mgu",
        hidden,
        init=lambda key, d_in: draw_gates(key, d_in, hidden, 2, init, bias),
        initial_state=zeros(GRUState, 1, hidden),
        step=step,
        gates=gates,
        blocks=("forget", "candidate"),
        retention="keep",
    )


def gru_minimal(
    hidden: int, init: InitConfig, bias: bool = True, *, variant: int = 1
) -> Cell:
    """Gates of h and b (variant 1), of h (2), of b (3).

    w_x (D, H) and b (H,) are the candidate's; b_rz (2·H,) the gates', which variant 3
    has without biases too; w_h is packed r, z, n, or n alone.
    """
    reads_h, biased = variant < 3, variant == 3 or (bias and variant == 1)

    def init_params(key, d_in):
        key_x, key_h = jax.random.split(key)
        params = {
            "w_x": draw(key_x, (d_in, hidden), init),
            "w_h": draw_recurrent(key_h, hidden, 3 if reads_h else 1, init),
        }
        params |= {"b": jnp.zeros(hidden)} if bias else {}
        return params | {"b_rz": jnp.zeros(2 * hidden)} if biased else params

    def of_step(params, state, z_BH):
        w_rz, w_n = jnp.split(params["w_h"], [2 * hidden if reads_h else 0], axis=1)
        a = state.h @ w_rz if reads_h else jnp.tile(jnp.zeros_like(state.h), 2)
        a = a + row(params["b_rz"]) if biased else a
        reset, keep = jnp.split(sigmoid(a), 2, axis=-1)
        return reset, keep, jnp.tanh(z_BH + (reset * state.h) @ w_n)

    def step(params, state, z_BH):
        _, keep, n = of_step(params, state, z_BH)
        return GRUState(h=(1 - keep) * n + keep * state.h)

    return general(
        f"gru_minimal_{variant}",
        hidden,
        init=init_params,
        initial_state=zeros(GRUState, 1, hidden),
        step=step,
        gates=lambda params, state, z: named(*of_step(params, state, z)),
        blocks=("candidate",),
        retention="update",
    )


# Where x̃ stands among z, r, n.
BARE = {1: 2, 2: 1, 3: None}


def mut(hidden: int, init: InitConfig, bias: bool = True, *, variant: int = 1) -> Cell:
    """MUT1, MUT2 or MUT3. w_x has no columns for x̃ where D = H."""
    bare, reads_h = BARE[variant], variant != 1

    def init_params(key, d_in):
        key_x, key_h = jax.random.split(key)
        columns = 2 if bare is not None and d_in == hidden else 3
        params = {
            "w_x": draw(key_x, (d_in, columns * hidden), init),
            "w_h": draw_recurrent(key_h, hidden, 3 if reads_h else 2, init),
        }
        return params | {"b": jnp.zeros(3 * hidden)} if bias else params

    def project(params, xs):
        zs = affine({"w_x": params["w_x"]}, xs)
        if params["w_x"].shape[1] == 2 * hidden:
            before, after = jnp.split(zs, [bare * hidden], axis=-1)
            zs = jnp.concatenate([before, features(params, xs), after], axis=-1)
        if variant == 1:
            z_zr, z_n = jnp.split(zs, [2 * hidden], axis=-1)
            zs = jnp.concatenate([z_zr, jnp.tanh(z_n)], axis=-1)
        return add_bias(zs, params["b"]) if "b" in params else zs

    def of_step(params, state, z_BG):
        h = state.h
        *w_z, w_r, w_n = jnp.split(params["w_h"], 3 if reads_h else 2, axis=1)
        z_z, z_r, z_n = jnp.split(z_BG, 3, axis=-1)
        for w in w_z:
            z_z = z_z + (jnp.tanh(h) if variant == 3 else h) @ w
        update, reset = sigmoid(z_z), sigmoid(z_r + h @ w_r)
        return update, reset, jnp.tanh(z_n + (reset * h) @ w_n)

    def step(params, state, z_BG):
        update, _, n = of_step(params, state, z_BG)
        return GRUState(h=update * n + (1 - update) * state.h)

    def gates(params, state, z_BG):
        update, reset, n = of_step(params, state, z_BG)
        both = {"update": update, "reset": reset}
        return both | {"keep": 1 - update, "slope": 1 - n * n}

    return general(
        f"mut{variant}",
        hidden,
        init=init_params,
        initial_state=zeros(GRUState, 1, hidden),
        project=project,
        step=step,
        gates=gates,
        retention="keep",
    )

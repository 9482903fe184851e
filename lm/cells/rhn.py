"""The recurrent highway network: several layers deep from one step to the next.

Zilly, Srivastava, Koutník & Schmidhuber 2017, "Recurrent highway networks", with
carry gates tied to transform gates, c = 1 − t. For ℓ = 1, …, L, x entering at ℓ = 1:

    n = tanh([x·W_xn] + b_n + h·R_nℓ)        t = σ([x·W_xt] + b_t + h·R_tℓ)
    h = (1 − t) ⊙ h + t ⊙ n

w_x is packed n, t; w_h and the biases n, t of the first layer, then of the next. The
transform gates' biases start at −2, so that layers pass the state on at first. General
form. Its claim: at equal parameters, perplexity falls as the depth L grows to 10.
"""

import jax
import jax.numpy as jnp

from lm.cells.elman import ElmanState, tanh_slope
from lm.cells.forms import draw, draw_recurrent, general, row, sigmoid, zeros
from lm.config import InitConfig
from lm.types import Cell


def rhn(
    hidden: int,
    init: InitConfig,
    bias: bool = True,
    *,
    depth: int = 5,
    transform_bias: float = -2.0,
) -> Cell:
    """The equations above, L = depth."""

    def init_params(key, d_in):
        key_x, key_h = jax.random.split(key)
        params = {
            "w_x": draw(key_x, (d_in, 2 * hidden), init),
            "w_h": draw_recurrent(key_h, hidden, 2 * depth, init),
        }
        starts = jnp.repeat(jnp.array([0.0, transform_bias]), hidden)
        deep = {"b_deep": jnp.tile(starts, depth - 1)}
        return params | {"b": starts} | deep if bias else params

    def layers(params, state, z_BG):
        """(h, 1 − t, n) of each layer, in turn."""
        h, kept = state.h, []
        for number, w in enumerate(jnp.split(params["w_h"], depth, axis=1)):
            a = h @ w
            if number == 0:
                a = z_BG + a
            elif "b_deep" in params:
                at = 2 * hidden * (number - 1)
                a = a + row(params["b_deep"][at : at + 2 * hidden])
            n, t = jnp.split(a, 2, axis=-1)
            n, t = jnp.tanh(n), sigmoid(t)
            h = (1 - t) * h + t * n
            kept.append((h, 1 - t, n))
        return kept

    def gates(params, state, z_BG):
        kept = layers(params, state, z_BG)
        keep = jnp.prod(jnp.stack([keep for _, keep, _ in kept]), axis=0)
        return {"keep": keep, "slope": tanh_slope(kept[-1][2])}

    return general(
        "rhn",
        hidden,
        init=init_params,
        initial_state=zeros(ElmanState, 1, hidden),
        step=lambda params, state, z: ElmanState(h=layers(params, state, z)[-1][0]),
        gates=gates,
        blocks=("candidate", "transform"),
        retention="keep",
    )

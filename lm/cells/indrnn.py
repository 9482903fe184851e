"""IndRNN: units that remember themselves alone.

    h' = max(x·W_x + b + u ⊙ h, 0)

Li, Li, Cook, Zhu & Gao 2018, "Independently recurrent neural network (IndRNN)", with
ReLU. u ~ gain·U(0, 1), as in the authors' code; they hold |u| below
2^(1/T) in training by clipping, and normalise batches between deep layers, which is not
done here. General form, but with no matrix in the loop: the cell has no w_h.

Its claim: since each unit's gradient is a product of its own u's, no deeper than T
numbers, sequences of thousands of steps and stacks of many layers can be trained.
"""

import jax
import jax.numpy as jnp

from lm.cells.elman import ElmanState, relu_slope
from lm.cells.forms import draw, general, row, zeros
from lm.config import InitConfig
from lm.types import Cell


def indrnn(hidden: int, init: InitConfig, bias: bool = True) -> Cell:
    """The equation above."""

    def init_params(key, d_in):
        key_x, key_u = jax.random.split(key)
        u = init.gain * jax.random.uniform(key_u, (hidden,))
        params = {"w_x": draw(key_x, (d_in, hidden), init), "u": u}
        return params | {"b": jnp.zeros(hidden)} if bias else params

    def step(params, state, z_BH):
        return ElmanState(h=jax.nn.relu(z_BH + row(params["u"]) * state.h))

    return general(
        "indrnn",
        hidden,
        init=init_params,
        initial_state=zeros(ElmanState, 1, hidden),
        step=step,
        gates=lambda params, state, z: {"slope": relu_slope(step(params, state, z).h)},
        blocks=("candidate",),
        recurrent=(),
    )

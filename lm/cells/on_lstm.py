"""ON-LSTM: an LSTM whose units are ordered by how long they keep.

Shen, Tan, Sordoni & Courville 2019, "Ordered neurons: integrating tree structures into
recurrent neural networks". With i, f, g, o as in `lstm`, and cumax = cumsum ∘ softmax:

    f̃ = cumax(x·W_xf̃ + b_f̃ + h·W_hf̃)        ĩ = 1 − cumax(x·W_xĩ + b_ĩ + h·W_hĩ)
    ω = f̃ ⊙ ĩ
    c' = (f ⊙ ω + f̃ − ω) ⊙ c + (i ⊙ ω + ĩ − ω) ⊙ g        h' = o ⊙ tanh(c')

f̃ rises and ĩ falls along the units: late ones are kept, early ones rewritten. An entry
of a master gate serves `chunk` neighbours; where H is no multiple of it, as many as
divide both. Packed ĩ, f̃ (H/chunk each), then i, f, g, o; the authors' order is another.
Factored, though cumax runs along the units. 1 − mean f̃ (`distance`) is the authors'
syntactic distance between a word and the one before it.

Their claim: perplexity of a good LSTM, and trees that can be read off the distances.
"""

import math

import jax
import jax.numpy as jnp

from lm.cells.forms import draw, factored, zeros
from lm.cells.lstm import LSTMState, activations, named
from lm.config import InitConfig
from lm.types import Array, Cell


def cumax(a: Array) -> Array:
    """The running sum of softmax(a), rising to 1."""
    return jnp.cumsum(jax.nn.softmax(a, axis=-1), axis=-1)


def distance(gates: dict[str, Array]) -> Array:
    """The syntactic distance of each step, (…,), from the cell's gates (…, H)."""
    return 1 - jnp.mean(gates["master_forget"], axis=-1)


def on_lstm(
    hidden: int, init: InitConfig, bias: bool = True, *, chunk: int = 10
) -> Cell:
    """The equations above. b_f starts at `init.forget_bias`, as in `lstm`."""
    chunk = math.gcd(hidden, chunk)
    masters = 2 * (hidden // chunk)
    width = masters + 4 * hidden

    def init_params(key, d_in):
        key_x, key_h = jax.random.split(key)
        params = {
            "w_x": draw(key_x, (d_in, width), init),
            "w_h": init.gain * draw(key_h, (hidden, width), init),
        }
        at = masters + hidden
        b = jnp.zeros(width).at[at : at + hidden].set(init.forget_bias)
        return params | {"b": b} if bias else params

    def of_step(z_BG, r_BG):
        m_z, z_BG = jnp.split(z_BG, [masters], axis=-1)
        m_r, r_BG = jnp.split(r_BG, [masters], axis=-1)
        m_i, m_f = jnp.split(m_z + m_r, 2, axis=-1)
        m_i, m_f = 1 - cumax(m_i), cumax(m_f)
        m_i, m_f = (jnp.repeat(m, chunk, axis=-1) for m in (m_i, m_f))
        i, f, g, o = activations(z_BG, r_BG)
        both = m_i * m_f
        return i * both + m_i - both, f * both + m_f - both, g, o, m_i, m_f

    def pointwise(params, z_BG, r_BG, state):
        i, f, g, o, _, _ = of_step(z_BG, r_BG)
        c = f * state.c + i * g
        return LSTMState(h=o * jnp.tanh(c), c=c)

    def gates(params, z_BG, r_BG, state):
        *all_four, m_i, m_f = of_step(z_BG, r_BG)
        return named(*all_four) | {"master_input": m_i, "master_forget": m_f}

    return factored(
        "on_lstm",
        hidden,
        init=init_params,
        initial_state=zeros(LSTMState, 2, hidden),
        pointwise=pointwise,
        gates=gates,
        retention="forget",
    )

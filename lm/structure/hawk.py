"""Hawk: Griffin's recurrent block and a gated feedforward layer, residual both.

    x′ = x + (rg_lru(conv₄(u·W_u + b_u)) ⊙ gelu(u·W_g + b_g))·W_d + b_d     u = RMS(x)
    y = x′ + (gelu(v·V_g + c_g) ⊙ (v·V_u + c_u))·V_d + c_d                 v = RMS(x′)

De, Smith, Fernando et al. 2024, "Griffin: mixing gated linear recurrences with local
attention for efficient language models", sections 2.1 to 2.4, figure 2: the unit is
4/3·H wide and reads the convolution itself, without a matrix of its own; the
feedforward layer is 3·H wide. Griffin is the same with local attention in every third
block (`transformer` is one such, pre-norm and with all heads). Their authors scale
initial matrices by width and depth; here all follow the config.
"""

import jax

from lm.cells.heads import heads_of
from lm.cells.rg_lru import rg_lru
from lm.config import ConfigError
from lm.layers import recurrent
from lm.structure.blocks import at_place, feedforward, prenorm_block
from lm.structure.gated_block import gated
from lm.structure.normed import RMS
from lm.structure.place import Place
from lm.types import Array, Layer

WIDENED, FED = 4 / 3, 3  # the unit and the feedforward layer, in H


def unchanged(xs: Array) -> Array:
    """No activation."""
    return xs


def hawk(place: Place, heads: int = 4) -> Layer:
    """Griffin's recurrent block around RG-LRU, 4/3·H wide, then a gated feedforward
    layer 3·H wide, each behind an RMS norm (De et al. 2024: Hawk).

    heads: of RG-LRU's gates; its width is a multiple of them.

    Raises:
      ConfigError: for weight dropout; there are no recurrent matrices.
    """
    config = place.config
    H, init, bias, drops = config.hidden, config.init, config.bias, config.dropout
    if drops.weight:
        raise ConfigError(
            f"dropout.weight is {drops.weight}, but RG-LRU has no recurrent matrices: "
            "set it to 0"
        )
    heads = heads_of(H, heads)
    width = heads * max(1, round(WIDENED * H / heads))
    unit = rg_lru(width, init, bias, heads=heads, entered=False)
    over_time = recurrent(unit, zoneout=drops.zoneout)
    mix = gated(over_time, H, init, bias, behind=unchanged, gate=jax.nn.gelu)
    mix = place.drop(place.whole(mix))
    feed = feedforward(mix.d_out, FED * mix.d_out, init, bias, gated=True)
    block = prenorm_block(mix, place.drop(feed), by=RMS)
    return at_place(place, block, by=RMS)

"""Pictures into a memory: convolutions, whose places are what a decoder looks at.

    pixels → convolution, relu (three times, the last two halving both sides)
           → m_p, a vector for each place that is left, and where it is

(Xu et al. 2015, section 3.1.1, whose convolutions were trained on ImageNet; ours are
trained with the decoder.) Where a place is, from −1 to 1 down and right, stands behind
its vector: convolutions cannot tell. The summary is the largest of each number over all
places.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from lm.attention import Memory
from lm.models.encoder_decoder import Encoder
from lm.types import Array, Context, Params


class Convolutions(nn.Module):
    """(B, rows, columns, 1) -> (B, rows/4, columns/4, 2·channels).

    channels  of the first layer; the other two have twice as many.
    """

    channels: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        for number, stride in enumerate((1, 2, 2)):
            width = self.channels * (2 if number else 1)
            x = nn.relu(nn.Conv(width, (3, 3), strides=(stride, stride))(x))
        return x


def with_places(values_BRCE: Array) -> Array:
    """(B, R·C, E + 2): each place with how far down and right it is."""
    lanes, rows, columns, width = values_BRCE.shape
    down, right = (jnp.linspace(-1, 1, side) for side in (rows, columns))
    where_RC2 = jnp.stack(jnp.meshgrid(down, right, indexing="ij"), axis=-1)
    where = jnp.broadcast_to(where_RC2[None], (lanes, rows, columns, 2))
    both = jnp.concatenate([values_BRCE, where.astype(values_BRCE.dtype)], axis=-1)
    return both.reshape(lanes, rows * columns, width + 2)


def places_of(shape: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of places of a picture with so many of pixels."""
    rows, columns = ((side + 3) // 4 for side in shape)
    return rows, columns


def picture_encoder(channels: int, shape: tuple[int, int]) -> tuple[Encoder, int, int]:
    """The encoder of pictures of this shape; and the widths of a place of its memory
    and of the summary."""
    net = Convolutions(channels)

    def init(key: Array, numbers: Any = None) -> Params:
        return net.init(key, jnp.zeros((1, *shape, 1)))["params"]

    def apply(
        params: Params, source: Array, mask: Array, context: Context = Context()
    ) -> Memory:
        pixels_BRC1 = jnp.swapaxes(source, 0, 1)[..., None]
        found: Any = net.apply({"params": params}, pixels_BRC1)
        values_BPE = with_places(found)
        there_BP = jnp.ones(values_BPE.shape[:2], values_BPE.dtype)
        return Memory(values_BPE, there_BP, jnp.max(found, axis=(1, 2)))

    return Encoder(init, apply), 2 * channels + 2, 2 * channels

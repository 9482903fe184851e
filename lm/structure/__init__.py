"""Structures around any cell, by name. A new one is one file beside these and one line.

A structure makes the layer of each place of a stack (`lm.structure.place`).
"""

from collections.abc import Callable
from functools import partial

from lm.cells import CELLS, FLAX
from lm.config import ConfigError, unknown
from lm.layers import residual
from lm.structure.attentive import looking_back
from lm.structure.blocks import blocks
from lm.structure.clockwork import clockworks
from lm.structure.dilated import dilations
from lm.structure.gated_block import gated_blocks
from lm.structure.hawk import hawk
from lm.structure.highway import highways
from lm.structure.normed import normalized
from lm.structure.place import Place
from lm.structure.transformer import transformer
from lm.types import Layer

Structure = Callable[[Place], Layer]


def residuals(place: Place) -> Layer:
    """A layer adds its input to its output, from the second layer on, where both are H
    wide (He et al. 2016; in recurrent stacks Wu et al. 2016, section 3.1)."""
    return residual(place.plain()) if place.number else place.plain()


STRUCTURES: dict[str, Structure] = {
    "plain": Place.plain,
    "residual": residuals,
    "highway": highways,
    "normed": normalized,
    "prenorm_block": blocks,
    "gated_block": gated_blocks,
    "dilated": dilations,
    "clockwork": clockworks,
    "attentive": looking_back,
    "attentive_additive": partial(looking_back, score="additive"),
}

# In place of a cell, with a structure of their own.
WHOLE: dict[str, Structure] = {
    "transformer": transformer,
    "hawk": hawk,
}


def structure(cell: str | None, name: str) -> Structure:
    """What makes the layers of a stack of these names; cell None: one's own.

    Raises:
      ConfigError: where there is no such structure or cell, or both would be one.
    """
    if name not in STRUCTURES:
        raise ConfigError(unknown("model.structure", name, STRUCTURES))
    if cell is None or cell in CELLS or cell.startswith(FLAX):
        return STRUCTURES[name]
    if cell not in WHOLE:
        known = [*CELLS, *WHOLE, f"{FLAX}NAME"]
        raise ConfigError(unknown("model.cell", cell, known))
    if name != "plain":
        raise ConfigError(
            f"model.cell is {cell!r}, which has residual connections of its own, and "
            f"model.structure {name!r}: leave that 'plain'"
        )
    return WHOLE[cell]

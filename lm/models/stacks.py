"""The recurrent layers that a `ModelConfig` describes, which all models here share."""

from typing import Any

from lm.cells import make_cell
from lm.config import ConfigError, ModelConfig
from lm.dropout import Dropout, embedding_dropout
from lm.layers import bidirectional, dropped, recurrent, stack
from lm.structure import structure
from lm.structure.place import Place
from lm.types import Cell, Indexed, Layer, Params


def stack_of(
    config: ModelConfig,
    cell: Cell | None = None,
    both_ways: bool = False,
    bottom: Cell | None = None,
) -> Layer:
    """L layers, all of the same cell, one on another, by the config's structure.

    cell       in place of the registry's `config.cell`.
    bottom     in place of the same in the first layer.
    both_ways  two of them side by side in each layer, one reading from the right.
    """
    name = "residual" if config.residual else config.structure
    build = structure(None if cell else config.cell, name)
    makers = [bottom or cell] + [cell] * (config.layers - 1)
    places = (place_of(config, n, own, both_ways) for n, own in enumerate(makers))
    return stack(*(build(place) for place in places))


def place_of(
    config: ModelConfig, number: int, cell: Cell | None = None, both_ways: bool = False
) -> Place:
    """A layer's place in the stack of a config; cell: in place of the registry's."""
    drops = config.dropout
    rate = "hidden" if number else "input" if config.embedding else ""
    on = rate and getattr(drops, rate)

    def of(units: int) -> Layer:
        own = cell or make_cell(config.cell, units, config.init, config.bias)
        if units != own.d_hidden:
            raise ConfigError(
                f"model.structure {config.structure!r} makes cells of {units} units, "
                f"and the cell given has {own.d_hidden}: choose one by model.cell"
            )
        return recurrent(own, weight_drop=drops.weight > 0, zoneout=drops.zoneout)

    return Place(
        number,
        config,
        one=lambda: of(config.hidden),
        of=of,
        whole=lambda one: bidirectional(one, one) if both_ways else one,
        drop=lambda layer: dropped(layer, drops.kind, rate) if on else layer,
    )


def words(
    params: Params, inputs: Any, dropout: Dropout | None = None, drops: Any = None
) -> Any:
    """What the bottom layer reads: rows of `params["embedding"]`, or words one-hot.

    dropout, drops  in training: of whole words, where the config `drops` has it.
    """
    table = params.get("embedding")
    if table is None:
        return inputs
    if dropout is not None and drops.embedding:
        key, rate = dropout.at(0).keys.embedding, dropout.rates.embedding
        table = embedding_dropout(key, table, rate)
    return Indexed(table, inputs)

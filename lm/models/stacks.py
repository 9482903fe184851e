"""The recurrent layers that a `ModelConfig` describes, which all models here share."""

from typing import Any

from lm.cells import make_cell
from lm.config import ModelConfig
from lm.dropout import Dropout, embedding_dropout
from lm.layers import bidirectional, dropped, recurrent, residual, stack
from lm.types import Cell, Indexed, Layer, Params


def stack_of(
    config: ModelConfig,
    cell: Cell | None = None,
    both_ways: bool = False,
    bottom: Cell | None = None,
) -> Layer:
    """L layers, all of the same cell, one on another.

    cell       in place of the registry's `config.cell`.
    bottom     in place of the same in the first layer.
    both_ways  two of them side by side in each layer, one reading from the right.
    """
    cell = cell or make_cell(config.cell, config.hidden, config.init, config.bias)
    drops = config.dropout

    def at(number: int) -> Layer:
        own = bottom if bottom and not number else cell
        one = recurrent(own, weight_drop=drops.weight > 0, zoneout=drops.zoneout)
        layer = bidirectional(one, one) if both_ways else one
        rate = "hidden" if number else "input" if config.embedding else ""
        here = layer
        if rate and getattr(drops, rate):
            here = dropped(layer, drops.kind, rate)
        return residual(here) if config.residual and number else here

    return stack(*(at(number) for number in range(config.layers)))


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

"""The cells, by name. A new cell is one file beside these and one line below."""

from collections.abc import Callable
from functools import partial

from lm.cells.antisymmetric import antisymmetric, lipschitz
from lm.cells.cfn import cfn, minimal_rnn
from lm.cells.constrained import exprnn, scornn
from lm.cells.elman import elman, irnn, orthogonal, relu
from lm.cells.gru import gru, gru_reset_before, gru_tutorial
from lm.cells.indrnn import indrnn
from lm.cells.lem import lem
from lm.cells.lstm import lstm
from lm.cells.min_gru import min_gru
from lm.cells.multiplicative import multiplicative_lstm, multiplicative_rnn
from lm.cells.oscillators import cornn, unicornn
from lm.cells.scrn import scrn
from lm.config import ConfigError, InitConfig, unknown
from lm.types import Cell

CELLS: dict[str, Callable[..., Cell]] = {
    # Elman networks
    "tanh": elman,
    "relu": relu,
    "irnn": irnn,
    "orthogonal": orthogonal,
    "multiplicative_rnn": multiplicative_rnn,
    "scrn": scrn,
    "indrnn": indrnn,
    "exprnn": exprnn,
    "scornn": scornn,
    "antisymmetric": antisymmetric,
    "antisymmetric_gated": partial(antisymmetric, gated=True),
    "lipschitz": lipschitz,
    "cornn": cornn,
    "unicornn": unicornn,
    "lem": lem,
    "cfn": cfn,
    "minimal_rnn": minimal_rnn,
    # long short-term memories
    "lstm": lstm,
    "multiplicative_lstm": multiplicative_lstm,
    # gated recurrent units
    "gru": gru,
    "gru_reset_before": gru_reset_before,
    "gru_tutorial": gru_tutorial,
    # linear in the state
    "min_gru": min_gru,
}


def make_cell(
    name: str, hidden: int, init: InitConfig | None = None, bias: bool = True
) -> Cell:
    """The registered cell `name` with H = hidden; ConfigError if there is none."""
    if name not in CELLS:
        raise ConfigError(unknown("model.cell", name, CELLS))
    return CELLS[name](hidden, init or InitConfig(), bias)


def is_gated(name: str) -> bool:
    """Whether the registered cell has a gate that keeps its old state."""
    return make_cell(name, 1).retention is not None

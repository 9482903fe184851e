"""The cells, by name. A new cell is one file beside these and one line below."""

import importlib
from collections.abc import Callable
from functools import partial

from lm.cells.additive import atr, ligru, ran, star
from lm.cells.antisymmetric import antisymmetric, lipschitz
from lm.cells.cfn import cfn, minimal_rnn
from lm.cells.chrono import gru_chrono, janet_chrono, lstm_chrono
from lm.cells.constrained import exprnn, scornn
from lm.cells.elman import elman, irnn, orthogonal, relu
from lm.cells.fast_slow import fast_slow_lstm
from lm.cells.gated_delta_net import gated_delta_net, gated_delta_net_negative
from lm.cells.gru import gru, gru_reset_before, gru_tutorial
from lm.cells.gru_kin import gru_minimal, mgu, mut
from lm.cells.hgrn import hgrn, hgrn_real
from lm.cells.hgrn2 import hgrn2
from lm.cells.indrnn import indrnn
from lm.cells.lem import lem
from lm.cells.lmu import lmu, parallel_lmu
from lm.cells.lru import lru
from lm.cells.lstm import lstm
from lm.cells.lstm_kin import janet, lstm_capped, lstm_projected
from lm.cells.lstm_normed import (
    layer_norm_lstm,
    layer_norm_lstm_out,
    layer_norm_lstm_tf,
)
from lm.cells.min_gru import min_gru
from lm.cells.min_lstm import min_lstm
from lm.cells.mlstm import mlstm
from lm.cells.mogrifier import mogrifier
from lm.cells.multiplicative import multiplicative_lstm, multiplicative_rnn
from lm.cells.on_lstm import on_lstm
from lm.cells.oscillators import cornn, unicornn
from lm.cells.peepholes import COUPLED, linear, lstm_fgr, lstm_peephole
from lm.cells.qrnn import qrnn
from lm.cells.rg_lru import rg_lru
from lm.cells.rhn import rhn
from lm.cells.s5 import s5
from lm.cells.scrn import scrn
from lm.cells.slstm import slstm
from lm.cells.sru import sru, sru_v1
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
    "lstm_chrono": lstm_chrono,
    "lstm_peephole": lstm_peephole,
    "lstm_nig": partial(lstm_peephole, name="lstm_nig", has=("forget", "output")),
    "lstm_nfg": partial(lstm_peephole, name="lstm_nfg", has=("input", "output")),
    "lstm_nog": partial(lstm_peephole, name="lstm_nog", has=("input", "forget")),
    "lstm_niaf": partial(lstm_peephole, name="lstm_niaf", φ_in=linear),
    "lstm_noaf": partial(lstm_peephole, name="lstm_noaf", φ_out=linear),
    "lstm_cifg": partial(lstm_peephole, name="lstm_cifg", **COUPLED),
    "lstm_coupled": partial(lstm_peephole, name="lstm_coupled", peeps=False, **COUPLED),
    "lstm_fgr": lstm_fgr,
    "lstm_capped": lstm_capped,
    "lstm_projected": lstm_projected,
    "layer_norm_lstm": layer_norm_lstm,
    "layer_norm_lstm_tf": layer_norm_lstm_tf,
    "layer_norm_lstm_out": layer_norm_lstm_out,
    "janet": janet,
    "janet_chrono": janet_chrono,
    "multiplicative_lstm": multiplicative_lstm,
    "mogrifier": mogrifier,
    "rhn": rhn,
    "on_lstm": on_lstm,
    "fast_slow_lstm": fast_slow_lstm,
    # gated recurrent units
    "gru": gru,
    "gru_chrono": gru_chrono,
    "gru_reset_before": gru_reset_before,
    "gru_tutorial": gru_tutorial,
    "mgu": mgu,
    "gru_minimal_1": partial(gru_minimal, variant=1),
    "gru_minimal_2": partial(gru_minimal, variant=2),
    "gru_minimal_3": partial(gru_minimal, variant=3),
    "mut1": partial(mut, variant=1),
    "mut2": partial(mut, variant=2),
    "mut3": partial(mut, variant=3),
    "ligru": ligru,
    "ran": ran,
    "star": star,
    "atr": atr,
    # linear in the state
    "min_gru": min_gru,
    "min_lstm": min_lstm,
    "sru": sru,
    "sru_v1": sru_v1,
    "qrnn": qrnn,
    "lru": lru,
    "s5": s5,
    "rg_lru": rg_lru,
    "hgrn": hgrn,
    "hgrn_real": hgrn_real,
    "hgrn2": hgrn2,
    "slstm": slstm,
    "mlstm": mlstm,
    "gated_delta_net": gated_delta_net,
    "gated_delta_net_negative": gated_delta_net_negative,
    "lmu": lmu,
    "parallel_lmu": parallel_lmu,
}

FLAX = "flax:"  # before the names of Flax's cells


def make_cell(
    name: str, hidden: int, init: InitConfig | None = None, bias: bool = True
) -> Cell:
    """The cell `name` with H = hidden, a key of `CELLS` or `flax:NAME`, which starts as
    Flax starts it (see `lm.adapters.flax_named`); ConfigError if there is none."""
    if name.startswith(FLAX):  # loaded where it is asked for: Flax takes a second
        return importlib.import_module("lm.adapters").flax_named(name, hidden, bias)
    if name not in CELLS:
        raise ConfigError(unknown("model.cell", name, [*CELLS, f"{FLAX}NAME"]))
    return CELLS[name](hidden, init or InitConfig(), bias)


def is_gated(name: str) -> bool:
    """Whether the registered cell has a gate that keeps its old state."""
    return make_cell(name, 1).retention is not None

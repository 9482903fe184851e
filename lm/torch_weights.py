"""torch's nn.RNN, nn.GRU and nn.LSTM: their weights as ours, and ours as theirs.

Of layer k, torch has weight_ih_lk (G, D), weight_hh_lk (G, H), bias_ih_lk and
bias_hh_lk (G,), with `_reverse` behind the name where it reads from the right. Here
these are w_x (D, G), w_h (H, G) and one b (G,), the sum of both biases; only the
GRU's candidate has bias_hh apart, b_hn (H,), since its reset gate multiplies that one.
Gates are packed alike: i, f, g, o and r, z, n. Arrays are NumPy's, of any float type.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from lm.cells import make_cell
from lm.config import ConfigError
from lm.layers import bidirectional, recurrent, stack
from lm.types import Layer, Params

Arrays = Mapping[str, np.ndarray]

# What torch's weights become: blocks of G, and the cells that share those equations.
BLOCKS = {"lstm": 4, "gru": 3, "tanh": 1, "relu": 1}
ALIKE = {"lstm_chrono": "lstm", "gru_chrono": "gru", "orthogonal": "tanh"}
ALIKE |= {"irnn": "relu"} | {name: name for name in BLOCKS}

FORWARD, REVERSE = "", "_reverse"
NAME = re.compile(r"((?:.+\.)?)((?:weight|bias)_(?:ih|hh|hr))_l(\d+)(|_reverse)")
WEIGHTS, BIASES = ("weight_ih", "weight_hh"), ("bias_ih", "bias_hh")


class TorchNet(NamedTuple):
    """A network of torch's in our parameters.

    cell       its name here.
    hidden     H.
    d_in       D, what the lowest layer reads.
    bias       whether it has biases.
    both_ways  whether each layer reads from the left and from the right.
    params     of `layer`: a tuple over layers, {"forward", "backward"} if both ways.
    """

    cell: str
    hidden: int
    d_in: int
    bias: bool
    both_ways: bool
    params: tuple[Params, ...]

    @property
    def layer(self) -> Layer:
        """The stack that gives torch's outputs, time-major, from `params`."""
        one = recurrent(make_cell(self.cell, self.hidden, bias=self.bias))
        layer = bidirectional(one, one) if self.both_ways else one
        return stack(*[layer] * len(self.params))


def prefixes(arrays: Arrays) -> list[str]:
    """What stands before `weight_ih_l0` in the names: one for each network."""
    found = (NAME.fullmatch(name) for name in arrays)
    return sorted({m[1] for m in found if m and m[2] == "weight_ih"})


def from_torch(
    arrays: Arrays, prefix: str | None = None, *, relu: bool = False
) -> TorchNet:
    """The recurrent network in a state dict of torch's.

    prefix  of its names, "rnn." say; None: of the only one that there is.
    relu    nn.RNN was made with nonlinearity="relu", which its weights do not say.

    Raises:
      ConfigError: where there is none, or several; for an LSTM with projections
        (proj_size); where an array is missing or has another shape.
    """
    if prefix is None:
        prefix = _only_prefix(arrays)
    found: dict[tuple[int, str], dict[str, np.ndarray]] = {}
    for name, array in arrays.items():
        match = NAME.fullmatch(name)
        if match and match[1] == prefix:
            at = int(match[3]), match[4]
            found.setdefault(at, {})[match[2]] = array
    if "weight_ih" not in found.get((0, FORWARD), {}):
        raise ConfigError(f"there is no {prefix}weight_ih_l0 among {_told(arrays)}")
    cell, hidden, d_in = _kind(found[0, FORWARD], prefix)
    if relu and cell != "tanh":
        raise ConfigError(f"relu is of torch's nn.RNN, but these weights are of {cell}")
    ways = (FORWARD, REVERSE) if (0, REVERSE) in found else (FORWARD,)
    layers = 1 + max(layer for layer, _ in found)
    bias = "bias_ih" in found[0, FORWARD]
    for layer in range(layers):
        width = d_in if layer == 0 else hidden * len(ways)
        for way in ways:
            here = found.pop((layer, way), {})
            _check(here, cell, hidden, width, bias, f"{prefix}{{}}_l{layer}{way}")
            found[layer, way] = _ours(cell, here)
    if len(found) != layers * len(ways):
        raise ConfigError(f"{prefix or 'the network'} has layers of one way and of two")
    params = tuple(_layer([found[k, way] for way in ways]) for k in range(layers))
    return TorchNet(
        "relu" if relu else cell, hidden, d_in, bias, len(ways) == 2, params
    )


def to_torch(cell: str, params: tuple[Params, ...], prefix: str = "") -> dict[str, Any]:
    """The state dict of torch's network with the outputs of these layers; the inverse
    of `from_torch`, but that torch's two biases become one and a zero.

    cell    a name in `ALIKE`.
    params  as `TorchNet` has them.

    Raises:
      ConfigError: for a cell that torch does not have.
    """
    if cell not in ALIKE:
        raise ConfigError(
            f"torch has no network of model.cell {cell!r}: it has those of "
            f"{', '.join(BLOCKS)}"
        )
    named = {}
    for number, layer in enumerate(params):
        both = "forward" in layer
        ways = {FORWARD: layer["forward"], REVERSE: layer["backward"]} if both else {}
        for way, own in (ways or {FORWARD: layer}).items():
            for name, array in _theirs(own).items():
                named[f"{prefix}{name}_l{number}{way}"] = array
    return named


def _only_prefix(arrays: Arrays) -> str:
    found = prefixes(arrays)
    if not found:
        raise ConfigError(
            "no network of torch's nn.RNN, nn.GRU or nn.LSTM is there: no name ends in "
            f"weight_ih_l0 among {_told(arrays)}"
        )
    if len(found) > 1:
        raise ConfigError(
            f"there are networks at {', '.join(map(repr, found))}: give the prefix of "
            "one of them"
        )
    return found[0]


def _told(arrays: Arrays) -> str:
    """Names in a line, the first dozen."""
    names = list(arrays)
    return (", ".join(names[:12]) or "no arrays") + (", …" if len(names) > 12 else "")


def _kind(first: Arrays, prefix: str) -> tuple[str, int, int]:
    """(cell, H, D) of the arrays of the lowest layer."""
    if "weight_hr" in first:
        raise ConfigError(
            f"{prefix}weight_hr_l0 is there: an LSTM with projections (proj_size) is "
            "not read; give one without"
        )
    w_x, w_h = first["weight_ih"], first.get("weight_hh", np.empty(0))
    by_blocks = {blocks: cell for cell, blocks in reversed(BLOCKS.items())}
    rows, hidden = w_h.shape if w_h.ndim == 2 and w_h.size else (0, 1)
    cell = by_blocks.get(rows // hidden) if rows % hidden == 0 else None
    if cell is None or w_x.ndim != 2:
        raise ConfigError(
            f"{prefix}weight_hh_l0 is {w_h.shape} and weight_ih_l0 {w_x.shape}: must "
            "be (G, H) and (G, D), with G = H (nn.RNN), 3H (nn.GRU) or 4H (nn.LSTM)"
        )
    return cell, hidden, w_x.shape[1]


def _check(
    own: Arrays, cell: str, hidden: int, width: int, bias: bool, name: str
) -> None:
    """Raises ConfigError unless the arrays of one layer and way are all there."""
    rows = BLOCKS[cell] * hidden
    wanted: dict[str, tuple[int, ...]] = {}
    wanted |= {"weight_ih": (rows, width), "weight_hh": (rows, hidden)}
    wanted |= dict.fromkeys(BIASES, (rows,)) if bias else {}
    for what in wanted | dict.fromkeys(own, ()):
        if what not in wanted:
            raise ConfigError(f"{name.format(what)} is there, but no other such bias")
        if what not in own:
            raise ConfigError(f"{name.format(what)} is not there")
        if own[what].shape != wanted[what]:
            raise ConfigError(
                f"{name.format(what)} is {own[what].shape}, must be {wanted[what]}"
            )


def _layer(ways: list[Params]) -> Params:
    return ways[0] if len(ways) == 1 else dict(forward=ways[0], backward=ways[1])


def _ours(cell: str, own: Arrays) -> Params:
    """Torch's arrays of one layer and way as the cell's parameters."""
    w_x, w_h = (own[name].T for name in WEIGHTS)
    params = {"w_x": w_x, "w_h": w_h}
    if "bias_ih" not in own:
        return params
    b_x, b_h = (own[name] for name in BIASES)
    if cell != "gru":
        return params | {"b": b_x + b_h}
    gates = 2 * len(w_h)  # r and z, whose biases are added
    b = np.concatenate([b_x[:gates] + b_h[:gates], b_x[gates:]])
    return params | {"b": b, "b_hn": b_h[gates:]}


def _theirs(params: Params) -> dict[str, np.ndarray]:
    """The inverse of `_ours`."""
    arrays = [np.asarray(params[name]).T for name in ("w_x", "w_h")]
    named = dict(zip(WEIGHTS, arrays, strict=True))
    if "b" not in params:
        return named
    b_x = np.asarray(params["b"])
    b_h = np.zeros_like(b_x)
    if "b_hn" in params:
        b_h[-len(params["b_hn"]) :] = params["b_hn"]
    return named | dict(zip(BIASES, (b_x, b_h), strict=True))

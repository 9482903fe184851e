"""What gates and states do: saturation, time constants, dead units, the state's size.

A gate that sits at 0 or 1 passes no gradient to what drives it, and a forget gate
whose mean is f̄ holds the cell for about −1/ln f̄ steps: the memory that an LSTM has
built in. Fractions below .1 and above .9 as in Karpathy, Johnson & Li 2015, figure 2;
time constants as in Tallec & Ollivier 2018, section 2.

Cost of each: one forward pass, from `record`, and the gates of every step.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from lm.gradflow.record import Recorded, record
from lm.model import LanguageModel
from lm.types import Array, Cell, Params, State

BINS = 20
KEEPERS = ("forget", "update")


class GateStatistics(NamedTuple):
    """One gate, or the slope |φ′|, of one layer over a window.

    below_10, above_90  shares of all activations (steps, lanes, units) that are < .1
                        and > .9: left- and right-saturated.
    mean                their mean.
    histogram           their shares in BINS equal bins over [0, 1]: (BINS,).
    left_H, right_H     per unit, the share of its activations that are < .1, > .9.
    """

    below_10: Array
    above_90: Array
    mean: Array
    histogram: Array
    left_H: Array
    right_H: Array


class StateStatistics(NamedTuple):
    """The state h of one layer over a window.

    norm_T   ‖h_t‖, mean over lanes.
    drift    its least-squares slope over the window, per step.
    """

    norm_T: Array
    drift: Array


def gates_of(cell: Cell, params: Params, layer: Recorded) -> dict[str, Array]:
    """{name: (T, B, H)} of one layer; empty for a cell that names no gates."""
    if cell.gates is None:
        return {}
    return jax.vmap(cell.gates, (None, 0, 0))(params, layer.before, layer.zs_TBG)


def layers_of(model: LanguageModel, params: Params, inputs_TB, state: State):
    """(cell, its parameters, what was recorded of it) per layer."""
    recorded = record(model, params, inputs_TB, state)
    return list(zip(model.cells, params["layers"], recorded, strict=True))


def gate_statistics(
    model: LanguageModel, params: Params, inputs_TB, state: State
) -> list[dict[str, GateStatistics]]:
    """Per layer {gate's name or "slope": GateStatistics}."""
    return [
        {name: statistics(g) for name, g in gates_of(*layer).items()}
        for layer in layers_of(model, params, inputs_TB, state)
    ]


def statistics(gate_TBH: Array) -> GateStatistics:
    """GateStatistics of activations in [0, 1]."""
    low, high = gate_TBH < 0.1, gate_TBH > 0.9
    bins = jnp.clip((gate_TBH * BINS).astype(jnp.int32), 0, BINS - 1)
    counts = jnp.bincount(bins.reshape(-1), length=BINS)
    return GateStatistics(
        below_10=jnp.mean(low),
        above_90=jnp.mean(high),
        mean=jnp.mean(gate_TBH),
        histogram=counts / gate_TBH.size,
        left_H=jnp.mean(low, axis=(0, 1)),
        right_H=jnp.mean(high, axis=(0, 1)),
    )


def time_constants(
    model: LanguageModel, params: Params, inputs_TB, state: State
) -> list[Array | None]:
    """Per layer τ = −1/ln f̄ of each unit, in steps: (H,); None without such a gate.

    f̄ is the unit's mean over the window of the gate that keeps the old state: the
    LSTM's f, the GRU's z. ∞ where it never lets go.
    """

    def of(cell, layer, recorded):
        gates = gates_of(cell, layer, recorded)
        kept = [gates[name] for name in KEEPERS if name in gates]
        return -1 / jnp.log(jnp.mean(kept[0], axis=(0, 1))) if kept else None

    return [of(*layer) for layer in layers_of(model, params, inputs_TB, state)]


def dead_units(
    model: LanguageModel, params: Params, inputs_TB, state: State
) -> list[Array | None]:
    """Per layer the share of units whose φ′ is 0 at every step of every lane.

    Such a unit passes no gradient anywhere in the window (a dead ReLU). None for a
    cell that gives no "slope".
    """

    def of(cell, layer, recorded):
        slope = gates_of(cell, layer, recorded).get("slope")
        return None if slope is None else jnp.mean(jnp.max(slope, axis=(0, 1)) <= 0)

    return [of(*layer) for layer in layers_of(model, params, inputs_TB, state)]


def state_statistics(
    model: LanguageModel, params: Params, inputs_TB, state: State
) -> list[StateStatistics]:
    """‖h_t‖ and its drift, per layer; h is what the cell puts out."""
    return [
        drifting(jnp.linalg.norm(jax.vmap(cell.output)(recorded.after), axis=-1))
        for cell, _, recorded in layers_of(model, params, inputs_TB, state)
    ]


def drifting(norms_TB: Array) -> StateStatistics:
    """StateStatistics of ‖h_t‖ per step and lane."""
    norm_T = jnp.mean(norms_TB, axis=1)
    steps_T = jnp.arange(len(norm_T), dtype=norm_T.dtype) - (len(norm_T) - 1) / 2
    spread = jnp.maximum(1.0, jnp.sum(steps_T**2))
    return StateStatistics(norm_T, jnp.sum(steps_T * norm_T) / spread)

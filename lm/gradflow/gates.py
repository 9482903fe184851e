"""What gates and states do: saturation, time constants, dead units, the state's size.

A gate that sits at 0 or 1 passes no gradient to what drives it, and a forget gate
whose mean is f̄ holds the cell for about −1/ln f̄ steps: the memory that an LSTM has
built in. Fractions below .1 and above .9 as in Karpathy, Johnson & Li 2015, figure 2;
time constants as in Tallec & Ollivier 2018, section 2.

Cost of each: one forward pass and the gates of every step.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lm.problem import Problem
from lm.recording import Recorded
from lm.types import Array, Cell, Context, Params, Part, State

BINS = 20


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


def gates_of(cell: Cell, params: Params, recorded: Recorded) -> dict[str, Array]:
    """{name: (T, B, H)} of one part; empty for a cell that names no gates."""
    if cell.gates is None:
        return {}
    return jax.vmap(cell.gates, (None, 0, 0))(params, recorded.before, recorded.zs_TBG)


class Seen(NamedTuple):
    """A part, its own parameters, and what it did in a forward pass."""

    part: Part
    params: Params
    recorded: Recorded

    @property
    def cell(self) -> Cell:
        """Its recurrence."""
        return self.part.cell

    @property
    def gates(self) -> dict[str, Array]:
        """`gates_of` it."""
        return gates_of(self.cell, self.params, self.recorded)


def seen(problem: Problem, params: Params, carry: State, batch: Any) -> list[Seen]:
    """Every part over a batch."""
    kept: dict[str, Recorded] = {}
    problem.loss(params, carry, batch, Context(recorded=kept))
    return [Seen(part, part.of(params), kept[part.name]) for part in problem.parts]


def gate_statistics(
    problem: Problem, params: Params, carry: State, batch: Any
) -> dict[str, dict[str, GateStatistics]]:
    """{part's name: {gate's name or "slope": GateStatistics}}."""
    return {
        one.part.name: {name: statistics(g) for name, g in one.gates.items()}
        for one in seen(problem, params, carry, batch)
    }


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
    problem: Problem, params: Params, carry: State, batch: Any
) -> dict[str, Array | None]:
    """Of each part τ = −1/ln f̄ of each unit, in steps: (H,); None without such a gate.

    f̄ is the unit's mean over the window of the gate that keeps the old state
    (`Cell.retention`): the LSTM's f, the GRU's z. ∞ where it never lets go.
    """

    def of(one: Seen) -> Array | None:
        if one.cell.retention is None:
            return None
        return -1 / jnp.log(jnp.mean(one.gates[one.cell.retention], axis=(0, 1)))

    return {one.part.name: of(one) for one in seen(problem, params, carry, batch)}


def dead_units(
    problem: Problem, params: Params, carry: State, batch: Any
) -> dict[str, Array | None]:
    """Of each part the share of units whose φ′ is 0 at every step of every lane.

    Such a unit passes no gradient anywhere in the window (a dead ReLU). None for a
    cell that gives no "slope".
    """

    def of(one: Seen) -> Array | None:
        slope = one.gates.get("slope")
        return None if slope is None else jnp.mean(jnp.max(slope, axis=(0, 1)) <= 0)

    return {one.part.name: of(one) for one in seen(problem, params, carry, batch)}


def state_statistics(
    problem: Problem, params: Params, carry: State, batch: Any
) -> dict[str, StateStatistics]:
    """‖h_t‖ and its drift, of each part; h is what the cell puts out."""
    return {
        one.part.name: state_drift(one) for one in seen(problem, params, carry, batch)
    }


def state_drift(one: Seen) -> StateStatistics:
    """StateStatistics of what a cell puts out."""
    hs_TBH = jax.vmap(one.cell.output)(one.recorded.after)
    return drifting(jnp.linalg.norm(hs_TBH, axis=-1))


def drifting(norms_TB: Array) -> StateStatistics:
    """StateStatistics of ‖h_t‖ per step and lane."""
    norm_T = jnp.mean(norms_TB, axis=1)
    steps_T = jnp.arange(len(norm_T), dtype=norm_T.dtype) - (len(norm_T) - 1) / 2
    spread = jnp.maximum(1.0, jnp.sum(steps_T**2))
    return StateStatistics(norm_T, jnp.sum(steps_T * norm_T) / spread)

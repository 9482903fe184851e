"""Where the gradient goes while a model trains: the instruments of `lm.gradflow`, on
the same windows of validation text again and again.

A probe is one compiled function of the parameters alone. It reads no training state
and is not waited for: its numbers are read back after the next training step. They
become columns of RUN/gradflow.npz, the first axis of each being the probe. Here L
counts the parts of one group; a network that is one stack has one group, without a
name, and any other writes GROUP/ before its columns (`forward/lag_LK`), see `groups`:

    step               (P,)       optimizer steps taken before it
    last               (P,)       whether it stands there because the run ended
    lag_LK             (P, L, K)  the lag profile G(k), nats per unit of state
    lag_low_LK, lag_high_LK       95 % intervals, over the windows, of G(k)/G(0)
    horizon_L          (P, L)     the largest lag with G(k) over 1 % of G(0)
    horizon_low_L, horizon_high_L its interval
    half_life_L        (P, L)     the smallest lag with G(k) under half of G(0)
    norms_LT           (P, L, T)  ‖∂L/∂h_t‖, L the mean nats per token of the windows
    gates_<l>_<name>   (P, bins)  shares of the activations of a gate of layer l, or of
                                  |φ′| ("slope"), in equal bins over [0, 1]
    gate_mean_<l>_<name>  (P,)    their mean
    state_norm_L, drift_L  (P, L) ‖h_t‖, and by how much it grows per step
    spectral_radius_L  (P, L)     of the recurrent matrix (the largest of its gates', to
                                  1 %); 0 for a cell that names none
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.config import GradflowConfig
from experiments.run.probes import Rows, column_of
from experiments.train.callback import Callback as Listener
from lm.gradflow import through_time as flow
from lm.gradflow.gates import Seen, seen, state_drift, statistics
from lm.gradflow.jacobians import radius, recurrent_blocks
from lm.lanes import lanes_of
from lm.problem import Problem
from lm.types import Part

# A probed token costs about as much as COST trained ones (`benchmark probe` measures
# it), so that probes `every` steps take COST·probed/(every·trained) of the time. SHARE
# leaves as much again of the promised 5 % for compiling the probe.
COST = 2.0
SHARE = 0.03
RESAMPLES, SQUARINGS = 400, 10
SELDOM = 50  # more columns than these nobody can look at


def interval(config: GradflowConfig, probed: int, trained: float) -> int:
    """Steps between probes; 0: none are made.

    Args:
      probed: tokens in the probe's windows.
      trained: tokens in a training step, on average.
    """
    if config.every >= 0:
        return config.every
    steps = COST * probed / (SHARE * max(trained, 1.0))
    return max(SELDOM, 10 * math.ceil(steps / 10))


def make_measure(problem: Problem, batch: Any) -> Callable[[Any], dict[str, Any]]:
    """params -> the columns of one probe, but for `step` and `last`."""
    batch = jax.tree.map(jnp.asarray, batch)

    def measure(params: Any) -> dict[str, Any]:
        given = problem, params, problem.carry(params, lanes_of(batch)), batch
        lags, norms = flow.lag_norms(*given), flow.norms_through_time(*given)
        inside, found = seen(*given), {}
        for group, parts in groups(problem.parts).items():
            norms_LKB = jnp.stack([lags[name] for name in parts])
            columns = _reach(norms_LKB)
            columns["norms_LT"] = jnp.stack([norms[name] for name in parts])
            columns |= _inside([one for one in inside if one.part.name in parts])
            found |= {column_of(group, name): c for name, c in columns.items()}
        return found

    return measure


def groups(parts: Sequence[Part]) -> dict[str, list[str]]:
    """{group: names of its parts}: what is left of a name without the layer's number,
    "" in a stack ("0", "1"), "forward" of "0.forward", "encoder" of "encoder.1"."""
    found: dict[str, list[str]] = {}
    for part in parts:
        words = [word for word in part.name.split(".") if not word.isdigit()]
        found.setdefault(".".join(words), []).append(part.name)
    return found


def _reach(norms_LKB: Any) -> dict[str, Any]:
    """Columns on the lag profiles."""
    profile = flow.profile_of(norms_LKB)
    low, high = flow.bootstrap(jax.random.key(0), norms_LKB, RESAMPLES)
    return {
        "lag_LK": profile.raw_LK,
        "lag_low_LK": low.normalised_LK,
        "lag_high_LK": high.normalised_LK,
        "horizon_L": profile.horizon_L,
        "horizon_low_L": low.horizon_L,
        "horizon_high_L": high.horizon_L,
        "half_life_L": profile.half_life_L,
    }


def _inside(parts: Sequence[Seen]) -> dict[str, Any]:
    """Columns on gates, states and recurrent matrices, from one forward pass."""
    found, states, radii = {}, [], []
    for name, one in enumerate(parts):
        for gate, activations in one.gates.items():
            of_gate = statistics(activations)
            found[f"gates_{name}_{gate}"] = of_gate.histogram
            found[f"gate_mean_{name}_{gate}"] = of_gate.mean
        states.append(state_drift(one))
        blocks = recurrent_blocks(one.params, one.cell)
        of_block = jax.vmap(lambda w: radius(w, SQUARINGS))
        radii.append(jnp.max(of_block(blocks), initial=0.0))
    return found | {
        "state_norm_L": jnp.stack([jnp.mean(state.norm_T) for state in states]),
        "drift_L": jnp.stack([state.drift for state in states]),
        "spectral_radius_L": jnp.stack(radii),
    }


class Probe(Listener):
    """The probes of one run in progress.

    every    steps between them; 0: there are none.
    """

    def __init__(self, run: Any, measure: Callable[[int], dict[str, Any]]):
        """Goes on with the columns of a run that is rewound already.

        Args:
          measure: (slot) -> the columns of a probe of the run there.
        """
        config, plan = run.config.gradflow, run.plan
        self.every = 0
        if plan.probed is None or config.every == 0:
            return
        trained = plan.prepared.size / plan.reading.steps
        self.every = interval(config, spots(plan.probed), trained)
        self._measure, self._pending = measure, None
        self._rows = Rows(run.run.directory)

    def taken(self, run: Any) -> None:
        """Probes where one is due, and reads back the one before."""
        if self.every:
            self._settle(run)
            step = run.at.step
            if step % self.every == 0 and step not in self._rows:
                self._begin(run, last=False)

    def over(self, run: Any) -> None:
        """At the end of a run."""
        if self.every:
            self._settle(run)
            if run.at.step not in self._rows:
                self._begin(run, last=True)
                self._settle(run)
            self._rows.close()

    def saving(self, run: Any) -> None:
        """Writes what is not written, so that a run that goes on from the checkpoint
        lacks nothing."""
        if self.every:
            self._settle(run)
            self._rows.flush()

    def _begin(self, run: Any, last: bool) -> None:
        """Hands a probe to the device; nobody waits for it."""
        self._pending = (run.at.step, last, self._measure(run.slot))

    def _settle(self, run: Any) -> None:
        """Reads back the probe under way."""
        if self._pending is None:
            return
        (step, last, found), self._pending = self._pending, None
        # A copy: a view would keep the device's buffer alive.
        row = {name: np.array(value) for name, value in found.items()}
        self._rows.add({"step": np.array(step), "last": np.array(last), **row})
        *_, horizon_L = (row[name] for name in row if name.endswith("horizon_L"))
        run.horizon = int(horizon_L[-1])


def spots(batch: Any) -> int:
    """Steps times lanes of a batch."""
    return max(int(np.prod(np.shape(leaf)[:2])) for leaf in jax.tree.leaves(batch))

"""Where the gradient goes while a model trains: the instruments of `lm.gradflow`, on
the same windows of validation text again and again.

A probe is one compiled function of the parameters alone. It reads no training state
and is not waited for: its numbers are read back after the next training step. They
become columns of RUN/gradflow.npz, the first axis of each being the probe:

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
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from data_pipeline.windows import Windows, windows
from experiments.config import GradflowConfig
from experiments.run.probes import FILE, _load, _save, _shapes
from lm.gradflow import through_time as flow
from lm.gradflow.gates import drifting, gates_of, layers_of, statistics
from lm.gradflow.jacobians import radius, recurrent_blocks

WRITE_SECONDS = 20.0

# A probed token costs about as much as COST trained ones (`benchmark probe` measures
# it), so that probes `every` steps take COST·probed/(every·trained) of the time. SHARE
# leaves as much again of the promised 5 % for compiling the probe.
COST = 2.0
SHARE = 0.03
RESAMPLES, SQUARINGS = 400, 10
SELDOM = 50  # more columns than these nobody can look at


def probed(ids: np.ndarray, config: GradflowConfig) -> Windows | None:
    """What is probed, windows of `lags` + 1 tokens; None where it is hardly a text."""
    return windows(ids, config.lags + 1, config.lanes) if len(ids) > 2 else None


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


def make_measure(model: Any, text: Windows) -> Callable[[Any], dict[str, Any]]:
    """params -> the columns of one probe, but for `step` and `last`."""
    inputs, targets = text
    mask = np.ones(targets.shape, np.float32)

    def measure(params: Any) -> dict[str, Any]:
        start = model.initial_state(params, targets.shape[1])
        given = model, params, jnp.asarray(inputs), jnp.asarray(targets)
        norms_LKB = flow.lag_norms(*given, start)
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
            "norms_LT": flow.norms_through_time(*given, mask, start),
            **_inside(model, params, given[2], start),
        }

    return measure


def _inside(model: Any, params: Any, inputs: Any, start: Any) -> dict[str, Any]:
    """Columns on gates, states and recurrent matrices, from one forward pass."""
    found, states, radii = {}, [], []
    for number, layer in enumerate(layers_of(model, params, inputs, start)):
        for name, gate in gates_of(*layer).items():
            of_gate = statistics(gate)
            found[f"gates_{number}_{name}"] = of_gate.histogram
            found[f"gate_mean_{number}_{name}"] = of_gate.mean
        cell, weights, recorded = layer
        hs_TBH = jax.vmap(cell.output)(recorded.after)
        states.append(drifting(jnp.linalg.norm(hs_TBH, axis=-1)))
        blocks = recurrent_blocks(weights, cell)
        of_block = jax.vmap(lambda w: radius(w, SQUARINGS))
        radii.append(jnp.max(of_block(blocks), initial=0.0))
    return found | {
        "state_norm_L": jnp.stack([jnp.mean(state.norm_T) for state in states]),
        "drift_L": jnp.stack([state.drift for state in states]),
        "spectral_radius_L": jnp.stack(radii),
    }


class Probe:
    """The probes of a run in progress.

    every    steps between them; 0: there are none.
    horizon  of the top layer, by the latest probe that was read back; None before.
    """

    def __init__(
        self,
        run: Any,
        model: Any,
        ids: np.ndarray,
        tokens: float,
        measure: Callable[[Any], dict[str, Any]] | None = None,
    ):
        """Goes on with the columns of a run that is rewound already.

        Args:
          run: an `experiments.run.Run`.
          ids: the validation text.
          tokens: in a training step, on average.
          measure: in place of `make_measure`'s, compiled: for runs that share one.
        """
        config = run.config.gradflow
        text = probed(ids, config)
        self.every, self.horizon = 0, None
        self._path, self._rows, self._pending = run.directory / FILE, [], None
        self._written, self._unwritten = time.monotonic(), False
        if text is None or config.every == 0:
            return
        self.every = interval(config, text.targets_TB.size, tokens)
        self._measure = measure or jax.jit(make_measure(model, text))
        # The end of a run that now goes on is no place for a probe.
        self._rows = [row for row in _load(self._path) if not row["last"]]

    def after(self, step: int, params: Any) -> None:
        """To be called after every step, and before the first: probes where one is
        due, and reads back the one before."""
        if self.every:
            self._settle()
            if step % self.every == 0 and not self._has(step):
                self._begin(step, params, last=False)

    def finish(self, step: int, params: Any) -> None:
        """At the end of a run."""
        if self.every:
            self._settle()
            if not self._has(step):
                self._begin(step, params, last=True)
            self.flush()

    def flush(self) -> None:
        """Writes what is not written; before each checkpoint, so that a run that goes
        on from there lacks nothing."""
        self._settle()
        if self._unwritten:
            _save(self._path, self._rows)
            self._written, self._unwritten = time.monotonic(), False

    def _has(self, step: int) -> bool:
        return any(row["step"] == step for row in self._rows)

    def _begin(self, step: int, params: Any, last: bool) -> None:
        """Hands a probe to the device; nobody waits for it."""
        self._pending = (step, last, self._measure(params))

    def _settle(self) -> None:
        """Reads back the probe under way."""
        if self._pending is None:
            return
        (step, last, found), self._pending = self._pending, None
        row = {name: np.asarray(value) for name, value in found.items()}
        row = {"step": np.int64(step), "last": np.bool_(last), **row}
        if self._rows and _shapes(self._rows[0]) != _shapes(row):
            print(
                f"note: the probes in {self._path} from before step {step} were made "
                "with other gradflow.lags or by another version; they are dropped",
                file=sys.stderr,
            )
            self._rows = []
        self._rows.append(row)
        self.horizon = int(row["horizon_L"][-1])
        self._unwritten = True
        if time.monotonic() - self._written > WRITE_SECONDS:
            self.flush()

"""Singular values before and after training, from a run's best checkpoint.

Not measured during training: the decompositions cost H³, for wide layers many times
what a training step does, and on accelerators most of all.
"""

from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from experiments.applications.restored import application_of, restore_best
from experiments.run.directory import read_record
from experiments.run.files import RunError
from experiments.train.keys import init_key
from lm.config import ConfigError
from lm.gradflow.gates import Seen, seen
from lm.gradflow.jacobians import recurrent_blocks, singular_values, step_jacobians

WIDEST, STEPS = 1_024, 5


class Spectra(NamedTuple):
    """jacobians  {name: (STEPS, N)} of ∂state_t/∂state_{t−1} of each layer.
    matrices      {name: (H,)} of the recurrent matrices of the top layer, by gate."""

    jacobians: dict[str, np.ndarray]
    matrices: dict[str, np.ndarray]


def spectra(run_dir: Path) -> Spectra:
    """Both, at the last steps of an example: of a language model, of a text that it
    writes.

    Raises:
      RunError: without a sound checkpoint or an example, for layers too wide to wait
        for, or for parts without a step.
    """
    _, record = read_record(run_dir)
    example = application_of(record).example
    if example is None:
        raise RunError("its application has no example to take them at")
    restored = restore_best(run_dir)
    problem, config = restored.problem, restored.config
    widest = max(part.cell.d_hidden for part in problem.parts)
    if widest > WIDEST:
        raise RunError(
            f"its layers are {widest} wide; spectra are drawn up to {WIDEST}"
        )
    key = init_key(jax.random.key(config.seed))
    sides = {
        "untrained": problem.init(key, None),
        f"step {restored.step:,}": restored.params,
    }
    batch = example(restored)
    jacobians, matrices = {}, {}
    for side, params in sides.items():
        parts = seen(problem, params, problem.carry(params, 1), batch)
        for one in parts:
            where = f"layer {one.part.name}, " if len(parts) > 1 else ""
            try:
                jacobians[f"{where}{side}"] = _jacobians(one)
            except ConfigError as error:
                raise RunError(str(error)) from None
        for name, values_H in _matrices(parts[-1]).items():
            matrices[f"{name}{side}"] = values_H
    return Spectra(jacobians, matrices)


def _jacobians(one: Seen) -> np.ndarray:
    """(STEPS, N): a part's own transition, given its input."""

    def transition(state, z_BG):
        return one.cell.step(one.params, state, z_BG)

    late = jax.tree.map(lambda leaf: leaf[-STEPS], one.recorded.before)
    inputs = jax.tree.map(lambda leaf: leaf[-STEPS:], one.recorded.zs_TBG)
    jacobians = step_jacobians(transition, late, inputs)
    return np.asarray(singular_values(jacobians[:, 0]))


def _matrices(one: Seen) -> dict[str, np.ndarray]:
    """{"matrix k, ": (H,)} of a part's recurrent blocks."""
    blocks = recurrent_blocks(one.params, one.cell)
    if not len(blocks):
        return {}
    names, values_kH = one.cell.blocks, np.asarray(singular_values(blocks))
    if len(values_kH) == 1:
        return {"": values_kH[0]}
    named = names if len(names) == len(values_kH) else range(len(values_kH))
    return {f"{n}, ": v for n, v in zip(named, values_kH, strict=True)}

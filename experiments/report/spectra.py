"""Singular values before and after training, from a run's best checkpoint.

Not measured during training: the decompositions cost H³, for wide layers many times
what a training step does, and on accelerators most of all.
"""

from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.applications.language_model.reading import setting_of
from experiments.run.files import RunError
from experiments.train.keys import init_key
from experiments.train.trained import load_trained
from lm.generate import Filters, make_text_sampler
from lm.gradflow.jacobians import recurrent_blocks, singular_values, step_jacobians
from lm.recording import record

WIDEST = 1_024
TOKENS, STEPS = 25, 5


class Spectra(NamedTuple):
    """jacobians  {name: (STEPS, N)} of ∂state_t/∂state_{t−1} of each layer.
    matrices      {name: (H,)} of the recurrent matrices of the top layer, by gate."""

    jacobians: dict[str, np.ndarray]
    matrices: dict[str, np.ndarray]


def spectra(run_dir: Path) -> Spectra:
    """Both, at the last steps of a text that the trained model writes.

    Raises:
      RunError: without a sound checkpoint, or for layers too wide to wait for.
    """
    trained = load_trained(run_dir)
    model, config = trained.model, trained.config
    if config.model.hidden > WIDEST:
        raise RunError(
            f"its layers are {config.model.hidden} wide; spectra are drawn up to "
            f"{WIDEST}"
        )
    key = init_key(jax.random.key(config.seed))
    sides = {"untrained": model.init(key), f"step {trained.step:,}": trained.params}
    prompt = jnp.asarray([[setting_of(config, trained.vocabulary).start]])
    write = jax.jit(make_text_sampler(model, Filters(), TOKENS))
    ids_TB = write(trained.params, jax.random.key(0), prompt)
    jacobians, matrices = {}, {}
    for side, params in sides.items():
        for number, values_MN in enumerate(_jacobians(model, params, ids_TB)):
            layer = f"layer {number}, " if config.model.layers > 1 else ""
            jacobians[f"{layer}{side}"] = values_MN
        for name, values_H in _matrices(model, params).items():
            matrices[f"{name}{side}"] = values_H
    return Spectra(jacobians, matrices)


def _jacobians(model, params, ids_TB) -> list[np.ndarray]:
    """Per layer (STEPS, N): the layer's own transition, given its input."""
    found = []
    recorded = record(model.apply, params, ids_TB, model.initial_state(params, 1))
    for part in model.parts:
        cell, weights, layer = part.cell, part.of(params), recorded[part.name]

        def transition(state, z_BG, cell=cell, weights=weights):
            return cell.step(weights, state, z_BG)

        late = jax.tree.map(lambda s: s[-STEPS], layer.before)
        jacobians = step_jacobians(transition, late, layer.zs_TBG[-STEPS:])
        found.append(np.asarray(singular_values(jacobians[:, 0])))
    return found


def _matrices(model, params) -> dict[str, np.ndarray]:
    """{"matrix k, ": (H,)} of the top layer's recurrent blocks."""
    blocks = recurrent_blocks(params["layers"][-1], model.parts[-1].cell)
    if not len(blocks):
        return {}
    names = model.parts[-1].cell.blocks
    values_kH = np.asarray(singular_values(blocks))
    if len(values_kH) == 1:
        return {"": values_kH[0]}
    named = names if len(names) == len(values_kH) else range(len(values_kH))
    return {f"{n}, ": v for n, v in zip(named, values_kH, strict=True)}

"""What the studies of language read, and what they measure on its windows."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from data_pipeline.config import DataConfig
from data_pipeline.windows import Windows, windows
from experiments.config import TrainConfig
from lm.config import OptimConfig
from lm.gradflow.through_time import (
    hidden_gradient,
    state_gradients,
    step_norms,
)
from lm.types import Batch

CORPUS = "stdlib_docs"


def characters(batch: int, window: int) -> DataConfig:
    """The characters of the embedded corpus, some 1.2 million."""
    return DataConfig(
        corpus=CORPUS,
        tokenizer="characters",
        min_count=5,
        batch=batch,
        window=window,
    )


def adam(truncation: int = 0) -> OptimConfig:
    """Adam that takes small steps where the gradient is small; its learning rate is
    the study's to find (`rates.tuned`).

    With the usual eps = 1e-8 every weight moves by the full rate in the first steps; on
    some seeds that saturates tanh units for hundreds of steps, whatever is studied.
    """
    return OptimConfig(eps=1e-3, clip_at=1.0, truncation=truncation)


def paced(steps: int, evaluations: int) -> TrainConfig:
    """So many steps, evaluated so many times, the last time at the end."""
    if steps % evaluations:
        raise ValueError(f"{steps} steps do not divide into {evaluations} parts")
    return TrainConfig(
        epochs=0,
        steps=steps,
        eval_every=steps // evaluations,
        eval_batch=64,
        keep=1,
        samples=0,
    )


def lag_profile(config: Any, model: Any, dataset: Any, *, lags: int, lanes: int):
    """`make_measure` of studies that measure a lag profile on validation text alone."""
    text = windows(dataset.splits["valid"].ids, lags * 4 // 3, lanes)
    return lag_measure(model, text, lags)


def lag_measure(model: Any, text: Windows, lags: int):
    """(params) -> norms of ∂ℓ_t/∂s_{t−k} for the first `lags` + 1 lags, per lane:

        lag_norms_LKB  s is all that the layer carries on: of an LSTM, h and c.
        h_norms_LKB    s is h alone, the rest held fixed.

    An LSTM remembers in c, past its h; by h alone it looks shorter-sighted than it is.
    Windows are longer than the lags, so that none meets the zero state they begin in.
    """
    batch = last_alone(text)

    @jax.jit
    def norms(params):
        state = model.initial_state(params, text.inputs_TB.shape[1])
        found = state_gradients(model.problem, params, state, batch)
        parts = [(part.cell, found[part.name]) for part in model.parts]
        of_h = [jnp.linalg.norm(hidden_gradient(*part), axis=-1) for part in parts]
        return jnp.stack([whole_norms(state) for _, state in parts]), jnp.stack(of_h)

    def lagged(norms_LTB):
        return np.asarray(norms_LTB)[:, ::-1][:, : lags + 1]

    def measure(params: Any) -> dict[str, Any]:
        whole, of_h = norms(params)
        return {"lag_norms_LKB": lagged(whole), "h_norms_LKB": lagged(of_h)}

    return measure


def last_alone(text: Windows) -> Batch:
    """The windows, with the loss of the last token of each alone."""
    mask_TB = jnp.zeros(text.targets_TB.shape).at[-1].set(1.0)
    return Batch(*text, mask_TB, jnp.ones(text.targets_TB.shape[1], bool))


def whole_norms(layer: Any):
    """The norm of one layer's gradients over all fields of its state: (T, B)."""
    return jnp.sqrt(sum(step_norms(g) ** 2 for g in jax.tree.leaves(layer)))

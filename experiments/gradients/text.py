"""What the studies of language read, and the windows that they measure on."""

from typing import Any, NamedTuple

from data_pipeline.config import DataConfig
from experiments.config import TrainConfig


class Windows(NamedTuple):
    """Windows of validation text, all of one length, one a lane: (T, B) ids."""

    inputs_TB: Any
    targets_TB: Any


def characters(batch: int, window: int) -> DataConfig:
    """The characters of the embedded corpus, some 1.2 million."""
    return DataConfig(
        corpus="stdlib_docs",
        tokenizer="characters",
        min_count=5,
        batch=batch,
        window=window,
    )


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


def windows(ids: Any, length: int, lanes: int) -> Windows:
    """`lanes` windows spread evenly over a text; fewer where it is too short."""
    import numpy as np

    ids = np.asarray(ids).astype(np.int32)
    lanes = max(1, min(lanes, (len(ids) - 1) // length))
    begin_B = np.linspace(0, max(0, len(ids) - 1 - length), lanes).astype(int)
    at_TB = np.arange(length)[:, None] + begin_B[None, :]
    return Windows(ids[at_TB], ids[at_TB + 1])


def lag_measure(model: Any, text: Windows, lags: int):
    """(params) -> {"lag_norms_LKB"}: the first `lags` + 1 lags, from the zero state at
    the window's beginning. Windows are longer, so that no lag meets that state."""
    import jax
    import numpy as np

    from lm.gradflow.through_time import lag_norms

    def measure(params):
        state = model.initial_state(params, text.inputs_TB.shape[1])
        return lag_norms(model, params, text.inputs_TB, text.targets_TB, state)

    compiled = jax.jit(measure)
    return lambda params: {"lag_norms_LKB": np.asarray(compiled(params))[:, : lags + 1]}

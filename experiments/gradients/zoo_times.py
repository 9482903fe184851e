"""How long a training step of a cell takes beside LSTM's, the two taking turns."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from experiments.applications.language_model.application import (
    APPLICATION,
    prepared_of,
)
from experiments.gradients.runs import prepared
from experiments.gradients.study import Job
from experiments.gradients.zoo_cell import Zoo, rows_in, text_config
from experiments.results.rows import keep_row
from experiments.results.timing import Stepper, interleaved, milliseconds, ratio
from experiments.run.provenance import git_state, hardware
from experiments.train.plan import plan_of
from experiments.train.processes import Interrupted
from lm.train import init_state, make_train_step, numbers_of

BESIDE = "lstm"


def timed(size: Zoo, folder: Path | None, settings: dict[str, Any], job: Job) -> None:
    """Adds step times to the rows of the cells asked for that have none yet, one after
    another.

    Raises:
      Interrupted: after a signal, with the times so far in their rows.
    """
    rows = rows_in(folder, settings)
    left = [cell for cell in size.cells if "step" not in rows[cell]["metrics"]]
    beside = stepper(size, BESIDE) if left else None
    for cell in left:
        if job.stop:
            raise Interrupted
        row = rows[cell]
        sides = {"beside": beside, "own": stepper(size, cell)}
        seconds = interleaved(sides, size.rounds)
        step = {
            "ratio": ratio(seconds["own"], seconds["beside"]),
            "ms": milliseconds(seconds["own"]),
            f"{BESIDE}_ms": milliseconds(seconds["beside"]),
            "commit": (git_state() or {}).get("commit", "unknown")[:12],
            "hardware": hardware(),
        }
        keep_row(row | {"metrics": row["metrics"] | {"step": step}}, folder)
        job.display.note(f"{cell}: a step takes {step['ratio']:.2f} of {BESIDE}'s")


def stepper(size: Zoo, cell: str) -> Stepper:
    """A training step of the cell's language model, as its runs take it."""
    config = text_config(size, cell)
    data = prepared_of(prepared(config.data), config.data)
    planned, numbers = plan_of(config, APPLICATION, data), numbers_of(config)
    problem, optim, key = planned.problem, config.optim, jax.random.key(0)
    state = init_state(problem, optim, numbers, key, config.data.batch)
    step = jax.jit(make_train_step(problem, optim), donate_argnums=0)
    batch = jax.device_put(planned.reading.batch_at(0, 0, 0))
    return Stepper(jax.tree.map(jnp.copy, state), step, batch, key, numbers)

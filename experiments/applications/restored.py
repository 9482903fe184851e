"""What a run has trained, out of its directory."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.tree_util import keystr

from experiments.applications import load
from experiments.applications.application import Restored
from experiments.run.directory import read_checkpoints, read_record
from experiments.run.files import RunError
from experiments.run.record import OLDEST, config_of


def application_of(record: dict[str, Any]) -> Any:
    """The `Application` that a run's config.json names."""
    return load(record.get("application", OLDEST))


def restore_best(run_dir: str | Path) -> Restored:
    """The best checkpoint of a run: the parameters that its evaluation reports.

    Raises:
      RunError: where there is no run, or no sound checkpoint in it.
    """
    directory, record = read_record(run_dir)
    application = application_of(record)
    config = config_of(record, directory, application.config)
    prepared = application.restore(config, directory)
    problem = application.problem(config, prepared)
    shapes, part = shapes_of(problem), best_part(config)
    found = read_checkpoints(run_dir).best({part: shapes})
    if found is None:
        raise RunError(
            f"{run_dir} has no sound checkpoint: train it first, python -m "
            f"experiments.train --run-dir {run_dir} with its config"
        )
    tree, meta = found
    step = meta.get("step", 0)
    _refuse_no_numbers(run_dir, step, tree[part])
    return Restored(config, prepared, problem, tree[part], step)


def shapes_of(problem: Any) -> Any:
    """Shapes and types of a problem's parameters."""
    return jax.eval_shape(lambda key: problem.init(key, None), jax.random.key(0))


def best_part(config: Any) -> str:
    """Which part of a checkpoint is evaluated: the parameters, or their average."""
    return "params" if config.optim.average == "none" else "average"


def _refuse_no_numbers(run_dir: str | Path, step: int, params: Any) -> None:
    leaves = jax.tree.leaves_with_path(params)
    wrong = [path for path, leaf in leaves if not np.isfinite(leaf).all()]
    if wrong:
        raise RunError(
            f"{run_dir}: the weights of its best checkpoint (step {step}) hold nan or "
            f"inf in {', '.join(map(keystr, wrong))}: it can neither score nor write; "
            "train it again, at a smaller optim.learning_rate"
        )

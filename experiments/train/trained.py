"""A trained model out of its run directory, for those who use it."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.tree_util import keystr

from data_pipeline.dataset import prepare
from data_pipeline.types import TokenArray
from experiments.applications.language_model.trained import Trained
from experiments.config import Config
from experiments.run.directory import read_checkpoints, read_record, read_run
from experiments.run.files import RunError
from experiments.run.record import SHOWN, recorded_text, text_of
from lm.models.language_model import build


def load_trained(run_dir: str | Path) -> Trained:
    """The best checkpoint of a run: the parameters that its evaluation reports.

    Raises:
      RunError: where there is no run, or no sound checkpoint in it.
    """
    config, vocabulary = read_run(run_dir, Config)
    model = build(config.model, vocabulary.size)
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    part = "params" if config.optim.average == "none" else "average"
    found = read_checkpoints(run_dir).best({part: shapes})
    if found is None:
        raise RunError(
            f"{run_dir} has no sound checkpoint: train it first, python -m "
            f"experiments.train --run-dir {run_dir} with its config"
        )
    tree, meta = found
    step = meta.get("step", 0)
    _refuse_no_numbers(run_dir, step, tree[part])
    return Trained(config, vocabulary, model, tree[part], step)


def _refuse_no_numbers(run_dir: str | Path, step: int, params: Any) -> None:
    leaves = jax.tree.leaves_with_path(params)
    wrong = [path for path, leaf in leaves if not np.isfinite(leaf).all()]
    if wrong:
        raise RunError(
            f"{run_dir}: the weights of its best checkpoint (step {step}) hold nan or "
            f"inf in {', '.join(map(keystr, wrong))}: it can neither score nor write; "
            "train it again, at a smaller optim.learning_rate"
        )


def split_of_run(run_dir: str | Path, trained: Trained, name: str) -> TokenArray:
    """A split of the corpus that the run was trained on, as it is read today.

    Raises:
      RunError: where that is another text by now.
    """
    dataset = prepare(trained.config.data)
    directory, record = read_record(run_dir)
    then, now = recorded_text(record, directory), text_of(dataset)
    what = ""
    if dataset.vocabulary != trained.vocabulary:
        what = "another vocabulary"
    elif then is not None and then.fingerprint != now.fingerprint:
        was, is_now = then.fingerprint[:SHOWN], now.fingerprint[:SHOWN]
        what = f"the text with fingerprint {is_now}, no longer {was}"
    if what:
        raise RunError(
            f"the corpus {trained.config.data.corpus!r} is not what this run was "
            f"trained on: it gives {what}; put back the text of then, or score a file "
            "with --text"
        )
    return dataset.splits[name]

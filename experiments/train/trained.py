"""A trained model out of its run directory, for those who use it."""

from pathlib import Path
from typing import Any, NamedTuple

import jax

from data_pipeline.tokenizers import TOKENIZERS
from data_pipeline.vocabulary import EOS_ID, Vocabulary
from experiments.config import Config
from experiments.run.directory import read_checkpoints, read_run
from experiments.run.files import RunError
from lm.model import LanguageModel, build


class Trained(NamedTuple):
    """A model with its best parameters and its vocabulary; `step`: which they are."""

    config: Config
    vocabulary: Vocabulary
    model: LanguageModel
    params: Any
    step: int


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
    return Trained(config, vocabulary, model, tree[part], meta.get("step", 0))


def has_marks(config: Config, vocabulary: Vocabulary) -> bool:
    """Whether the model's sentences end with `<eos>`: not so for characters or bytes
    that are read as one stream, where the text stays as it is."""
    return config.data.reading == "sentences" or TOKENIZERS[vocabulary.tokenizer].marks


def start_context(config: Config, vocabulary: Vocabulary) -> list[int]:
    """Ids of the context in which a text begins: `<eos>`, or a newline where a stream
    has no `<eos>` in it."""
    if has_marks(config, vocabulary):
        return [EOS_ID]
    return [vocabulary.index.get("\n", EOS_ID)]

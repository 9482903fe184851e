"""A trained language model out of its run directory, for those who use it."""

from pathlib import Path

from data_pipeline.dataset import prepare
from data_pipeline.types import TokenArray
from experiments.applications.language_model.trained import Trained, trained_of
from experiments.applications.restored import restore_best
from experiments.config import Config
from experiments.run.directory import read_record
from experiments.run.files import RunError
from experiments.run.record import SHOWN, config_of, recorded_text, text_of


def load_trained(run_dir: str | Path) -> Trained:
    """The best checkpoint of a language model's run.

    Raises:
      RunError: where there is no such run, or no sound checkpoint in it.
    """
    directory, record = read_record(run_dir)
    config_of(record, directory, Config)
    return trained_of(restore_best(run_dir))


def split_of_run(run_dir: str | Path, trained: Trained, name: str) -> TokenArray:
    """A split of the corpus that the run was trained on, as it is read today.

    Raises:
      RunError: where that is another text by now.
    """
    return splits_of_run(run_dir, trained)[name]


def splits_of_run(run_dir: str | Path, trained: Trained) -> dict[str, TokenArray]:
    """All of them; see `split_of_run`."""
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
    return dataset.splits

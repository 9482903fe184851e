"""A run of a few numbers without a model, to be damaged."""

import json
from pathlib import Path

import numpy as np

from data_pipeline.vocabulary import Vocabulary
from experiments.config import Config
from experiments.run.checkpoint import _digest_of_record
from experiments.run.directory import open_run
from experiments.run.files import read_json
from experiments.run.record import Text

WORDS = Vocabulary(("<eos>", "<unk>", "a", "b"), (1, 0, 3, 2))
OTHER = Vocabulary(("<eos>", "<unk>", "a", "c"), (1, 0, 3, 2))
TEXT = Text("plain.txt", "f" * 64, WORDS.digest)
TREE = {"x": np.arange(5.0)}


def made(folder: Path, text: Text | None = TEXT, steps=(1, 2, 3), best=1) -> Path:
    """A small run that has ended, without a model."""
    with open_run(folder, Config(), text) as run:
        run.keep_vocabulary(WORDS)
        checkpoints = run.open_checkpoints()
        run.log(step=0, groups=["x"])
        for step in steps:
            run.log(step=step, loss=1 / step)
            run.sample(step, [f"text {step}"])
            tree = {"x": TREE["x"] + step}
            checkpoints.save(step, tree, {"step": step}, best=step == best)
        run.summary({"steps": max(steps)})
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below, by its path."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


def resumed(folder: Path, text: Text | None = TEXT, config: Config | None = None):
    """Where the run goes on."""
    with open_run(folder, config or Config(), text) as run:
        found = run.resume(run.open_checkpoints(), TREE, dict)
    assert found is not None
    return found


def forge(path: Path, change) -> None:
    """Changes a record of a checkpoint, and its digest too."""
    record = read_json(path)
    change(record)
    record["digest"] = _digest_of_record(record)
    path.write_text(json.dumps(record))

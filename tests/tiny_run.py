"""Runs with random weights, as training would have left them, for their users."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from data_pipeline.config import DataConfig
from data_pipeline.dataset import prepare
from experiments.config import Config, TrainConfig
from experiments.run.checkpoint import Checkpoints
from experiments.run.directory import open_run
from experiments.score import __main__ as score
from lm.config import InitConfig, ModelConfig
from lm.models.language_model import build

TEXT = {
    "train": "the cat sat .\na dog ran off\nthe dog sat on a mat .\n" * 6,
    "valid": "a cat ran .\nthe mat sat on the cat\n" * 5,
    "test": "the dog sat .\na zebra ran on .\n" * 5,
}


def make_run(
    folder: Path, reading="streams", tokenizer="words", data=None, **changes
) -> Path:
    """A run directory with random weights, as training would have left it."""
    corpus = folder / "corpus"
    corpus.mkdir(parents=True)
    for name, text in TEXT.items():
        (corpus / f"{name}.txt").write_text(text)
    init = InitConfig(weights="normal", scale=0.7)
    config = Config(
        name="tiny",
        data=DataConfig(
            corpus=str(corpus),
            tokenizer=tokenizer,
            reading=reading,
            batch=2,
            window=4,
            max_length=5,
            **(data or {}),
        ),
        model=ModelConfig(cell="gru", hidden=6, embedding=5, init=init),
        train=TrainConfig(eval_batch=3),
        **changes,
    )
    dataset = prepare(config.data)
    model = build(config.model, dataset.vocabulary.size)
    params = jax.jit(model.init)(jax.random.key(3))
    average = jax.tree.map(lambda p: p / 2, params)
    with open_run(folder / "run", config) as run:
        dataset.vocabulary.save(run.vocabulary)
        tree = {"params": params, "average": average}
        Checkpoints(run.checkpoints).save(7, tree, {"step": 7}, best=True)
    return folder / "run"


def refused(main, argv, capsys):
    with pytest.raises(SystemExit) as leave:
        main([str(word) for word in argv])
    out, err = capsys.readouterr()
    assert leave.value.code == 2 and out == "" and err.count("\n") == 1
    assert err.startswith("error: ")
    return err


def records(argv, capsys):
    """JSON lines of the command, and its total."""
    score.main([*map(str, argv), "--jsonl"])
    out, err = capsys.readouterr()
    return [json.loads(line) for line in out.splitlines()], json.loads(err)["total"]


def alone(trained, ids, start=0):
    """nats of each token of a sentence from the initial state, one step at a time."""
    step = jax.jit(trained.model.step)
    state, token = trained.model.initial_state(trained.params, 1), start
    nats = []
    for target in ids:
        state, logits = step(trained.params, state, jnp.asarray([token]))
        nats.append(-float(jax.nn.log_softmax(logits)[0, target]))
        token = int(target)
    return nats

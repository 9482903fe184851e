"""The training loop: what it writes, how it stops, and that it resumes bit for bit."""

import dataclasses
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from data_pipeline.config import DataConfig
from data_pipeline.dataset import prepare
from experiments.config import Config, TrainConfig, to_dict
from experiments.console.command_line import Options
from experiments.console.interrupts import Interrupt
from experiments.run.checkpoint import Checkpoints
from experiments.run.directory import open_run
from experiments.run.files import read_json
from experiments.run.metrics import read_metrics
from experiments.train.__main__ import main
from experiments.train.display import Silent
from experiments.train.logbook import Diverged
from experiments.train.loop import Trainer, plan
from experiments.train.session import train
from lm.config import DropoutConfig, ModelConfig, OptimConfig

pytestmark = pytest.mark.usefixtures("compile_cache")
STEPS = 7


def tiny(**train) -> Config:
    """Dropout, averaging, a schedule and evaluations inside an epoch of 5 steps."""
    return Config(
        name="tiny",
        data=DataConfig(corpus="grammar", grammar_sentences=60, batch=8, window=16),
        model=ModelConfig(
            hidden=6,
            embedding=5,
            dropout=DropoutConfig(kind="locked", input=0.1, output=0.2, weight=0.1),
        ),
        optim=OptimConfig(average="ema", schedule="step_decay", hold=1),
        train=TrainConfig(**({"epochs": 0, "steps": STEPS, "eval_every": 3} | train)),
    )


def run(config: Config, folder: Path) -> Path:
    """The run's directory, after training it silently."""
    found = train(config, Options(folder), Silent())
    assert found == folder
    return folder


def last_state(folder: Path) -> dict[str, np.ndarray]:
    """Every array of the last checkpoint."""
    checkpoints = Checkpoints(folder / "checkpoints")
    arrays = checkpoints.folder / str(checkpoints.steps()[-1])
    record = json.loads((arrays / "meta.json").read_text())
    return {path: leaf["sha256"] for path, leaf in record["arrays"].items()}


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory) -> Path:
    return run(tiny(samples=2), tmp_path_factory.mktemp("runs") / "unbroken")


def numbers(folder: Path) -> list[dict]:
    return list(read_metrics(folder / "metrics.jsonl"))


@pytest.mark.parametrize("at", range(1, STEPS))
def test_resume_from_every_step_is_bit_exact(unbroken, tmp_path, at):
    run(tiny(steps=at, samples=0), tmp_path / "run")
    run(tiny(samples=0), tmp_path / "run")
    assert last_state(tmp_path / "run") == last_state(unbroken)
    rows = [r for r in numbers(tmp_path / "run") if "loss" in r]
    assert rows == [r for r in numbers(unbroken) if "loss" in r]


def test_interrupt_saves_and_resumes(unbroken, tmp_path):
    config = tiny(samples=0)
    dataset = prepare(config.data)
    stop = Interrupt()

    class StopAfterTwo(Silent):
        def step(self, trainer, step, row):
            if step == 2:
                stop.name = "SIGTERM"

    with open_run(tmp_path / "run", config) as opened:
        dataset.vocabulary.save(opened.vocabulary)
        trainer = Trainer(opened, dataset, plan(config, dataset), StopAfterTwo())
        assert not trainer.train(stop)
        assert trainer.checkpoints.steps() == [3]
    run(config, tmp_path / "run")
    assert last_state(tmp_path / "run") == last_state(unbroken)


def test_kill_resumes(unbroken, tmp_path):
    """SIGKILL at some step; the same command goes on from the last checkpoint."""
    config = tiny(samples=0, checkpoint_every=1)
    script = (
        "import json, sys, time\n"
        "from experiments.console.command_line import Options\n"
        "from experiments.config import Config, from_dict\n"
        "from experiments.train.display import Silent\n"
        "from experiments.train.session import train\n"
        "class Slow(Silent):\n"
        "    def step(self, *_): time.sleep(0.5)\n"
        "config = from_dict(json.loads(sys.argv[1]), Config)\n"
        "train(config, Options(sys.argv[2]), Slow())\n"
    )
    folder = tmp_path / "run"
    words = [sys.executable, "-c", script, json.dumps(to_dict(config)), str(folder)]
    child = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (folder / "checkpoints" / "2").exists():
        assert child.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    run(config, folder)
    assert last_state(folder) == last_state(unbroken)


def test_summary(unbroken):
    summary = read_json(unbroken / "summary.json")
    for split in ("valid", "test"):
        found = summary[split]
        assert math.isclose(
            found["perplexity"], math.exp(found["nats_per_token"]), rel_tol=1e-6
        )
        tokens = prepare(tiny().data).splits[split].ids.size
        assert found["tokens"] == tokens
    assert summary["steps"] == STEPS
    assert summary["optimum"] < summary["test"]["perplexity"]
    assert {"tokens_per_second", "seconds", "parameters", "versions"} <= set(summary)


def test_every_step_is_logged(unbroken):
    rows = [r for r in numbers(unbroken) if "loss" in r]
    assert [r["step"] for r in rows] == list(range(1, STEPS + 1))
    groups = numbers(unbroken)[0]["groups"]
    for row in rows:
        for name in ("gradient_norms", "weight_norms", "update_ratios"):
            assert len(row[name]) == len(groups)
        total = math.sqrt(sum(g * g for g in row["gradient_norms"]))
        assert math.isclose(total, row["gradient_norm"], rel_tol=1e-3)
        assert row["clipped_norm"] <= min(row["gradient_norm"], 5.0) * (1 + 1e-6)


def test_samples_are_written(unbroken):
    text = (unbroken / "samples.txt").read_text()
    assert [line for line in text.splitlines() if line.startswith("=== step")] == [
        "=== step 3 ===",
        "=== step 6 ===",
    ]


def test_divergence_names_step_and_leaf(tmp_path):
    config = tiny(samples=0, checkpoint_every=1)
    optim = OptimConfig(optimizer="sgd", learning_rate=1e38, clip="none")
    config = dataclasses.replace(config, optim=optim)
    with pytest.raises(Diverged, match=r"step \d+: loss .*(softmax|layers|embedding)"):
        train(config, Options(tmp_path / "run"), Silent())
    assert not (tmp_path / "run" / "summary.json").exists()


def test_another_config_is_refused(unbroken, capsys):
    argv = ["--run-dir", str(unbroken), "--data.corpus", "grammar"]
    before = (unbroken / "config.json").read_bytes()
    with pytest.raises(SystemExit) as left:
        main(argv)
    assert left.value.code == 2
    error = capsys.readouterr().err
    assert "another config" in error and error.count("\n") == 1
    assert (unbroken / "config.json").read_bytes() == before


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["--data.corpus", "no_such_file.txt"], "no_such_file.txt"),
        (["--model.cell", "lstn"], "did you mean 'lstm'"),
        (["--data.batch", "100000000", "--data.corpus", "grammar"], "shorter than"),
        (["--model.dropout.input", "0.5", "--model.dropout.kind", "none"], "dropout"),
        (["--optim.truncation", "3"], "dropout"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(argv, told, tmp_path, capsys):
    folder = tmp_path / "run"
    small = ["--data.grammar-sentences", "60", "--run-dir", str(folder)]
    with pytest.raises(SystemExit) as left:
        main([*argv, *small])
    assert left.value.code == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1
    assert not folder.exists()


def test_dry_run_leaves_nothing(tmp_path, capsys):
    argv = ["--dry-run", "--data.corpus", "grammar", "--data.grammar-sentences", "60"]
    main([*argv, "--run-dir", str(tmp_path / "run")])
    assert "parameters" in capsys.readouterr().out
    assert not (tmp_path / "run").exists()

"""Sweeps as real processes: killed, interrupted, resumed, and none counted twice."""

import json
import os
import signal
import subprocess
import sys

import pytest

from experiments.checkpoint import Checkpoints
from experiments.files import ROOT, read_json
from experiments.metrics import read_metrics
from tests.sweeps import Started, table, write_space


def digests(run) -> dict[str, str]:
    """Of every array of the last checkpoint."""
    folder = Checkpoints(run / "checkpoints")
    last = folder.folder / str(folder.steps()[-1])
    arrays = json.loads((last / "meta.json").read_text())["arrays"]
    return {path: leaf["sha256"] for path, leaf in arrays.items()}


def train_alone(run, folder) -> None:
    """The config of a run, trained by itself in a process of its own."""
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from experiments.config import Options\n"
        "from experiments.progress import Silent\n"
        "from experiments.run import read_run\n"
        "from experiments.train import train\n"
        "train(read_run(sys.argv[1])[0], Options(Path(sys.argv[2])), Silent())\n"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT), "NPROC": "1", "JAX_PLATFORMS": "cpu"}
    words = [sys.executable, "-c", script, str(run), str(folder)]
    subprocess.run(words, env=env, check=True, timeout=400, capture_output=True)


@pytest.mark.parametrize("storage", ["sqlite", "journal"])
def test_kill_9_in_the_middle_loses_and_doubles_nothing(tmp_path, storage):
    rates = {"choice": [0.01, 0.1]}
    paced = {"train.steps": 100, "train.eval_every": 50, "train.checkpoint_every": 10}
    space = write_space(tmp_path, **{**paced, "optim.learning_rate": rates})
    options = {"sqlite": [], "journal": ["--storage", f"journal:{tmp_path}/j.log"]}
    cores = str(len(os.sched_getaffinity(0)))
    options[storage] += ["--workers", cores]  # one thread each
    sweep = Started(space, tmp_path / "sweep", *options[storage])
    worker, run = sweep.busy_worker()
    os.kill(worker, signal.SIGKILL)
    said = sweep.wait()
    rows = table(tmp_path / "sweep")
    assert [row["trial"] for row in rows] == [0, 1], said
    assert {row["state"] for row in rows} == {"complete"}
    assert [len(row["runs"]) for row in rows] == [2, 2]
    assert sum(row["deaths"] for row in rows) == 1
    # The killed run went on from a checkpoint, in its own directory, …
    assert len(read_json(run / "config.json")["resumed"]) == 1
    steps = [r["step"] for r in read_metrics(run / "metrics.jsonl") if "loss" in r]
    assert steps == list(range(1, 101))
    # … to the same bits as if nobody had killed anything.
    train_alone(run, tmp_path / "alone")
    assert digests(run) == digests(tmp_path / "alone")


def test_ctrl_c_saves_and_resume_goes_on(tmp_path):
    paced = {"train.steps": 200, "train.eval_every": 100, "train.checkpoint_every": 20}
    rates = {"choice": [0.01, 0.1]}
    space = write_space(tmp_path, **{**paced, "optim.learning_rate": rates, "seeds": 1})
    sweep = Started(space, tmp_path / "sweep", "--workers", "1")
    _, run = sweep.busy_worker()
    sweep.interrupt()
    assert "the same command with --resume goes on" in sweep.wait(code=3)
    assert not (run / "summary.json").exists()
    assert not (tmp_path / "sweep" / "table.json").exists()
    Started(space, tmp_path / "sweep", "--workers", "1", "--resume").wait()
    rows = table(tmp_path / "sweep")
    assert [(row["trial"], row["state"]) for row in rows] == [
        (n, "complete") for n in range(2)
    ]
    assert [row["deaths"] for row in rows] == [0, 0], "being stopped is no death"
    assert len(read_json(run / "config.json")["resumed"]) == 1


def test_diverged_and_broken_trials_are_told_apart(tmp_path):
    """One diverges, one has no data in a worker, one is fine: all are accounted for."""
    space = write_space(
        tmp_path,
        **{
            "seeds": 1,
            "optim.optimizer": "sgd",
            "optim.clip": "none",
            "model.cell": "relu",
            "optim.learning_rate": {"choice": [0.01, 1e30]},
        },
    )
    said = Started(space, tmp_path / "sweep", "--workers", "1").wait()
    fine, diverged = table(tmp_path / "sweep")
    assert (fine["state"], diverged["state"]) == ("complete", "diverged")
    assert "not finite" in diverged["reason"] and "1 diverged" in said
    page = (tmp_path / "sweep" / "sweep.html").read_text()
    assert "diverged" in page and "<svg" in page

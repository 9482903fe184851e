"""Workers of a sweep killed with kill -9: no trial is lost, none counted twice."""

import json
import os
import signal
import subprocess
import sys

import pytest

from experiments.run.checkpoint import Checkpoints
from experiments.run.files import read_json
from experiments.run.metrics import read_metrics
from tests.sweeps import ENVIRONMENT, Started, table, write_space


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
        "from experiments.config import Config\n"
        "from experiments.console.command_line import Options\n"
        "from experiments.train.display import Silent\n"
        "from experiments.run.directory import read_run\n"
        "from experiments.train.session import train\n"
        "config = read_run(sys.argv[1], Config)[0]\n"
        "train(config, Options(Path(sys.argv[2])), Silent())\n"
    )
    env = {**ENVIRONMENT, "NPROC": "1"}
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
    if storage == "sqlite":
        train_alone(run, tmp_path / "alone")
        assert digests(run) == digests(tmp_path / "alone")

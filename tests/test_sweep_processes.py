"""Sweeps as real processes: killed, interrupted, resumed; how trials end."""

import json
import os
import signal
import subprocess
import sys

from experiments.run.checkpoint import Checkpoints
from experiments.run.files import read_json
from experiments.run.metrics import read_metrics
from tests.sweeps import Started, environment, table, write_space

STEPS = 80
PACED = {
    "train.steps": STEPS,
    "train.eval_every": STEPS // 2,
    "train.checkpoint_every": 10,
}


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
        "from experiments.run.directory import read_run\n"
        "from experiments.train.session import train\n"
        "config = read_run(sys.argv[1], Config)[0]\n"
        "train(config, Options(Path(sys.argv[2])), ())\n"
    )
    env = environment(NPROC=str(len(os.sched_getaffinity(0))))
    words = [sys.executable, "-c", script, str(run), str(folder)]
    subprocess.run(words, env=env, check=True, timeout=400, capture_output=True)


def test_a_kill_and_ctrl_c_in_the_middle_lose_and_double_nothing(tmp_path):
    """A worker is killed with -9, the one in its place stopped by Ctrl-C, the sweep
    resumed: no trial is lost, none counted twice, and all goes on from checkpoints."""
    rates = {"choice": [0.01, 0.1]}
    space = write_space(tmp_path, **{**PACED, "optim.learning_rate": rates, "seeds": 2})
    folder = tmp_path / "sweep"
    sweep = Started(space, folder, "--workers", "1")
    worker, killed = sweep.busy_worker()
    os.kill(worker, signal.SIGKILL)
    _, stopped = sweep.busy_worker(not_this=worker)
    sweep.interrupt()
    assert "the same command with --resume goes on" in sweep.wait(code=3)
    assert not (stopped / "summary.json").exists()
    assert not (folder / "table.json").exists()
    said = Started(space, folder, "--workers", "2", "--resume").wait()
    rows = table(folder)
    assert [row["trial"] for row in rows] == [0, 1], said
    assert {row["state"] for row in rows} == {"complete"}
    assert [len(row["runs"]) for row in rows] == [2, 2]
    assert sum(row["deaths"] for row in rows) <= 1, "being stopped is no death"
    # The killed run went on from a checkpoint, in its own directory, …
    assert read_json(killed / "config.json")["resumed"]
    steps = [r["step"] for r in read_metrics(killed / "metrics.jsonl") if "loss" in r]
    assert steps == list(range(1, STEPS + 1))
    # … to the same bits as if nobody had killed anything.
    train_alone(killed, tmp_path / "alone")
    assert digests(killed) == digests(tmp_path / "alone")

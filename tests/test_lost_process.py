"""A process of a group is killed, or asked to stop: all end, and the run goes on."""

import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from experiments.console.command_line import parse
from experiments.launch import main
from experiments.run.checkpoint import Checkpoints
from experiments.run.files import read_json
from experiments.run.metrics import read_metrics
from experiments.train.session import train
from tests.group import TINY, launch

STEPS = 200
PACE = ["--train.eval-every", "1000", "--train.samples", "0", "--gradflow.every", "0"]


def words(folder: Path, every: int) -> list[str]:
    own = ["--train.steps", f"{STEPS}", "--train.checkpoint-every", f"{every}"]
    return [*TINY, *PACE, *own, "--run-dir", str(folder)]


def wait_for(path: Path, child: subprocess.Popen) -> None:
    deadline = time.monotonic() + 200
    while not path.exists():
        assert child.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)


def member(folder: Path, process: int) -> int:
    """The id of the process that trains as this number."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_text()
            except OSError:
                continue
            if f"{folder}" in command and f"--distributed.process={process}" in command:
                return int(entry.name)
    raise AssertionError(f"no process {process}")


@pytest.fixture(scope="module")
def losses(tmp_path_factory, compile_cache) -> np.ndarray:
    """Of each step of the run, by one process that is left alone."""
    folder = tmp_path_factory.mktemp("runs") / "alone"
    train(*parse(words(folder, 1000), ""), ())
    return losses_of(folder)


def losses_of(folder: Path) -> np.ndarray:
    rows = [r for r in read_metrics(folder / "metrics.jsonl") if "loss" in r]
    assert [r["step"] for r in rows] == list(range(1, len(rows) + 1))
    return np.array([r["loss"] for r in rows])


def kill(folder: Path, process: int, child: subprocess.Popen) -> tuple[float, str]:
    """Kills a process after a while; how long the rest took then, and what it said."""
    wait_for(folder / "checkpoints" / "40", child)
    os.kill(member(folder, process), signal.SIGKILL)
    killed = time.monotonic()
    _, error = child.communicate(timeout=300)
    return time.monotonic() - killed, error


def test_the_leader_is_killed_and_a_restart_goes_on(losses, tmp_path, compile_cache):
    folder = tmp_path / "run"
    child = launch(2, words(folder, 20), compile_cache, "--restarts=1")
    _, error = kill(folder, 0, child)
    assert child.returncode == 0, error
    assert "process 0 was ended by SIGKILL" in error and "starting all" in error
    assert len(read_json(folder / "config.json")["resumed"]) == 1
    assert read_json(folder / "summary.json")["steps"] == STEPS
    np.testing.assert_allclose(losses_of(folder), losses, rtol=1e-3)


def test_another_is_killed_and_one_process_goes_on(losses, tmp_path, compile_cache):
    folder = tmp_path / "run"
    child = launch(2, words(folder, 20), compile_cache)
    seconds, error = kill(folder, 1, child)
    assert child.returncode == 137 and "process 1 was ended by SIGKILL" in error
    assert seconds < 60 and not (folder / "summary.json").exists()
    train(*parse(words(folder, 1000), ""), ())
    np.testing.assert_allclose(losses_of(folder), losses, rtol=1e-3)


def test_sigterm_to_one_stops_all_at_the_same_step(losses, tmp_path, compile_cache):
    folder = tmp_path / "run"
    child = launch(2, words(folder, 30), compile_cache)
    wait_for(folder / "checkpoints" / "30", child)
    os.kill(member(folder, 1), signal.SIGTERM)
    out, error = child.communicate(timeout=300)
    assert child.returncode == 3, error
    assert "interrupted (another process) at step" in out
    assert not (folder / "summary.json").exists()
    found = losses_of(folder)
    assert Checkpoints(folder / "checkpoints").steps()[-1] == len(found)
    np.testing.assert_allclose(found, losses[: len(found)], rtol=1e-3)


def test_restarts_need_a_run_to_go_on_with(capsys):
    with pytest.raises(SystemExit) as left:
        main(["--restarts", "1", "--", "--config", "grammar"])
    assert left.value.code == 2 and "--run-dir" in capsys.readouterr().err

"""Runs and sweeps made at commit d61f4e4 go on: resumed, scored, reported.

golden/old/run    grammar, 12 steps; the same command with --train.steps 20 gave SCORES
golden/old/sweep  golden/old/space.json, two trials
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

OLD = Path(__file__).parent / "golden" / "old"
SCORES = {"valid": 4.77015567, "test": 4.77005782}
RUN = (
    "--config grammar --data.grammar-sentences 60 --data.batch 8 --data.window 16 "
    "--model.hidden 6 --model.embedding 5 --model.softmax full --optim.average ema "
    "--optim.schedule constant --model.dropout.kind locked --model.dropout.input 0.1 "
    "--model.dropout.output 0.2 --model.dropout.weight 0.1 --train.epochs 0 "
    "--train.eval-every 5 --train.samples 2 --gradflow.every 5 --gradflow.lanes 4 "
    "--gradflow.lags 10 --name old --train.steps 20"
)


def command(name: str, *words: str) -> str:
    """What a command prints to standard output."""
    done = subprocess.run(
        [sys.executable, "-m", f"experiments.{name}", *words],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def resumed(tmp_path_factory) -> Path:
    """The old run, gone on to step 20."""
    folder = tmp_path_factory.mktemp("old") / "run"
    shutil.copytree(OLD / "run", folder)
    assert "resuming at step 12" in command(
        "train", *RUN.split(), "--run-dir", str(folder)
    )
    return folder


def test_an_old_run_resumes_to_the_same_numbers(resumed):
    summary = json.loads((resumed / "summary.json").read_text())
    for split, nats in SCORES.items():
        assert summary[split]["nats_per_token"] == pytest.approx(nats, rel=1e-6)
    text = (resumed / "metrics.jsonl").read_text()
    rows = [json.loads(row) for row in text.splitlines()]
    assert [row["step"] for row in rows if "loss" in row] == list(range(1, 21))


def test_an_old_run_is_scored_and_reported(resumed):
    told = command("score", "--run", str(resumed), "--split", "test")
    assert "4.770058 nats per token, perplexity 117.9261" in told
    command("report", str(resumed))
    assert (resumed / "report.html").stat().st_size > 10_000


def test_an_old_sweep_is_taken_as_finished(tmp_path):
    shutil.copytree(OLD / "sweep", tmp_path / "sweep")
    told = command(
        "sweep",
        str(OLD / "space.json"),
        "--resume",
        "--sweep-dir",
        str(tmp_path / "sweep"),
        "--workers",
        "1",
    )
    assert "2 trials: 2 complete" in told and "trial 1" in told

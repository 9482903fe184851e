"""Runs and sweeps made at commit d61f4e4 go on: resumed, scored, reported.

golden/old/run    grammar, 12 steps; the same command with --train.steps 20 gave SCORES
golden/old/sweep  golden/old/space.json, two trials
"""

import contextlib
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.applications.memory.config import MemoryConfig
from experiments.report.__main__ import main as report
from experiments.run.files import RunError
from experiments.run.record import config_of, new_record
from experiments.score.__main__ import main as score
from experiments.train.__main__ import main as train
from tests.sweeps import sweep_here

pytestmark = pytest.mark.usefixtures("compile_cache")

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


def told(main: Callable[[list[str]], None], *words: str) -> str:
    """What a command prints to standard output."""
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        main(list(words))
    return shown.getvalue()


@pytest.fixture(scope="module")
def resumed(tmp_path_factory) -> Path:
    """The old run, gone on to step 20."""
    folder = tmp_path_factory.mktemp("old") / "run"
    shutil.copytree(OLD / "run", folder)
    said = told(train, *RUN.split(), "--run-dir", str(folder))
    assert "resuming at step 12" in said
    return folder


def test_an_old_run_resumes_to_the_same_numbers(resumed):
    summary = json.loads((resumed / "summary.json").read_text())
    for split, nats in SCORES.items():
        assert summary[split]["nats_per_token"] == pytest.approx(nats, rel=1e-6)
    text = (resumed / "metrics.jsonl").read_text()
    rows = [json.loads(row) for row in text.splitlines()]
    assert [row["step"] for row in rows if "loss" in row] == list(range(1, 21))


@pytest.mark.filterwarnings("ignore:constrained_layout not applied")
def test_an_old_run_is_scored_and_reported(resumed):
    said = told(score, "--run", str(resumed), "--split", "test")
    assert "4.770058 nats per token, perplexity 117.9261" in said
    told(report, str(resumed), "--no-spectra")
    assert (resumed / "report.html").stat().st_size > 10_000


def test_an_old_sweep_is_taken_as_finished(tmp_path, capsys):
    shutil.copytree(OLD / "sweep", tmp_path / "sweep")
    words = OLD / "space.json", "--resume", "--sweep-dir", tmp_path / "sweep"
    sweep_here(*words, "--workers", 1)
    said = capsys.readouterr().out
    assert "2 trials: 2 complete" in said and "trial 1" in said


def test_a_field_that_is_gone_is_left_out_where_it_said_nothing(tmp_path):
    record = new_record(MemoryConfig(), None)
    record["config"]["data"]["examined_length"] = 0
    assert config_of(record, tmp_path, MemoryConfig) == MemoryConfig()
    record["config"]["data"]["examined_length"] = 9
    with pytest.raises(RunError, match="'data.examined_length' is unknown"):
        config_of(record, tmp_path, MemoryConfig)

"""The training loop: what it writes, how it stops, and that it resumes bit for bit."""

import dataclasses
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data_pipeline.config import DataConfig
from data_pipeline.dataset import prepare
from experiments.config import Config, TrainConfig, from_dict, to_dict
from experiments.console.interrupts import Interrupt
from experiments.run.files import read_json
from experiments.train.__main__ import main
from experiments.train.callback import Callback
from experiments.train.plan import plan
from experiments.train.position import Position
from experiments.train.run_state import RunState
from lm.config import ConfigError, DropoutConfig, ModelConfig, OptimConfig
from lm.optim import ScheduleState
from tests.group import environment
from tests.runs import last_state, outcome_of, rows, state_at, trained

pytestmark = pytest.mark.usefixtures("compile_cache")
STEPS = 7


def tiny(**train) -> Config:
    """Dropout, averaging, a schedule and evaluations inside an epoch of 4 steps."""
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


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory) -> Path:
    """Checkpoints of every step."""
    folder = tmp_path_factory.mktemp("runs") / "unbroken"
    return trained(tiny(samples=2, checkpoint_every=1, keep=STEPS), folder)


def killed(unbroken: Path, folder: Path, at: int) -> Path:
    """The run as a kill right after the checkpoint of step `at` would leave it, at the
    latest: with all that it wrote of later steps."""
    shutil.copytree(unbroken, folder)
    (folder / "summary.json").unlink()
    for later in range(at + 1, STEPS + 1):
        shutil.rmtree(folder / "checkpoints" / str(later))
    return folder


@pytest.mark.parametrize("at", range(1, STEPS))
def test_resume_from_every_step_is_bit_exact(unbroken, tmp_path, at):
    folder = killed(unbroken, tmp_path / "run", at)
    trained(tiny(samples=2), folder)
    assert last_state(folder) == last_state(unbroken)
    assert rows(folder) == rows(unbroken)
    texts = [(run / "samples.txt").read_text() for run in (folder, unbroken)]
    assert texts[0] == texts[1]


@pytest.mark.parametrize("at", range(1, STEPS))
def test_a_run_that_ended_before_goes_on_bit_for_bit(unbroken, tmp_path, at):
    """Its last evaluation leaves no trace."""
    trained(tiny(steps=at, samples=0), tmp_path / "run")
    trained(tiny(samples=0), tmp_path / "run")
    assert last_state(tmp_path / "run") == last_state(unbroken)
    assert rows(tmp_path / "run") == rows(unbroken)


def test_interrupt_saves_and_resumes(unbroken, tmp_path):
    config, stop = tiny(samples=0), Interrupt()

    class StopAfterTwo(Callback):
        def stepped(self, run, step, row):
            if step == 2:
                stop.name = "SIGTERM"

    outcome = outcome_of(config, tmp_path / "run", [StopAfterTwo()], stop)
    assert outcome.how == "interrupted"
    assert outcome.run.checkpoints.steps() == [3]
    trained(config, tmp_path / "run")
    assert last_state(tmp_path / "run") == last_state(unbroken)


def test_a_callback_ends_its_run_which_can_be_gone_on_with(unbroken, tmp_path):
    class EndAtSix(Callback):
        def judged(self, run, row):
            return run.at.step == 6

    outcome = outcome_of(tiny(samples=0), tmp_path / "run", [EndAtSix()])
    assert outcome.how == "ended" and not (tmp_path / "run" / "summary.json").exists()
    trained(tiny(samples=0), tmp_path / "run")
    assert rows(tmp_path / "run") == rows(unbroken)


class Kill(BaseException):
    pass


def test_a_kill_before_the_first_checkpoint_leaves_one_first_row(unbroken, tmp_path):
    class KillAtSave(Callback):
        def saving(self, run):
            raise Kill

    for _ in range(2):
        with pytest.raises(Kill):
            outcome_of(tiny(samples=0), tmp_path / "run", [KillAtSave()])
    trained(tiny(samples=0), tmp_path / "run")
    assert rows(tmp_path / "run") == rows(unbroken)


def test_a_kill_between_sample_and_checkpoint_loses_no_sample(unbroken, tmp_path):
    """Samples come first: one without its checkpoint is dropped and written again."""
    samples = tmp_path / "run" / "samples.txt"

    class KillAtSix(Callback):
        def saving(self, run):
            if run.at.step == 6:
                assert "=== step 6 ===" in samples.read_text()
                raise Kill

    with pytest.raises(Kill):
        outcome_of(tiny(samples=2), tmp_path / "run", [KillAtSix()])
    trained(tiny(samples=2), tmp_path / "run")
    assert samples.read_text() == (unbroken / "samples.txt").read_text()


@pytest.mark.parametrize("size", [2, 3, 64])
def test_fused_steps_are_the_single_steps(unbroken, tmp_path, size):
    """Several steps in one program: the same numbers, and the same rows."""
    trained(tiny(samples=0, fused=size), tmp_path / "run")
    assert state_at(tmp_path / "run", STEPS) == state_at(unbroken, STEPS)
    assert rows(tmp_path / "run") == rows(unbroken)


def test_kill_resumes(unbroken, tmp_path, compile_cache):
    """SIGKILL at some step; the same command goes on from the last checkpoint."""
    config = tiny(samples=0, checkpoint_every=1)
    script = (
        "import json, sys, time\n"
        "from pathlib import Path\n"
        "from experiments.console.command_line import Options\n"
        "from experiments.config import Config, from_dict\n"
        "from experiments.train.callback import Callback\n"
        "from experiments.train.session import train\n"
        "class Slow(Callback):\n"
        "    def stepped(self, *_): time.sleep(0.5)\n"
        "config = from_dict(json.loads(sys.argv[1]), Config)\n"
        "train(config, Options(Path(sys.argv[2])), [Slow()])\n"
    )
    folder = tmp_path / "run"
    words = [sys.executable, "-c", script, json.dumps(to_dict(config)), str(folder)]
    own = environment(compile_cache)
    child = subprocess.Popen(words, stdout=subprocess.DEVNULL, env=own)
    deadline = time.monotonic() + 120
    while not (folder / "checkpoints" / "2").exists():
        assert child.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    trained(config, folder)
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
        assert summary["scores"][split] == {"loss": found["nats_per_token"]}
        assert 0 < summary["unknown_rate"][split] < 0.2
    assert summary["steps"] == STEPS
    assert summary["stopped"] == f"train.steps {STEPS}"
    assert summary["optimum"] < summary["test"]["perplexity"]
    assert {"tokens_per_second", "seconds", "parameters", "versions"} <= set(summary)


def test_every_step_is_logged(unbroken):
    found = rows(unbroken, "loss")
    assert [r["step"] for r in found] == list(range(1, STEPS + 1))
    groups = rows(unbroken)[0]["groups"]
    for row in found:
        for name in ("gradient_norms", "weight_norms", "update_ratios"):
            assert len(row[name]) == len(groups)
        total = math.sqrt(sum(g * g for g in row["gradient_norms"]))
        assert math.isclose(total, row["gradient_norm"], rel_tol=1e-3)
        assert row["clipped_norm"] <= min(row["gradient_norm"], 5.0) * (1 + 1e-6)


def test_samples_are_written(unbroken, tmp_path):
    trained(tiny(samples=2), tmp_path / "run")
    text = (tmp_path / "run" / "samples.txt").read_text()
    assert [line for line in text.splitlines() if line.startswith("=== step")] == [
        "=== step 3 ===",
        "=== step 6 ===",
    ]


def test_divergence_names_step_and_leaf(tmp_path):
    config = tiny(samples=0, checkpoint_every=1)
    optim = OptimConfig(optimizer="sgd", learning_rate=1e38, clip="none")
    outcome = outcome_of(dataclasses.replace(config, optim=optim), tmp_path / "run")
    assert outcome.how == "diverged"
    assert re.search(r"step \d+: .*(softmax|layers|emb)", str(outcome.error))
    assert not (tmp_path / "run" / "summary.json").exists()


def test_a_command_that_diverges_says_so(tmp_path, capsys):
    words = "--data.corpus grammar --data.grammar-sentences 60 --model.hidden 6 "
    words += "--model.softmax full "
    words += "--optim.learning-rate 1e38 --optim.clip none --optim.optimizer sgd "
    words += "--train.samples 0 --gradflow.every 0 --data.batch 8 --data.window 16"
    with pytest.raises(SystemExit) as left:
        main([*words.split(), "--run-dir", str(tmp_path / "run")])
    error = capsys.readouterr().err
    assert left.value.code == 2 and "not finite first in" in error
    assert error.count("\n") == 1


PACES = [(0, 0), (0, 1), (1, 4), (2, 1), (3, 0), (3, 4), (5, 1), (7, 4)]


@pytest.mark.parametrize(("eval_every", "checkpoint_every"), PACES)
def test_counters_move_on_evaluations_alone(tmp_path, eval_every, checkpoint_every):
    """Plateau, patience and best, fed by any pace of evaluations beside epochs of 4
    steps and checkpoints: the decisions are those read off the list of evaluations."""
    config = tiny(
        steps=15,
        eval_every=eval_every,
        checkpoint_every=checkpoint_every,
        samples=0,
        patience=3,
    )
    optim = OptimConfig(
        optimizer="sgd", learning_rate=40.0, schedule="plateau", patience=2, clip="none"
    )
    outcome = outcome_of(dataclasses.replace(config, optim=optim), tmp_path / "run")
    losses = {
        r["step"]: r["valid_nats_per_token"]
        for r in rows(tmp_path / "run", "valid_nats_per_token")
    }
    scale, best, waited, since = 1.0, math.inf, 0, 0
    for row in rows(tmp_path / "run", "loss"):
        assert row["learning_rate"] == pytest.approx(40.0 * scale)
        if row["step"] in losses:
            valid = losses[row["step"]]
            better = valid < best
            waited, since = (0, 0) if better else (waited + 1, since + 1)
            best = min(valid, best)
            if waited >= 2:
                scale, waited = scale / 2, 0
    at = outcome.run.at
    assert (at.best, at.waited, at.schedule.scale) == (
        pytest.approx(best),
        since,
        scale,
    )
    assert since >= 3 or at.step == 15
    assert list(losses) == [
        step for step in range(1, at.step + 1) if step % (eval_every or 4) == 0
    ]


def test_halving_compares_whole_epochs(tmp_path):
    """Whatever the pace of evaluations; each epoch's loss is the mean of its steps."""
    optim = OptimConfig(
        optimizer="sgd", learning_rate=30.0, schedule="halve_on_rise", clip="none"
    )
    config = dataclasses.replace(tiny(steps=20, eval_every=2, samples=0), optim=optim)
    trained(config, tmp_path / "run")
    found, scale, last = rows(tmp_path / "run", "loss"), 1.0, math.inf
    for epoch in range(4):
        own = [row for row in found if row["epoch"] == epoch]
        assert all(row["learning_rate"] == 30.0 * scale for row in own)
        total, count = (
            sum(r["loss"] * r["tokens"] for r in own),
            sum(r["tokens"] for r in own),
        )
        scale, last = (scale / 2 if total / count > last else scale), total / count
    assert scale < 1


@pytest.mark.parametrize(
    ("train", "told"),
    [
        ({"steps": 7, "epochs": 9}, "train.steps 7 in epoch 2 of 9"),
        ({"steps": 0, "epochs": 1}, "train.epochs 1"),
        (
            {"steps": 7, "epochs": 9, "minutes": 1e-9},
            "train.minutes 1e-09 in epoch 1 of 9",
        ),
    ],
)
def test_a_bound_that_ends_a_run_says_so(tmp_path, train, told):
    config = tiny(samples=0, **train)
    outcome = outcome_of(config, tmp_path / "run")
    assert outcome.summary is not None and outcome.summary["stopped"] == told
    assert read_json(tmp_path / "run" / "summary.json")["stopped"] == told


def test_a_run_cut_short_tells_its_schedule(tmp_path):
    config = tiny(samples=0, epochs=500, steps=0, minutes=1e-9)
    optim = dataclasses.replace(config.optim, schedule="cosine")
    outcome = outcome_of(dataclasses.replace(config, optim=optim), tmp_path / "run")
    assert outcome.summary is not None
    assert outcome.summary["stopped"].endswith("0% along its cosine schedule")


def test_patience_says_so():
    run = RunState.__new__(RunState)
    run.config, run.steps = tiny(patience=2, epochs=4), 20
    run.at = Position(step=12, epoch=2, index=2, waited=2)
    assert run.stopped() == "train.patience 2 in epoch 3 of 4"


def test_a_schedule_that_would_never_warm_up_is_refused():
    """Where epochs bound the run, its steps are known only with its text."""
    config = tiny(steps=0, epochs=2, samples=0)
    optim = OptimConfig(warmup=9)
    with pytest.raises(ConfigError, match="optim.warmup is 9 but .* make 8"):
        plan(dataclasses.replace(config, optim=optim))
    plan(dataclasses.replace(config, optim=OptimConfig(warmup=8)))


def test_a_position_of_before_is_read(unbroken):
    meta = read_json(unbroken / "checkpoints" / "3" / "meta.json")["meta"]
    assert {"nats", "count", "best", "valid", "waited", "schedule"} <= meta.keys()
    assert len(meta["schedule"]) == len(ScheduleState())
    assert from_dict(to_dict(tiny()), Config) == tiny()


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
        (
            ["--data.corpus", "grammar", "--model.hidden", "1000000000"],
            "model.hidden is 1000000000: must lie in [1, 131072]",
        ),
        (
            ["--data.corpus", "grammar", "--model.hidden", "100000", "--dry-run"],
            "this machine has",
        ),
        (["--train.samples", "10000000"], "train.samples is 10000000"),
        (["--train.eval-batch", "1000000000"], "train.eval_batch is 1000000000"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(argv, told, tmp_path, capsys):
    folder = tmp_path / "run"
    small = ["--data.grammar-sentences", "60", "--run-dir", str(folder)]
    small += ["--model.embedding", "8", "--model.softmax", "full"]
    if "--data.corpus" not in argv:
        small += ["--data.corpus", "grammar"]
    with pytest.raises(SystemExit) as left:
        main([*argv, *small])
    assert left.value.code == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1
    assert not folder.exists()


def test_dry_run_leaves_nothing(tmp_path, capsys):
    argv = ["--dry-run", "--data.corpus", "grammar", "--data.grammar-sentences", "60"]
    argv += ["--model.hidden", "6", "--model.softmax", "full"]
    main([*argv, "--run-dir", str(tmp_path / "run")])
    assert "parameters" in capsys.readouterr().out
    assert not (tmp_path / "run").exists()

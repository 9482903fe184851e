"""The population engine of a sweep: the same trials, trained together."""

import math
from pathlib import Path

import optuna
import pytest

from experiments.config import Config
from experiments.console.command_line import Options
from experiments.run.directory import read_run
from experiments.run.files import read_json
from experiments.sweep import session
from experiments.sweep.engines import TrialRuns
from experiments.sweep.open_study import Interrupted, Lost
from experiments.train.run_state import Diverged
from experiments.train.session import train
from tests.sweeps import sweep_here, table, write_space

pytestmark = pytest.mark.usefixtures("compile_cache")


def test_trials_trained_together_come_to_what_they_do_alone(tmp_path, capsys):
    space, folder = write_space(tmp_path, seeds=2), tmp_path / "sweep"
    sweep_here(space, "--sweep-dir", folder, "--engine", "population")
    assert "engine population (as asked), 1 workers" in capsys.readouterr().out
    rows = table(folder)
    assert [(r["trial"], r["state"], len(r["runs"])) for r in rows] == [
        (0, "complete", 2),
        (1, "complete", 2),
    ]
    together = folder / "trials" / "0001" / "seed-1"
    train(read_run(together, Config)[0], Options(tmp_path / "alone"), ())
    alone = read_json(tmp_path / "alone" / "summary.json")["valid"]["nats_per_token"]
    assert rows[1]["runs"][1]["valid"] == pytest.approx(alone, rel=1e-5)
    assert list(rows[0]["heard"]) == ["2", "4"]


class Told:
    """A reporter that raises what it is told to."""

    def __init__(self, error=None):
        self.error, self.heard = error, []

    def report(self, step, value):
        self.heard.append((step, value))
        if self.error is not None:
            raise self.error


def hand(reporter) -> TrialRuns:
    """A trial in work, without a study."""
    made = object.__new__(TrialRuns)
    made.reporter, made.ended = reporter, None
    made.folders = [Path("no"), Path("such")]
    return made


def test_what_ends_one_seed_ends_the_trial():
    for error in (optuna.TrialPruned(), Lost()):
        one = hand(Told(error))
        assert one.report(1, 10, 5.0), "only the first seed is judged"
        assert not one.report(0, 10, 5.0)
        assert not one.report(1, 20, 4.0)
        assert one.came() is error
        assert len(one.reporter.heard) == 1


def test_a_seed_that_diverges_and_one_that_was_stopped():
    diverged = hand(Told())
    assert diverged.report(0, 10, 5.0) and not diverged.report(1, 12, math.nan)
    assert isinstance(diverged.came(), Diverged)
    assert isinstance(hand(Told()).came(), Interrupted)


def test_the_engine_is_chosen_by_what_jax_computes_on(monkeypatch):
    assert session.choose_engine("population") == ("population", "as asked")
    monkeypatch.setattr(session, "backend_name", lambda: "gpu")
    assert session.choose_engine("auto") == ("population", "auto, on gpu")
    monkeypatch.setattr(session, "backend_name", lambda: "cpu")
    assert session.choose_engine("auto") == ("processes", "auto, on cpu")

"""The runs of a study: interrupted, killed, diverged; and the command line."""

import dataclasses
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from experiments.console.interrupts import interrupts
from experiments.gradients import STUDIES as QUESTIONS
from experiments.gradients import __main__ as command
from experiments.gradients import clipping, load, runs
from experiments.gradients.display import StudyDisplay, quiet
from experiments.gradients.study import Job
from experiments.run.files import RunError, read_json
from experiments.train.processes import Interrupted
from tests.test_studies import STUDIES, TINY, check, corpus

__all__ = ["corpus"]  # a fixture
pytestmark = pytest.mark.usefixtures("compile_cache")


def test_cells_from_end_to_end(tmp_path, monkeypatch):
    check("cells", tmp_path, monkeypatch)


def job(display=None, **others):
    """Of the tasks that are given beside it."""
    return Job(Path(), 1, display or quiet(), **others)


def tiny_tasks(directory, steps=8):
    configs = clipping.configs(dataclasses.replace(TINY["clipping"], steps=steps))
    two = {name: configs[name] for name in ("none", "norm 1")}
    return runs.tasks_of(two, [0], directory)


class StopAfter(StudyDisplay):
    """Sends this process SIGINT after so many steps."""

    left = 5

    def advance(self, what, pieces):
        self.left -= pieces
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGINT)


def test_an_interrupted_study_goes_on_to_the_same_numbers(tmp_path):
    whole = runs.train_all(tiny_tasks(tmp_path / "a"), runs.nothing, job())
    tasks = tiny_tasks(tmp_path / "b")
    with pytest.raises(Interrupted), interrupts() as stop:
        runs.train_all(tasks, runs.nothing, job(StopAfter("", live=False), stop=stop))
    assert not (tasks[0].directory / "summary.json").exists()
    assert not tasks[1].directory.exists()
    again = runs.train_all(tasks, runs.nothing, job())
    assert [r.nats for r in again] == [r.nats for r in whole]
    curves = [clipping.curves_of(r.directory)["loss"] for r in (whole[0], again[0])]
    assert curves[0] == curves[1] and len(curves[0]) == 8


def test_a_run_that_diverges_is_a_result(tmp_path):
    size = dataclasses.replace(TINY["clipping"], learning_rate=1e30, steps=8)
    tasks = runs.tasks_of({"none": clipping.configs(size)["none"]}, [0], tmp_path)
    (run,) = runs.train_all(tasks, runs.nothing, job())
    assert run.diverged and run.nats == math.inf
    row = clipping.row_of(size, "none", [run])
    assert row["diverged"] == 1 and row["nats"] == math.inf
    assert "all 1 seeds diverged" in clipping.outcome(row)


SCRIPT = """
import sys
from pathlib import Path
from experiments.gradients import common, runs
from tests.test_study_runs import job, tiny_tasks

if __name__ == "__main__":
    common.CORPUS = sys.argv[1]
    tasks = tiny_tasks(Path(sys.argv[2]), steps=1200)
    runs.train_all(tasks, runs.nothing, job(processes=2))
"""


def test_after_a_kill_of_a_study_in_processes_the_same_command_goes_on(
    corpus, tmp_path
):
    """SIGKILL of the parent; the workers end with it and free their runs."""
    place, script = tmp_path / "runs", tmp_path / "study.py"
    script.write_text(SCRIPT)
    here = {**os.environ, "PYTHONPATH": os.getcwd(), "JAX_PLATFORMS": "cpu"}
    here["JAX_COMPILATION_CACHE_DIR"] = str(tmp_path / "compiled")
    words = [sys.executable, str(script), str(corpus), str(place)]
    child = subprocess.Popen(words, env=here)
    while not list(place.glob("*/measures/300.npz")) and child.poll() is None:
        time.sleep(0.05)
    child.kill()
    child.wait()
    tasks = tiny_tasks(place, steps=1200)
    assert not all(runs.finished(task) for task in tasks)
    for _ in range(100):
        try:
            found = runs.train_all(tasks, runs.nothing, job())
            break
        except RunError as error:
            assert "in use" in str(error)
            time.sleep(0.1)
    assert [sorted(run.measures) for run in found] == [[0, 300, 600, 900, 1200]] * 2
    resumed = [read_json(t.directory / "config.json")["resumed"] for t in tasks]
    assert any(resumed)


def test_the_command_line(tmp_path, monkeypatch, capsys):
    study = STUDIES["clipping"]._replace(sizes={"small": TINY["clipping"]})
    monkeypatch.setattr(command, "load", {"clipping": study}.get)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "set, so that it stays")
    words = ["clipping", "--small", "--dir", str(tmp_path)]
    command.main(words)
    out = capsys.readouterr().out
    headline = read_json(tmp_path / "rows.json")["headline"]
    page = out[out.index("Without clipping") :]
    assert " ".join(page.split()).startswith(" ".join(headline.split()))
    assert read_json(tmp_path / "seconds.json")["seconds"] > 0
    monkeypatch.setattr("experiments.results.rows.RESULTS", tmp_path / "results")
    command.main([*words, "--record"])
    row = read_json(tmp_path / "results" / "study_clipping.json")
    assert row["command"].endswith("experiments.gradients clipping --size small")
    assert row["metrics"]["headline"] == headline
    assert (tmp_path / "results" / "study_clipping.png").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["cels"], "study 'cels' is unknown; did you mean 'cells'?"),
        (["cells", "--size", "ful"], "did you mean 'full'?"),
    ],
)
def test_unknown_names_are_answered_with_the_nearest(words, told, capsys):
    with pytest.raises(SystemExit) as ended:
        command.main(words)
    error = capsys.readouterr().err
    assert ended.value.code == 2 and told in error and error.count("\n") == 1


def test_help_says_what_is_asked_and_expected(capsys):
    command.main([])
    listed = capsys.readouterr().out
    for name, asks in QUESTIONS.items():
        study = load(name)
        assert name in listed and asks in listed and asks.endswith("?")
        assert study.expects.endswith(".") and "small" in study.sizes
    with pytest.raises(SystemExit):
        command.main(["depth", "--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert "Expected: Before training" in told and "--full" in told
    assert "small cell=lstm layers=(1, 2, 4, 8)" in told
    assert "full layers=(1, 2, 3, 4, 5, 6, 7, 8) hidden=128" in told

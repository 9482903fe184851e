"""The runs of a study: interrupted, killed, diverged; and the command line."""

import dataclasses
import functools
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from experiments.console.interrupts import interrupts
from experiments.gradients import STUDIES as QUESTIONS
from experiments.gradients import __main__ as command
from experiments.gradients import clipping, load, measures, runs
from experiments.gradients.directory import claim, spent
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

    def __init__(self):
        super().__init__("", quiet().line)
        self.left = 5

    def advance(self, what, pieces):
        self.left -= pieces
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGINT)


def test_an_interrupted_study_goes_on_to_the_same_numbers(tmp_path):
    whole = runs.train_all(tiny_tasks(tmp_path / "a"), measures.nothing, job())
    tasks = tiny_tasks(tmp_path / "b")
    with pytest.raises(Interrupted), interrupts() as stop:
        runs.train_all(tasks, measures.nothing, job(StopAfter(), stop=stop))
    assert not (tasks[0].directory / "summary.json").exists()
    assert not tasks[1].directory.exists()
    again = runs.train_all(tasks, measures.nothing, job())
    assert [r.nats for r in again] == [r.nats for r in whole]
    curves = [clipping.curves_of(r.directory)["loss"] for r in (whole[0], again[0])]
    assert curves[0] == curves[1] and len(curves[0]) == 8


def test_a_run_that_diverges_is_a_result(tmp_path):
    size = dataclasses.replace(TINY["clipping"], learning_rate=1e30, steps=8)
    tasks = runs.tasks_of({"none": clipping.configs(size)["none"]}, [0], tmp_path)
    (run,) = runs.train_all(tasks, measures.nothing, job())
    assert run.diverged and run.nats == math.inf
    row = clipping.row_of(size, "none", [run])
    assert row["diverged"] == 1 and row["nats"] == math.inf
    assert clipping.outcome(row) == "1 of 1 seeds diverged"


def three(config, model, dataset, *, factor=3):
    """`make_measure` of a constant."""
    return lambda params: {"number": np.asarray(factor)}


def test_measures_belong_to_what_made_them(tmp_path, monkeypatch):
    """Another setting, other code or a hole in them, and they are not taken."""
    (task,) = tiny_tasks(tmp_path)[:1]

    def numbers(make):
        (run,) = runs.train_all([task], make, job())
        return {step: int(found["number"]) for step, found in run.measures.items()}

    assert numbers(three) == dict.fromkeys((0, 2, 4, 6, 8), 3)
    assert numbers(three) == dict.fromkeys((0, 2, 4, 6, 8), 3)
    with pytest.raises(RunError, match="measured otherwise: settings was {}, is {'fac"):
        numbers(functools.partial(three, factor=4))
    with pytest.raises(RunError, match="measured otherwise: measure was .*three"):
        numbers(measures.nothing)
    with monkeypatch.context() as patch:
        patch.setattr(measures, "code_of", lambda files: "0" * 64)
        with pytest.raises(RunError, match="measured otherwise: code was"):
            numbers(three)
    assert numbers(three)[8] == 3, "nothing was changed by these"
    last = task.directory / "measures" / "8.npz"
    whole = last.read_bytes()
    last.write_bytes(whole[:60] + bytes([whole[60] ^ 255]) + whole[61:])
    with pytest.raises(RunError, match="8.npz"):
        numbers(three)
    last.unlink()
    with pytest.raises(RunError, match="8.npz is not there"):
        numbers(three)


def test_code_is_known_by_what_it_does(tmp_path):
    first, second = tmp_path / "a.py", tmp_path / "b.py"
    first.write_text(
        '"""One."""\n\ndef f(x):\n    """Two."""\n    return x + 1  # three\n'
    )
    second.write_text("def f(x):\n    return x + 1\n")
    assert measures.code_of((first,)) == measures.code_of((second,))
    second.write_text("def f(x):\n    return x + 2\n")
    third = tmp_path / "c.py"
    third.write_text(second.read_text())
    assert measures.code_of((first,)) != measures.code_of((third,))


def test_a_finished_run_is_one_of_its_text(corpus, tmp_path):
    """As many words, other words: the same vocabulary size, and not the same run."""
    (task,) = tiny_tasks(tmp_path)[:1]
    runs.train_all([task], measures.nothing, job())
    before = corpus.read_bytes()
    try:
        corpus.write_bytes(before.translate(bytes.maketrans(b"abcde", b"bcdea")))
        runs.prepared.cache_clear()
        with pytest.raises(RunError, match="another text"):
            runs.train_all([task], measures.nothing, job())
    finally:
        corpus.write_bytes(before)
        runs.prepared.cache_clear()
    (run,) = runs.train_all([task], measures.nothing, job())
    assert run.summary["steps"] == 8


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"figure.png": "mine"}, "holds what no study made (figure.png)"),
        ({"rows.json": "[1]"}, "holds what no study made (rows.json)"),
        ({"seconds.json": '{"mine": 1}'}, "holds what no study made (seconds.json)"),
        ({"thesis.tex": ""}, "holds what no study made (thesis.tex)"),
        ({"study.json": "{}"}, "is not a study's mark"),
        (
            {"study.json": '{"format": "study-1", "study": "depth"}'},
            "the study 'depth'",
        ),
    ],
)
def test_a_study_writes_into_a_directory_of_its_own(files, told, tmp_path, capsys):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(SystemExit) as ended:
        command.main(["clipping", "--dir", str(tmp_path)])
    error = capsys.readouterr().err
    assert ended.value.code == 2 and told in error and error.count("\n") == 1
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == files


def test_two_that_begin_at_once_share_a_directory(tmp_path):
    """One finds what the other is about to rename to its mark."""
    (tmp_path / ".study.json.4711").write_text("{")
    claim(tmp_path, "zoo")
    claim(tmp_path, "zoo")


def test_a_directory_of_before_there_were_marks_goes_on(tmp_path):
    (tmp_path / "none-seed0").mkdir()
    (tmp_path / "none-seed0" / "config.json").write_text("{}")
    (tmp_path / "compiled").mkdir()
    (tmp_path / "rows.json").write_text('{"headline": "", "rows": []}')
    (tmp_path / "seconds.json").write_text('{"seconds": 1.5}')
    (tmp_path / "figure.png").write_text("")
    claim(tmp_path, "clipping")
    assert read_json(tmp_path / "study.json")["study"] == "clipping"
    claim(tmp_path, "clipping")
    assert spent(tmp_path, 1) == 2.5


SCRIPT = """
import sys
from pathlib import Path
from experiments.gradients import common, measures, runs
from tests.test_study_runs import job, tiny_tasks

if __name__ == "__main__":
    common.CORPUS = sys.argv[1]
    tasks = tiny_tasks(Path(sys.argv[2]), steps=1200)
    runs.train_all(tasks, measures.nothing, job(processes=2))
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
    made = measures.made_by(measures.nothing)
    assert not all(runs.finished(task, made) for task in tasks)
    for _ in range(100):
        try:
            found = runs.train_all(tasks, measures.nothing, job())
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
        (["cells", "--sead", "2"], "did you mean --seeds?"),
        (["cells", "--seeds", "0"], "--seeds is 0: must be a number of at least 1"),
        (["cells", "--small", "--full"], "--small and --full exclude each other"),
    ],
)
def test_unknown_names_are_answered_with_the_nearest(words, told, capsys):
    with pytest.raises(SystemExit) as ended:
        command.main(words)
    error = capsys.readouterr().err
    assert ended.value.code == 2 and told in error and error.count("\n") == 1


def test_help_says_what_is_asked_and_expected(capsys):
    with pytest.raises(SystemExit) as ended:
        command.main([])
    assert not ended.value.code
    listed = " ".join(capsys.readouterr().out.split())
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

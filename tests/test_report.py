"""The report: of finished, unfinished, damaged and strange runs, one page that opens
anywhere."""

import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from data_pipeline.config import DataConfig
from experiments import figures
from experiments.config import Config, GradflowConfig, TrainConfig
from experiments.console.command_line import Options
from experiments.figures.page import (
    Cell,
    figure_block,
    page,
    pre_block,
    section,
    table_block,
)
from experiments.report import build
from experiments.report.__main__ import main
from experiments.report.build import OVERLAID, PER_RUN, report
from experiments.report.reading import (
    GROUP_ROWS,
    Thinned,
    read_metrics_file,
    read_run_files,
    short_names,
)
from experiments.run.files import RunError
from experiments.run.probes import FILE, read_probe
from experiments.train.session import train
from lm.config import ModelConfig, OptimConfig
from tests.source import ROOT

SECTIONS = [
    "Summary",
    "Learning curves",
    "How far back the gradient reaches",
    *PER_RUN,
    "Samples",
    "Config",
    "Origin",
]
VOID = {"meta", "br", "img", "hr", "link", "input"}


class Strict(HTMLParser):
    """Checks that tags are closed in order; keeps what the page refers to."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.headings: list[str] = []
        self.ids: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "action"):
                self.links.append(value)
            if name == "id":
                self.ids.append(value)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


def checked(path) -> str:
    """The page's text, after looking at what every page must be."""
    text = path.read_text(encoding="utf-8")
    found = Strict(text)
    for link in found.links:
        assert link.startswith(("#", "data:image/")), link
    assert not re.search(r"https?://|@import|<script|<link", text)
    assert set(re.findall(r"url\(([^)]{6})", text)) <= {"#" + i[:5] for i in found.ids}
    for heading in SECTIONS:
        assert heading in found.headings
    for rule in ("prefers-color-scheme: dark", "@media print", "viewport"):
        assert rule in text
    return text


def tiny(layers: int = 1, **train) -> Config:
    return Config(
        name="tiny",
        data=DataConfig(corpus="grammar", grammar_sentences=60, batch=8, window=16),
        model=ModelConfig(layers=layers, hidden=6, embedding=5),
        optim=OptimConfig(clip_at=0.5),
        train=TrainConfig(**({"epochs": 0, "steps": 5, "samples": 2} | train)),
        gradflow=GradflowConfig(every=2, lanes=3, lags=8),
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Two layers and one: (directory, directory)."""
    found = []
    for layers in (2, 1):
        folder = tmp_path_factory.mktemp("runs") / f"layers{layers}"
        config = tiny(layers, eval_every=2, sample_every=2)
        assert train(config, Options(folder), ()) == folder
        found.append(folder)
    return found


@pytest.fixture
def quick(monkeypatch):
    """The page alone: its figures are drawn, but not written to files too."""
    monkeypatch.setattr(figures, "save", lambda figure, *paths: None)


@pytest.fixture
def copied(finished, tmp_path, quick):
    """A copy of a finished run, to damage."""
    return shutil.copytree(finished[0], tmp_path / "run")


def test_a_run_in_its_own_directory(finished, capsys):
    main([str(finished[0])])
    assert "report.html" in capsys.readouterr().out
    text = checked(finished[0] / "report.html")
    drawn = {p.name for p in (finished[0] / "figures").iterdir()}
    for name in ("learning_curves", "lag_profiles", "heat_map_0", "jacobians"):
        assert {f"{name}.png", f"{name}.svg"} <= drawn
    assert text.count("<svg") == len([n for n in drawn if n.endswith(".png")])
    assert "finished" in text and "Not shown" not in text


def test_a_page_lies_where_all_its_runs_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one, other = Path("runs/a"), tmp_path / "runs" / "b"
    assert build.folder_of_all([one]) == one
    assert build.folder_of_all([one, Path("runs/b")]) == Path("runs")
    assert build.folder_of_all([one, other]) == Path("runs")


def test_runs_of_different_depth_are_compared(finished, tmp_path, quick):
    out = report(finished, tmp_path / "both.html", spectra=False)
    text = checked(out)
    assert "layers2: gradient of one loss, layer 1" in text
    assert '<td class="strong"><strong>1</strong></td>' in text
    assert "2 runs on grammar" in text and "(best)" in text
    assert re.search(r'<th scope="row">model.layers</th>', text)


def test_a_run_killed_midway(copied):
    """No summary, a torn line, probes cut off, checkpoints gone."""
    (copied / "summary.json").unlink()
    (copied / "samples.txt").unlink()
    shutil.rmtree(copied / "checkpoints")
    (copied / FILE).write_bytes((copied / FILE).read_bytes()[:300])
    with open(copied / "metrics.jsonl", "a") as file:
        file.write('{"step": 6, "lo')
    text = checked(report([copied], None))
    for told in (
        "unfinished, at step 5",
        "1 lines of metrics.jsonl could not be read",
        "gradflow.npz cannot be read",
        "no sound checkpoint",
        "No run wrote samples",
        "It has not ended",
    ):
        assert told in text


def test_a_run_that_has_only_just_begun(copied):
    for path in list(copied.iterdir()):
        if path.name != "config.json":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    text = checked(report([copied], None))
    assert "No step was logged yet" in text and "unfinished, at step 0" in text


def test_numbers_that_are_not_finite(copied):
    probe = read_probe(copied)
    for column in probe.values():
        if column.dtype.kind == "f":
            column[:] = np.nan
    np.savez(copied / FILE, allow_pickle=False, **probe)
    lines = (copied / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    for row in rows:
        row.update({k: "nan" for k in ("loss", "gradient_norm") if k in row})
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (copied / "metrics.jsonl").write_text(text)
    checked(report([copied], None, spectra=False))


def test_a_loss_that_is_not_in_nats_has_no_perplexity(copied):
    """Scores have their own names, in curves and in the table."""
    lines = (copied / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    for row in rows:
        if "train_nats_per_token" in row:
            row["valid_loss"] = row.pop("valid_nats_per_token")
            row["train_loss"] = row.pop("train_nats_per_token")
            row["valid_accuracy"] = 1 / row.pop("valid_perplexity")
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (copied / "metrics.jsonl").write_text(text)
    summary = json.loads((copied / "summary.json").read_text())
    found = {"loss": 1.25, "accuracy": 0.5, "count": 7}
    summary |= {"valid": found, "test": found}
    (copied / "summary.json").write_text(json.dumps(summary))
    run = read_run_files(copied, "x")
    assert not run.nats and set(run.metrics.valid) == {
        *("step", "train", "loss", "accuracy")
    }
    text = checked(report([copied], None, spectra=False))
    assert "valid loss" in text and "test loss" in text and "1.25" in text
    assert "accuracy, validation" in text
    assert "perplexity" not in text and "nats per token" not in text


def test_texts_are_escaped(copied):
    (copied / "samples.txt").write_text("=== step 5 ===\n<script>alert('&')</script>\n")
    config = json.loads((copied / "config.json").read_text())
    config["command"] = "python <img src=x onerror=y>"
    (copied / "config.json").write_text(json.dumps(config))
    strange = copied.parent / "<b>$_^{&"
    copied.rename(strange)
    text = checked(report([strange], copied.parent / "out.html", spectra=False))
    assert "&lt;script&gt;alert" in text and "<script" not in text
    assert "<img src=x" not in text and "<b>$" not in text


def test_many_runs_are_all_in_the_tables(copied, tmp_path):
    runs = [copied]
    for number in range(OVERLAID):
        runs.append(tmp_path / f"copy{number}")
        runs[-1].mkdir()
        shutil.copy(copied / "config.json", runs[-1])
    text = checked(report(runs, tmp_path / "many.html", spectra=False))
    assert all(run.name in text for run in runs)
    assert f"first {OVERLAID} runs of {OVERLAID + 1}" in text


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nowhere"], "nowhere holds no run: it is not there"),
        (["{tmp}"], "holds no run: it has no config.json"),
        (["{run}", "{run}"], "given twice"),
        (["{run}", "--out", "{tmp}"], "is a directory"),
        (["{run}", "--out", "{run}/config.json/x.html"], "cannot be written"),
    ],
)
def test_bad_input_is_one_line(words, told, finished, tmp_path, capsys):
    words = [w.format(tmp=tmp_path, run=finished[0]) for w in words]
    with pytest.raises(SystemExit) as left:
        main(words)
    error = capsys.readouterr().err
    assert left.value.code == 2 and told in error and error.count("\n") == 1


def test_help_needs_neither_jax_nor_matplotlib():
    code = (
        "import sys; from experiments.report.__main__ import main\n"
        "try: main(['--help'])\n"
        "finally: assert not {'jax', 'matplotlib'} & set(sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert shown.returncode == 0 and "--no-spectra" in shown.stdout, shown.stderr


def test_long_metrics_are_thinned_and_keep_every_loss(tmp_path):
    path, count = tmp_path / "metrics.jsonl", 5_000
    row = dict.fromkeys(
        ("gradient_norms", "weight_norms", "update_ratios"), [1.0, "inf"]
    )
    row |= {"gradient_norm": 1.0, "clipped_norm": 1.0, "learning_rate": 0.1}
    with open(path, "w") as file:
        file.write('{"step": 0, "groups": ["a", "b"]}\nnot json\n[]\n')
        for step in range(1, count + 1):
            file.write(json.dumps({"step": step, "loss": step / 2, **row}) + "\n")
    found = read_metrics_file(path)
    assert found.steps["loss"].tolist() == [s / 2 for s in range(1, count + 1)]
    assert GROUP_ROWS <= len(found.at) < 2 * GROUP_ROWS
    assert len(set(np.diff(found.at))) == 1
    assert found.norms["weight_norms"].shape == (len(found.at), 2)
    assert found.broken == 2


def test_thinned_keeps_evenly_spaced_rows():
    for count in (0, 1, 7, 8, 100, 1001):
        kept = Thinned(4)
        for number in range(count):
            kept.add(number)
        assert len(kept.rows) <= 8 and kept.rows[:1] == list(range(count))[:1]
        assert len(set(np.diff(kept.rows))) <= 1


def test_short_names_differ(tmp_path):
    paths = [tmp_path / "a" / "run", tmp_path / "b" / "run"]
    assert short_names(paths) == ["a/run", "b/run"]
    assert short_names(paths[:1]) == ["run"]
    with pytest.raises(RunError, match="twice"):
        short_names([paths[0], tmp_path / "a" / "." / "run"])


def test_reading_tells_what_is_missing(finished, tmp_path):
    assert read_run_files(finished[0], "x").notes == []
    with pytest.raises(RunError, match="holds no run"):
        read_run_files(tmp_path, "x")


def test_pieces_of_a_page():
    drawn = figure_block(figures.lag_profiles({"a": np.ones(3)}, "t"))
    assert "currentColor" in drawn and "learnt from" in drawn and "<?xml" not in drawn
    table = table_block(["a", "b"], [["x", Cell(1.5, True, "best")]], "told")
    assert '<td class="number strong"><strong>1.5</strong>' in table
    text = page("T <", [section("One & two", drawn, table, pre_block("\x1b[0m"))])
    Strict(text)
    assert "T &lt;" in text and "\x1b" not in text and 'id="one-two"' in text


def test_what_was_trained_is_told_by_the_application(finished):
    """The report itself knows no cell and no model."""
    run = read_run_files(finished[0], "x")
    model = run.config.model
    assert run.model == f"{model.layers}-layer {model.cell}, {model.hidden} units"
    for path in (ROOT / "experiments" / "report").glob("*.py"):
        assert "config.model" not in path.read_text(), path

"""What was lost in reading a text is told by all that use it, with counts."""

from dataclasses import replace

import pytest

from data_pipeline.config import DataConfig
from experiments import ngram
from experiments.applications.language_model.application import told_of_softmax
from experiments.config import Config, TrainConfig
from experiments.console.command_line import Options
from experiments.gradients import measures, runs
from experiments.gradients.display import quiet
from experiments.gradients.study import Job
from experiments.run.files import read_json
from experiments.run.metrics import read_metrics
from experiments.train import session
from experiments.train.dry_run import dry_run
from experiments.train.plan import plan
from lm.config import ModelConfig

pytestmark = pytest.mark.usefixtures("compile_cache")


@pytest.fixture(scope="module")
def lossy(tmp_path_factory) -> Config:
    """Its text has Windows' line ends, a bad byte, a repetition and rare words."""
    folder = tmp_path_factory.mktemp("text") / "lossy"
    folder.mkdir()
    for name, rows in (("train", 40), ("valid", 8), ("test", 8)):
        lines = [f"{name} the cat saw the dog number {n}" for n in range(rows)]
        (folder / f"{name}.txt").write_text("\r\n".join(lines) + "\r\n")
    with open(folder / "train.txt", "ab") as file:
        file.write(b"caf\xe9\r\n")
    data = DataConfig(
        corpus=str(folder), errors="replace", min_count=2, batch=2, window=4
    )
    train = TrainConfig(epochs=0, steps=2, eval_every=2, samples=0)
    return Config(data=data, model=ModelConfig(hidden=4, embedding=4), train=train)


def lacking(lines: str) -> list[str]:
    """What is not told in these lines."""
    parts = ("57 line ends of CR LF", "replaced by U+FFFD", "unknown words: train")
    return [part for part in parts if part not in lines]


def test_a_run_tells_what_was_lost(lossy, tmp_path, capsys):
    session.train(lossy, Options(tmp_path / "run"), ())
    assert not lacking(capsys.readouterr().out)
    summary = read_json(tmp_path / "run" / "summary.json")
    assert len(lacking("\n".join(summary["notes"]))) == 1
    assert 0 < summary["unknown_rate"]["train"] < 1
    dry_run(lossy)
    assert not lacking(capsys.readouterr().out)


def test_sentences_read_in_pieces_are_told_with_counts(lossy, tmp_path, capsys):
    data = replace(lossy.data, reading="sentences", max_length=7)
    session.train(replace(lossy, data=data), Options(tmp_path / "run"), ())
    told = "40 of 41 sentences of train have more than data.max_length 7 tokens"
    assert told in capsys.readouterr().out
    assert told in "\n".join(read_json(tmp_path / "run" / "summary.json")["notes"])


def test_a_study_tells_it_once(lossy, tmp_path):
    display = quiet()
    noted = []
    display.note = noted.append
    job = Job(tmp_path, 1, display)
    for name in ("a", "b"):
        tasks = runs.tasks_of({name: replace(lossy, name=name)}, [0, 1], tmp_path)
        runs.train_all(tasks, measures.nothing, job)
    assert not lacking("\n".join(noted)) and len(noted) == len(set(noted))


def test_the_baseline_tells_it(tmp_path, capsys):
    (tmp_path / "a.txt").write_bytes(b"one line\r\n" * 40)
    ngram.main(["--corpus", str(tmp_path / "a.txt"), "--order", "1"])
    shown = capsys.readouterr().out
    assert "40 line ends of CR LF" in shown and "1-gram" in shown


def test_a_softmax_in_blocks_is_told():
    streams = DataConfig(batch=20, window=35)
    assert told_of_softmax(streams, 10_000) == ()
    (line,) = told_of_softmax(streams, 250_000)
    assert "700 tokens of a step × 250,000 words" in line
    assert "67,108,864 logits: made 1,280 words at a time" in line
    sentences = DataConfig(reading="sentences", batch=700, max_length=10)
    assert "7,000 tokens" in told_of_softmax(sentences, 10_000)[0]


def test_the_loop_of_linear_cells_is_told_and_kept(lossy, tmp_path, capsys):
    config = replace(lossy, model=ModelConfig("min_gru", 2, hidden=4, embedding=4))
    run = session.train(config, Options(tmp_path / "run"), ())
    said = "loop over time: 0, 1 step by step, as measured for cpu"
    assert run is not None and said in capsys.readouterr().out
    first = next(read_metrics(run / "metrics.jsonl"))
    assert first["loops"] == {"0": "sequential", "1": "sequential"}
    zoneout = replace(config.model.dropout, zoneout=0.1)
    model = replace(config.model, cell="lru", dropout=zoneout)
    assert set(plan(replace(config, model=model)).loops.values()) == {"scanned"}
    assert plan(lossy).loops == {}

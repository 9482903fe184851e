"""Result rows, written of runs and read back, and the command that writes them."""

import json

import pytest

from experiments.records import main
from experiments.results import rows

RECORD = {
    "command": "python -m experiments.train --config grammar --run-dir 'runs/a b'",
    "git": {"commit": "0123456789abcdef", "changed": False},
    "hardware": {"cores": 2, "devices": ["cpu"]},
    "versions": {"jax": "0.0"},
    "resumed": [{}],
}
SUMMARY = {"test": {"perplexity": 8.5}, "steps": 7, "seconds": 3.5, "corpus": "gone"}


@pytest.fixture
def results(monkeypatch, tmp_path):
    monkeypatch.setattr(rows, "RESULTS", tmp_path / "results")
    return tmp_path / "results"


@pytest.fixture
def run(tmp_path):
    """A finished run's directory, as far as a row needs it."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(RECORD))
    (folder / "summary.json").write_text(json.dumps(SUMMARY))
    return folder


def test_a_row_of_a_run(run, results, capsys):
    main([str(run), "mine"])
    assert capsys.readouterr().out == "results/mine.json written\n"
    assert rows.rows() == {
        "mine": {
            "name": "mine",
            "command": "python -m experiments.train --config grammar",
            "commit": "0123456789ab",
            "hardware": RECORD["hardware"],
            "versions": {"jax": "0.0"},
            "seconds": 3.5,
            "metrics": {"test": {"perplexity": 8.5}, "steps": 7},
            "resumed": 1,
        }
    }
    assert rows.machine(rows.rows()["mine"]) == "2 cores"


def test_each_tour_keeps_files_of_its_own(run, results):
    """A recorded run does not overwrite the picture of another."""
    for name, told in (("one", b"1"), ("two", b"2")):
        (run / "tour.txt").write_bytes(told)
        (run / "reach.png").write_bytes(told)
        main([str(run), name])
    found = {path.name: path.read_bytes() for path in results.glob("*.[tp]*")}
    assert found == {"one.txt": b"1", "one.png": b"1", "two.txt": b"2", "two.png": b"2"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "give RUN and NAME, or --readme alone"),
        (["run"], "give RUN and NAME, or --readme alone"),
        (["run", "--readme"], "give RUN and NAME, or --readme alone"),
        (["run", "../up"], "the row's name is '../up': must be of letters"),
        (["run", "x", "--baselin", "3"], "did you mean --baseline?"),
        (["nowhere", "x"], "nowhere"),
    ],
)
def test_bad_input_is_one_line(words, told, capsys, results):
    with pytest.raises(SystemExit) as left:
        main(words)
    error = capsys.readouterr().err
    assert left.value.code == 2 and told in error and error.count("\n") == 1
    assert not results.exists()


def test_a_portable_command():
    words = "sweep x --storage=a --sweep-dir b --resume --seeds 3".split()
    without = ("--storage", "--sweep-dir")
    assert rows.portable(words, without, ("--resume",)) == "sweep x --seeds 3"


def test_values_as_one_would_type_them():
    values = (True, (), ("a", 1), 0.25, 1 / 3, "", 7)
    told = ["yes", "–", "a, 1", "0.25", "0.333", "–", "7"]
    assert [rows.shown(value, 3) for value in values] == told

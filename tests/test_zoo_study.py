"""The zoo's rows, table and figure; which cells learn parity; runs to their end."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.gradients import __main__ as command
from experiments.gradients import parity, trials, widths, zoo, zoo_cell
from experiments.gradients.common import whole_norms
from experiments.gradients.display import quiet
from experiments.gradients.study import Job
from experiments.gradients.zoo_cell import settings_of, work_of
from experiments.readme import many_runs
from experiments.results import rows as results
from experiments.run.files import RunError, plain, read_json
from lm.cells import CELLS
from lm.cells.papers import PAPERS, family_of
from lm.config import ModelConfig
from lm.types import Array
from tests.test_studies import corpus

__all__ = ["corpus"]  # a fixture
pytestmark = pytest.mark.usefixtures("compile_cache")
SMALL = zoo.SIZES["small"]
SIZE = dataclasses.replace(
    SMALL, memory=dataclasses.replace(SMALL.memory, lengths=(5,)), cells=("lstm",)
)


def refused(*_):
    raise AssertionError("what was done is done again")


class Counting:
    """A display that adds up what it is told."""

    def __init__(self):
        self.total = self.done = 0.0

    def begin(self, total):
        self.total = total

    def advance(self, what, pieces):
        self.done += pieces

    def note(self, text):
        self.text = text


def test_a_row_of_a_cell_is_made_once_and_timed_later(tmp_path, monkeypatch):
    monkeypatch.setattr(trials, "LOOK", 50)
    monkeypatch.setattr(trials, "EXAM", 50)
    display = Counting()
    job = Job(tmp_path, 1, display)
    result = zoo.run(SIZE, job)
    assert display.done == display.total == work_of(SIZE, 1) == 4 + 20
    (row,) = result.rows
    assert row["cell"] == "lstm" and row["text"]["perplexity"] > 1
    assert len(row["text"]["horizon"]) == 2, "before and after training"
    assert row["memory"]["adding"]["lengths"] == [5] and "step" not in row
    assert result.headline.startswith("Of 1 cells lstm predicts best")
    assert result.table.body[0][3] == "–"
    file = tmp_path / "zoo_lstm.json"
    assert read_json(file)["command"].endswith("zoo --cells lstm")
    monkeypatch.setattr(zoo, "measured", refused)
    (same,) = zoo.run(SIZE, job).rows
    assert same == row
    timed = zoo.run(dataclasses.replace(SIZE, times=True), job)
    (now,) = timed.rows
    assert 0.1 < now["step"]["ratio"] < 10 and now["step"]["ms"]["median"] > 0
    assert {**now, "step": None} == {**row, "step": None}
    assert timed.table.body[0][3].endswith("×")
    with pytest.raises(RunError, match="zoo_lstm.json was measured with other"):
        zoo.run(dataclasses.replace(SIZE, budget=300), job)


def test_without_rows_the_command_says_what_to_give(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(results, "RESULTS", tmp_path / "results")
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "set, so that it stays")
    for words, told in (
        (["zoo"], "no cell has a row yet: give --cells NAME,NAME or --cells all"),
        (["zoo", "--cells", "gri"], "--cells 'gri' is unknown; did you mean 'gru'?"),
        (["depth", "--cells", "gru"], "--cells is no option of the study depth"),
        (["parity", "--times"], "--times is no option of the study parity"),
    ):
        with pytest.raises(SystemExit) as ended:
            command.main([*words, "--dir", str(tmp_path / words[0])])
        error = capsys.readouterr().err
        assert ended.value.code == 2 and told in error and error.count("\n") == 1


def made(cell, perplexity, copied=0, ratio=None, half=0.1):
    """A row as `measured` writes it."""
    text = {
        "hidden": 8,
        "parameters": 1234,
        "learning_rate": 0.02,
        "diverged": 0,
        "perplexity": perplexity,
        "perplexity_half": half,
        "horizon": [[3, 2, 4], [9, 8, 9]],
        "lags": 9,
    }
    found = {"hidden": 4, "lengths": [10, 30], "solved": [3, 0], "reach": copied}
    row = {"cell": cell, "text": text, "memory": {"copy_memory": found}}
    return row if ratio is None else row | {"step": {"ratio": ratio}}


ROWS = [
    made("lstm", 5.0, ratio=1.0),
    made("mut1", 4.9, ratio=2.0),
    made("tanh", 6.0, 10, ratio=0.5),
    made("min_gru", 6.5, 10, ratio=0.7, half="nan"),
]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ([], "0 beat LSTM beyond both intervals; the longest copying, T 10, is by "
         "tanh and min_gru: half as expected."),
        ([made("exprnn", 5.5, 30)], "is by exprnn: as expected."),
        ([made("gru", 4.7, 30)], "1 beat LSTM beyond both intervals; the longest "
         "copying, T 30, is by gru: unexpected."),
    ],
)  # fmt: skip
def test_the_sentence_of_the_zoo_is_read_off_the_rows(more, said):
    told = zoo.headline([*ROWS, *more])
    assert told.endswith(said) and len(told.split()) <= 30
    if not more:
        assert told.startswith("Of 4 cells mut1 predicts best (perplexity 4.9; LSTM 5)")


def test_a_cell_that_diverged_is_told_and_comes_last():
    lost = {**made("relu", 1.0), "text": {"hidden": 8, "failed": "diverged"}}
    body = zoo.table([lost, *ROWS]).body
    assert [line[0] for line in body] == ["mut1", "lstm", "tanh", "min_gru", "relu"]
    assert body[-1][5] == "diverged" and len(body[-1]) == len(body[0])
    assert body[2][-3:] == ("3 [2, 4]", "over 9 [8, 9]", "10")
    assert [r["cell"] for r in zoo.undominated(ROWS)] == ["tanh", "lstm", "mut1"]
    names = {text.get_text() for text in zoo.figure_of([lost, *ROWS]).axes[0].texts}
    assert names == {"tanh", "lstm", "mut1"}
    assert zoo.doublings([0.3, 4.1]) == [0.25, 0.5, 1, 2, 4, 8]
    assert zoo.doublings([1.0]) == [1, 2]


def test_a_yardstick_is_asked_of_text_alone(tmp_path):
    """It stands in the table by name, and in no comparison of cells."""
    text = dataclasses.replace(SIZE.text, parameters=3_000)
    size = dataclasses.replace(SIZE, text=text, cells=("transformer",))
    (row,) = zoo.run(size, Job(tmp_path, 1, Counting())).rows
    assert row["memory"] == {} and row["text"]["hidden"] % zoo_cell.HEADS == 0
    assert abs(row["text"]["parameters"] / 3_000 - 1) < 0.3, "in steps of four units"
    assert zoo.headline([row]) == "No cell has a row yet."
    assert zoo.headline([*ROWS, row]) == zoo.headline(ROWS)
    best = made("transformer", 1.0, ratio=0.1)
    del best["memory"]["copy_memory"]
    assert zoo.headline([*ROWS, best]) == zoo.headline(ROWS)
    assert zoo.table([*ROWS, best]).body[0][0] == "transformer (yardstick)"
    axes = zoo.figure_of([*ROWS, best]).axes[0]
    assert "transformer" in {text.get_text() for text in axes.texts}
    line = max(axes.lines, key=lambda line: len(line.get_xdata()))
    assert list(line.get_xdata()) == [0.5, 1.0, 2.0], "tanh, lstm, mut1"


def test_readmes_are_made_of_the_rows_that_there_are():
    row = {"command": "", "seconds": 90.0, "hardware": {"cores": 2}}
    found = {f"zoo_{made['cell']}": row | {"metrics": made} for made in ROWS}
    text = many_runs.zoo(found)
    assert text.count("\n") == 2 + len(ROWS) and text.startswith("| cell | H |")
    assert "zoo`, 6 min on 2 cores." in many_runs.studies(found)
    assert many_runs.zoo({}) == "" == many_runs.studies({})


def test_every_cell_has_a_family_and_a_width_in_whole_heads():
    assert {family_of(cell) for cell in CELLS} == set(PAPERS)
    model = ModelConfig("rg_lru", embedding=8)
    found = widths.with_parameters(model, 30, 5_000, zoo_cell.HEADS).hidden

    def off(hidden):
        width = dataclasses.replace(model, hidden=hidden)
        return abs(widths.parameters_of(width, 30) - 5_000)

    assert found == min(range(4, 100, 4), key=off)


def test_a_matrix_memory_is_no_wider_than_its_state_allows():
    size = zoo.SIZES["full"]
    assert zoo_cell.numbers_held("lstm", 48) == 96
    wide = zoo_cell.hidden_of(size, "hgrn2", "adding")
    assert wide == 128 and zoo_cell.numbers_held("hgrn2", wide) == zoo_cell.STATE
    assert zoo_cell.hidden_of(size, "min_gru", "adding") == 1428


def test_settings_of_a_row_are_what_its_numbers_follow_from():
    settings = settings_of(SIZE, 2)
    others = {"cells": (), "times": True, "recorded": True, "rounds": 1}
    assert settings == settings_of(dataclasses.replace(SIZE, **others), 2)
    assert settings != settings_of(SIZE, 3)
    assert plain(settings) == settings


def test_norms_of_a_state_are_over_all_fields_of_any_rank():
    rng = np.random.default_rng(0)
    state = {"h": rng.normal(size=(3, 2, 4)), "c": rng.normal(size=(3, 2, 2, 5, 3))}
    flat = np.concatenate([v.reshape(3, 2, -1) for v in state.values()], -1)
    found: Array = jax.jit(whole_norms)(jax.tree.map(jnp.asarray, state))
    np.testing.assert_allclose(found, np.linalg.norm(flat, axis=-1), rtol=1e-5)


# --- parity ------------------------------------------------------------------------

TINY = parity.Parity(
    cells=("tanh",),
    length=4,
    asked=6,
    seeds=1,
    steps=10,
    check=10,
    hidden=4,
    batch=4,
    layers=1,
    examined=40,
)


def test_a_tiny_study_of_parity(tmp_path, monkeypatch):
    job = Job(tmp_path, 1, quiet())
    result = parity.run(TINY, job)
    (share,) = result.rows[0]["right"]
    assert 0 < share < 1 and result.rows[0]["able"] == 0
    config = read_json(tmp_path / "tanh-seed0" / "config.json")["config"]
    assert config["data"]["lengths"] == [4, 4] and config["data"]["longer"] == [6, 6]
    monkeypatch.setattr("experiments.gradients.concluded.train_to_end", refused)
    assert parity.run(TINY, job).rows == result.rows
    with pytest.raises(RunError, match="another config.*learning_rate"):
        parity.run(dataclasses.replace(TINY, learning_rate=0.1), job)


def test_a_run_that_diverged_answers_nothing(tmp_path):
    wild = dataclasses.replace(TINY, learning_rate=1e38)
    result = parity.run(wild, Job(tmp_path, 1, quiet()))
    assert result.rows[0]["right"] == [0.0]
    assert "diverged" in read_json(tmp_path / "tanh-seed0" / "summary.json")


@pytest.mark.parametrize(
    ("right", "verdict"),
    [((0.95, 0.5), "as expected"), ((0.95, 0.95), "unexpected")],
)
def test_the_sentence_of_parity_is_read_off_the_rows(right, verdict):
    cells = ("tanh", "min_gru")
    rows = [
        parity.row_of(parity.Parity(), cell, [share] * 2)
        for cell, share in zip(cells, right, strict=True)
    ]
    said = parity.headline(rows)
    able = 2 * (right[1] > 0.9)
    assert said.endswith(f"tanh 2/2, min_gru {able}/2; {verdict}.")
    assert len(said.split()) + 2 * 6 <= 30
    assert parity.table(rows).body[0][1] == "yes"
    assert parity.figure_of(rows).axes[0].get_ylabel() == "sequences answered rightly"

"""Claims of papers, each with its study: who copies over long times."""

import dataclasses
import math

import numpy as np
import pytest

from experiments.gradients import copying
from experiments.gradients.display import quiet
from experiments.gradients.study import Job
from experiments.run.files import RunError, read_json

pytestmark = pytest.mark.usefixtures("compile_cache")

# --- copying -----------------------------------------------------------------------

TINY = copying.Copying(
    cells=("scornn", "tanh"),
    lengths=(3,),
    seeds=1,
    steps=6,
    check=3,
    rates=(0.001, 0.01),
    pilots=3,
    hidden=4,
    batch=4,
    examined=20,
)
FLOOR = 10 * math.log(8) / 120


def refused(*_):
    raise AssertionError("what was done is done again")


def test_a_tiny_study_of_copying(tmp_path, monkeypatch):
    job = Job(tmp_path, 1, quiet())
    result = copying.run(TINY, job)
    assert [row["variant"] for row in result.rows] == ["scornn", "tanh"]
    (row, _), (line, _) = result.rows, result.table.body
    assert row["floor"] == pytest.approx(10 * math.log(8) / 23)
    assert len(row["loss"]) == 1 and row["loss"][0] > row["floor"], "six updates"
    assert row["curves"][0]["updates"] == [3, 6] and row["below"] == row["solved"] == 0
    assert len(line) == len(result.table.head)
    assert row["learning_rate"] in TINY.rates
    name = f"scornn-T3-rate{row['learning_rate']:g}-seed0"
    config = read_json(tmp_path / name / "config.json")["config"]
    assert config["data"]["task"] == "copy_memory" and config["data"]["length"] == 3
    monkeypatch.setattr("experiments.gradients.concluded.train_to_end", refused)
    assert copying.run(TINY, job).rows == result.rows
    with pytest.raises(RunError, match="another config.*hidden"):
        copying.run(dataclasses.replace(TINY, hidden=6), job)


def test_the_rate_of_the_best_pilot_is_taken(tmp_path, monkeypatch):
    losses = {"scornn": (0.3, 0.2), "tanh": (math.nan, 0.5)}

    def concluded(runs, job):
        assert all(run.directory.parent.name == "pilots" for run in runs)
        found = []
        for run in runs:
            config = run.config
            at = TINY.rates.index(config.optim.learning_rate)
            loss = losses[config.model.cell][at]
            told = {"scores": {"valid": {"loss": loss}}}
            found.append({"diverged": "nan"} if math.isnan(loss) else told)
        return found

    monkeypatch.setattr(copying, "conclude_all", concluded)
    found = copying.tuned(TINY, Job(tmp_path, 1, quiet()))
    assert found == [("scornn", 3, 0.01), ("tanh", 3, 0.01)]


def found(cell, ratios, right=0.0, length=100):
    """A row of runs whose losses are these shares of the floor."""
    floor = copying.TASK.floor(length)
    scores = [{"loss": ratio * floor, "solved": right} for ratio in ratios]
    curves = [{"updates": [1, 2], "losses": [9.0, r * floor]} for r in ratios]
    summaries = [{"scores": {"test": score}} for score in scores]
    return copying.row_of(copying.Variant(cell, length, 0.01), summaries, curves)


def test_below_is_below_what_no_memory_can_have():
    row = found("scornn", [0.5, 0.91, 1.0], right=1.0)
    assert row["floor"] == pytest.approx(FLOOR)
    assert row["below"] == 1 and row["solved"] == 3
    assert row["until_below"] == [2, None, None]
    at, nothing = copying.Variant("tanh", 100, 0.01), {"updates": [], "losses": []}
    lost = copying.row_of(at, [{"diverged": "nan"}], [nothing])
    assert lost["diverged"] == 1 and lost["below"] == 0 and lost["loss"] == []
    assert copying.table([lost]).body[0][5:] == ("diverged", "–")
    copying.figure_of([row, lost])


@pytest.mark.parametrize(
    ("tanh", "longer", "said"),
    [
        (1.0, 0.3, "scornn 200, tanh none; as expected."),
        (0.5, 1.0, "scornn 100, tanh 100; unexpected."),
    ],
)
def test_the_sentence_of_copying_is_read_off_the_rows(tanh, longer, said):
    rows = [
        found("scornn", [0.1, 0.2, 1.0]),
        found("scornn", [longer] * 3, length=200),
        found("tanh", [tanh] * 3),
    ]
    told = copying.headline(rows)
    assert told == f"Copy memory falls below its floor up to T: {said}"
    cells = len(copying.SIZES["medium"].cells)
    assert len(told.split()) + 2 * (cells - 2) <= 30


def test_curves_of_seeds_that_ended_early_keep_their_last_loss():
    row = found("scornn", [0.1, 0.2])
    row["curves"][0] = {"updates": [1], "losses": [row["floor"]]}
    *_, median = copying.figure_of([row]).axes[0].lines[:3]
    np.testing.assert_allclose(median.get_ydata()[-1], (1 + 0.2) / 2, rtol=1e-6)

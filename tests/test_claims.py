"""Claims of papers: who copies over long times, and what rows say of others."""

import dataclasses
import math

import numpy as np
import pytest
from scipy.stats import ttest_ind

from experiments.gradients import copying, odyssey, parity
from experiments.gradients.display import quiet
from experiments.gradients.study import Job
from experiments.readme import claims
from experiments.results.intervals import Mean, difference, mean
from experiments.run.files import RunError, read_json
from lm.cells.papers import PAPERS, family_of

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
    last = np.asarray(median.get_ydata(), float)[-1]
    assert last == pytest.approx((1 + 0.2) / 2)


# --- what is read off rows ---------------------------------------------------------


def zoo_row(cell, perplexity, half=0.1, seeds=3):
    """As much of a zoo's row as the claims read."""
    text = {"perplexity": perplexity, "perplexity_half": half, "seeds": seeds}
    if perplexity is None:
        text = {"failed": "diverged"}
    return {"metrics": {"cell": cell, "text": text}}


def zoo_rows(**perplexities):
    given = {"lstm_peephole": 5.0, "lstm": 5.1} | perplexities
    return {f"zoo_{cell}": zoo_row(cell, p) for cell, p in given.items()}


def test_the_difference_of_two_means_is_welchs():
    """Beside SciPy's test of the same samples."""
    a, b = [5.0, 5.2, 5.1], [4.0, 4.8, 4.5, 4.4]
    found = difference(mean(a), mean(b), (3, 4))
    interval = ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    assert found.value == pytest.approx(np.mean(a) - np.mean(b))
    assert found.value - found.half == pytest.approx(interval.low)
    assert found.value + found.half == pytest.approx(interval.high)
    assert math.isnan(difference(mean(a), Mean(4.0, math.nan), (3, 1)).half)
    assert difference(Mean(2.0, 0.0), Mean(1.5, 0.0), (3, 3)) == (0.5, 0.0)


def test_greffs_variants_are_the_registered_ones():
    (paper,) = [p for p in PAPERS[family_of("lstm_nfg")] if "lstm_nfg" in p.cells]
    assert {odyssey.VANILLA, *odyssey.CHANGED} == {*paper.cells, odyssey.PLAIN}


@pytest.mark.parametrize(
    ("worst", "winner", "verdicts"),
    [
        ({"lstm_nfg": 9.0, "lstm_noaf": 8.0}, 4.95, ["yes", "yes"]),
        ({"lstm_nfg": None, "lstm_noaf": 8.0}, 4.5, ["no", "yes"]),
        ({"lstm_nfg": 9.0, "lstm_noaf": math.inf}, 5.05, ["yes", "yes"]),
        ({"lstm_nfg": 5.2, "lstm_noaf": 8.0, "lstm_nig": 7.0}, 4.95, ["yes", "no"]),
        ({"lstm_nfg": 5.05, "lstm_noaf": 8.0}, 4.95, ["yes", "no"]),
    ],
)
def test_greffs_claims_are_read_off_the_rows(worst, winner, verdicts):
    """Intervals are 0.09 wide: 4.95 is within that of the vanilla's 5, and not within
    that of the plain cell's 5.1."""
    text = claims.claims(zoo_rows(**worst, lstm_cifg=winner))
    lines = [line.split(" | ") for line in text.splitlines()[2:]]
    assert [lines[n][3] for n in (0, 2)] == verdicts
    plain = "yes" if winner > 5 else "no"
    assert lines[1][0].startswith("| nor than the plain one") and lines[1][3] == plain
    count = len(worst) + 2
    judged = count - sum(p in (None, math.inf) for p in worst.values())
    assert lines[0][2].startswith(f"{verdicts[0] == 'no':d} of {judged} have")
    rows = zoo_rows(**worst, lstm_cifg=winner).values()
    table = odyssey.table([row["metrics"] for row in rows])
    assert table.body[0][0] == "lstm_cifg" and len(table.body) == count
    by_cell = {line[0]: line for line in table.body}
    assert by_cell["lstm"][3].startswith("+0.1 ± ") and by_cell["lstm"][4] == "–"


def test_without_rows_nothing_is_claimed():
    assert claims.claims({}) == claims.variants({}) == ""
    assert claims.variants({"zoo_lstm": zoo_row("lstm", 5.0)}) == ""
    only = {"zoo_lstm_peephole": zoo_row("lstm_peephole", 5.0)}
    assert claims.claims(only) == "" and claims.variants(only).count("\n") == 2


def study_rows(name, rows):
    row = {"command": f"python -m experiments.gradients {name}"}
    return {f"study_{name}": row | {"metrics": {"rows": rows}}}


def claimed(rows):
    """[(what was found, whether it holds), …]"""
    lines = [line.split(" | ") for line in claims.claims(rows).splitlines()[2:]]
    return [(line[2], line[3] == "yes") for line in lines]


@pytest.mark.parametrize(("plain", "fails"), [(9.0, True), (6.1, False), (5.0, False)])
def test_the_claim_about_depth(plain, fails):
    def stack(layers, residual, perplexity):
        told = {"perplexity": perplexity, "perplexity_half": 0.1, "seeds": 3}
        return {"layers": layers, "residual": residual, **told}

    rows = [stack(1, False, 6.0), stack(8, False, plain), stack(8, True, 6.05)]
    ((told, holds),) = claimed(study_rows("depth", rows))
    assert holds is fails and f"8 layers: perplexity {plain:g} ± 0.1 without" in told
    assert "3 seeds" in told


def test_the_claims_about_parity_and_copying():
    rows = [
        parity.row_of(parity.Parity(), cell, shares)
        for cell, shares in (("min_gru", [0.5, 0.6]), ("lstm", [1.0, 0.99]))
    ]
    (cannot, can) = claimed(study_rows("parity", rows))
    assert cannot == (cannot[0], True) and "min_gru 0 of 2 [0.00, 0.66]" in cannot[0]
    assert can == (can[0], True) and "lstm 2 of 2 [0.34, 1.00]" in can[0]
    rows = [found("scornn", [0.1, 0.2]), found("lstm", [1.0, 1.0])]
    (kept,) = claimed(study_rows("copying", rows))
    assert kept[1] and "scornn 2 of 2" in kept[0] and "lstm 0 of 2" in kept[0]
    assert kept[0].endswith("scornn 0.15 at T = 100, lstm 1 at T = 100")
    rows = [found("lstm_chrono", [1.0, 1.0]), found("lstm", [1.0, 1.0])]
    assert not claimed(study_rows("copying", rows))[0][1]
    short = found("scornn", [0.1], length=20), found("lstm", [1.0], length=20)
    assert claimed(study_rows("copying", short)) == []

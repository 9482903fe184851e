"""What a sweep found: means over seeds, tables, figures, the page; and the pruner."""

import csv
import io
import math
from typing import NamedTuple

import numpy as np
import optuna
import pytest
from optuna.trial import Trial, TrialState

from experiments.figures import sweeps as figures
from experiments.figures.style import reading_of
from experiments.results.intervals import mean
from experiments.sweep import directory, drawing, results, rows, trials
from experiments.sweep.open_study import Lost, OpenStudy, Reporter
from experiments.sweep.page import sweep_page
from experiments.sweep.progress import Progress
from experiments.sweep.sampling import pruner_of
from experiments.sweep.space_file import Plan, plan_of
from experiments.sweep.storage import open_storage
from experiments.sweep.study import join, terms_of_plan
from experiments.sweep.workers import StudyState
from tests.sweeps import source

SPACE = {
    "config": "grammar",
    "model.cell": {"choice": ["tanh", "gru"]},
    "optim.learning_rate": {"loguniform": [0.001, 1.0], "points": 4},
}


def run_of(valid: float) -> dict:
    """What the study keeps of a run."""
    kept = ("best_step", "steps", "parameters", "seconds", "tokens_per_second")
    return {"valid": valid, "test": valid + 0.1, **dict.fromkeys(kept, 10)}


def loss(fields: dict, seed: int) -> float:
    """A made-up loss: best at a learning rate of 0.1, the tanh cell worse."""
    rate = math.log10(fields["optim.learning_rate"])
    return 4 + (rate + 1) ** 2 + (fields["model.cell"] == "tanh") + 0.1 * seed


class Swept(NamedTuple):
    """A finished study."""

    study: optuna.Study
    plan: Plan
    rows: list
    fields: list[str]


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A grid of 8 with 3 seeds: trial 3 diverged, trial 7 was pruned."""
    folder = tmp_path_factory.mktemp("swept")
    with open_storage(f"sqlite:///{folder}/s.db", 60) as storage:
        study, plan = make_up(storage, folder)
        fields = ["model.cell", "optim.learning_rate"]
        yield Swept(study, plan, rows.rows_of(study, folder), fields)


def make_up(storage, folder):
    """The study and the plan of `swept`."""
    plan = plan_of(source(SPACE))
    how = {"sampler": "grid", "sampler_seed": 0, "pruner": "none", "threads": 1}
    study, _ = join(storage, "s", terms_of_plan(plan, seeds=3, **how), 8, False)

    def opened(waiting):
        return Trial(study, waiting._trial_id)

    while taken := trials.take(study, storage, folder, opened):
        trial, number = taken.trial, taken.origin
        fields = plan.space.suggest(trial)
        trial.set_user_attr("fields", fields)
        for step in (10, 20):
            trial.report(loss(fields, 0) + 1 / step, step)
        if number in (3, 7):
            if number == 3:
                trial.set_user_attr("diverged", "step 12: loss nan")
            study.tell(trial.number, state=TrialState.PRUNED)
        else:
            runs = [run_of(loss(fields, seed)) for seed in range(3)]
            trial.set_user_attr("runs", runs)
            study.tell(trial.number, float(np.mean([r["valid"] for r in runs])))
        taken.release()
    return study, plan


@pytest.fixture(scope="module")
def drawn(swept):
    """Its figures."""
    return drawing.draw(swept.study, swept.plan, swept.rows)


def test_a_value_is_the_mean_over_seeds_with_its_interval(swept):
    assert [row["trial"] for row in swept.rows] == list(range(8))
    first = swept.rows[0]
    assert first["valid"] == pytest.approx(loss(first["fields"], 1))  # the middle seed
    # Student's t with two degrees of freedom, by hand: 4.303 · 0.1 / √3.
    assert first["valid_half"] == pytest.approx(4.302653 * 0.1 / math.sqrt(3), rel=1e-5)
    assert first["test"] == pytest.approx(first["valid"] + 0.1)


def test_one_seed_has_no_interval():
    assert rows.half_of(mean([4.0])) is None
    assert rows.half_of(mean([4.0, 4.2])) is not None


def test_the_best_is_by_the_mean_and_never_by_a_seed():
    """Trial 1 has the best single seed, trial 0 the best mean."""
    made = [
        {"trial": n, "state": "complete", "valid": float(np.mean(values))}
        for n, values in enumerate([[4.0, 4.0, 4.0], [3.0, 5.0, 5.0]])
    ]
    assert [row["trial"] for row in rows.ranked(made)] == [0, 1]


def test_every_end_is_told_apart(swept):
    states = [row["state"] for row in swept.rows]
    assert states.count("complete") == 6
    assert states[3] == "diverged" and swept.rows[3]["reason"] == "step 12: loss nan"
    assert states[7] == "pruned" and swept.rows[7]["valid"] is None
    best = rows.ranked(swept.rows)[0]
    assert best["fields"] == {"model.cell": "gru", "optim.learning_rate": 0.1}


def test_the_table_reads_back(swept):
    text = rows.as_csv(swept.rows, swept.fields)
    back = list(csv.DictReader(io.StringIO(text)))
    assert len(back) == 8
    assert [float(line["optim.learning_rate"]) for line in back[:4]] == [
        0.001,
        0.01,
        0.1,
        1.0,
    ]
    seeds = [float(back[0][f"valid seed {n}"]) for n in range(3)]
    assert float(back[0]["valid"]) == pytest.approx(np.mean(seeds))
    assert back[3]["valid"] == "" and back[3]["state"] == "diverged"


def test_everything_is_written(swept, tmp_path, capsys):
    study, plan = swept.study, swept.plan
    state = StudyState(trials.all_trials(study))
    directory.claim(tmp_path, study)
    assert results.write(study, plan, tmp_path, state) == 0
    names = {path.name for path in tmp_path.iterdir()}
    assert {"table.csv", "table.json", "sweep.html", "figures"} <= names
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "8 trials: 6 complete, 1 diverged, 1 pruned"
    assert "model.cell gru, optim.learning_rate 0.1" in said[1]
    drawn = {path.stem for path in (tmp_path / "figures").iterdir()}
    assert drawn == {
        "importance",
        "response optim.learning_rate",
        "parallel",
        "curves",
    }


def test_the_page_stands_by_itself_and_escapes(swept, drawn):
    made = [dict(row) for row in swept.rows]
    made[3]["reason"] = "<script>alert(1)</script>"
    page = sweep_page(swept.plan, swept.fields, made, drawn)
    assert "<script" not in page and "&lt;script&gt;" in page
    assert not any(f'{mark}="http' in page for mark in ("src", "href"))
    for heading in ("Best configs", "Which fields matter", "Lag profile"):
        assert heading in page
    assert page.count("<svg") == 4


def test_a_sweep_with_nothing_to_show_has_a_page(swept):
    made = [row for row in swept.rows if not row["runs"]]
    drawn = drawing.draw(swept.study, swept.plan, made)
    page = sweep_page(swept.plan, swept.fields, made, drawn)
    assert "No trial came to an end" in page


def test_a_score_that_is_to_be_large_is_negated_in_one_place(swept, monkeypatch):
    own = swept.plan.application._replace(monitor="-accuracy")
    monkeypatch.setattr(Plan, "application", own)
    opened = object.__new__(OpenStudy)
    opened.plan = swept.plan
    summary = {"scores": {"test": {"accuracy": "0.5", "loss": 2.0}}}
    assert opened.score(summary, "test") == -0.5
    told = "".join(rows.told(swept.rows, swept.fields, own))
    assert "perplexity" not in told and "minus accuracy" in told
    monkeypatch.undo()
    before = {"test": {"nats_per_token": "3.5"}}
    assert opened.score(before, "test") == 3.5


def test_importance_is_a_share_and_finds_what_matters(swept):
    shares = drawing.shares_of(swept[0])
    assert sum(shares.values()) == pytest.approx(1.0)
    assert set(shares) == {"model.cell", "optim.learning_rate"}
    assert list(shares)[0] == "optim.learning_rate"


def test_responses_are_means_per_cell_at_each_value(swept):
    groups = drawing.by_group(swept.rows, "optim.learning_rate")
    assert list(groups) == ["tanh", "gru"]
    tanh = drawing.response(groups["tanh"], "optim.learning_rate", True)
    assert tanh.x == pytest.approx([0.001, 0.01, 0.1])
    assert tanh.mean == pytest.approx([4 + 4 + 1.1, 4 + 1 + 1.1, 4 + 0 + 1.1])
    assert np.isfinite(tanh.half).all() and tanh.diverged.tolist() == [1.0]


def test_axes_are_told_apart_by_as_few_names_as_will_do():
    fields = ["model.hidden", "model.dropout.hidden", "model.dropout.input", "seed"]
    labels = ["model.hidden", "dropout.hidden", "input", "seed"]
    assert list(drawing.short_labels(fields).values()) == labels


def test_one_run_out_of_hand_hides_nothing():
    assert drawing.ceiling([4.0, 4.5, 5.0, 9000.0]) == 4.75 + 4 * 0.75
    assert drawing.ceiling([4.0, 4.5, 5.0]) == math.inf
    assert drawing.ceiling([4.0, 4.0, 4.0]) == math.inf
    row = {"valid": 9000.0, "runs": [run_of(9000.0)], "heard": {1: 5.0, 2: 9000.0}}
    low = drawing.capped(row, 7.0)
    assert (low["valid"], low["runs"][0]["valid"]) == (7.0, 7.0)
    assert low["heard"] == {1: 5.0, 2: 7.0} and row["valid"] == 9000.0


def test_many_values_are_binned_without_losing_any():
    rng = np.random.default_rng(0)
    made = [
        {"fields": {"x": float(x)}, "runs": [{"valid": float(x) ** 2}], "state": ""}
        for x in rng.uniform(0, 1, 40)
    ]
    found = drawing.response(made, "x", False)
    assert len(found.x) == drawing.BINS and (np.diff(found.x) > 0).all()
    whole = np.mean([row["runs"][0]["valid"] for row in made])
    assert np.mean(found.mean) == pytest.approx(whole)


def test_axes_of_parallel_coordinates():
    log = drawing.axis("learning_rate", [0.01, 0.1, 1.0, None], True)
    assert log.at_N[:3] == pytest.approx([0, 0.5, 1]) and np.isnan(log.at_N[3])
    names = drawing.axis("cell", ["tanh", "gru", "tanh"], False)
    assert names.at_N.tolist() == [1.0, 0.0, 1.0] and names.name == "cell"


def test_every_figure_says_how_to_read_it(drawn):
    made = [d.figure for d in drawn.values() if d.figure]
    profiles = [np.geomspace(1, 1e-9, 20), np.geomspace(1, 1e-3, 20)]
    reach = figures.reach_against_loss(
        profiles, np.array([3, 9]), np.array([4.0, 5.0]), ["tanh", "gru"], "loss"
    )
    for figure in [*made, reach]:
        assert len(reading_of(figure)) > 60
        assert all(axes.get_title() for axes in figure.axes)


def test_progress_names_what_there_is(swept):
    line = Progress(8, "nats").line(StudyState(trials.all_trials(swept.study)))
    assert "trials 8/8" in line and "2 pruned or diverged" in line


@pytest.fixture
def storage():
    return optuna.storages.InMemoryStorage()


def test_the_pruner_ends_what_is_worse_than_the_median(storage):
    """Five good trials, then a bad one: ended at its first evaluation."""
    study = optuna.create_study(storage=storage, pruner=pruner_of("median", 20))
    for number in range(5):
        trial = study.ask()
        reporter = Reporter(storage, trial)
        for step in (10, 20):
            reporter.report(step, 4.0 + 0.01 * number - step / 100)
        study.tell(trial.number, 4.0)
    bad = Reporter(storage, study.ask())
    with pytest.raises(optuna.TrialPruned):
        bad.report(10, 9.0)
    fine = Reporter(storage, study.ask())
    fine.report(10, 3.0)


def test_what_was_reported_before_a_restart_is_not_reported_again(storage):
    study = optuna.create_study(storage=storage)
    trial = study.ask()
    Reporter(storage, trial).report(10, 4.0)
    after = Reporter(storage, trial)
    after.report(10, 4.0)
    after.report(20, 3.0)
    assert study.trials[0].intermediate_values == {10: 4.0, 20: 3.0}
    study.tell(trial.number, 3.0)
    with pytest.raises(Lost):
        after.report(30, 2.0)


def test_hyperband_spans_from_short_runs_to_whole_ones():
    pruner = pruner_of("hyperband", 2700)
    assert (pruner._min_resource, pruner._max_resource) == (100, 2700)

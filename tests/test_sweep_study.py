"""Studies: made once, joined, refused; trials taken once each and never lost."""

import json
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from experiments.config import flatten, to_dict
from experiments.console.interrupts import Interrupt
from experiments.run.files import RunError
from experiments.sweep import trials, workers
from experiments.sweep.open_study import WorkerOrders
from experiments.sweep.sampling import SAMPLERS, grid, sampler_of
from experiments.sweep.space_file import plan_of
from experiments.sweep.storage import open_storage
from experiments.sweep.study import Terms, join, terms_of, terms_of_plan
from experiments.sweep.workers import StudyState
from tests.sweeps import TINY, source, sweep_here, table, write_space

SPACE = {
    "config": "grammar",
    "model.cell": {"choice": ["tanh", "gru"]},
    "optim.learning_rate": {"loguniform": [0.001, 1.0], "points": 3},
    "optim.clip_at": {"uniform": [1.0, 2.0], "points": 2},
}
GRID = 12
PLAN = plan_of(source(SPACE))


def terms(sampler="grid", space=None, **changes) -> Terms:
    plan = PLAN if space is None else plan_of(source(space))
    plain = terms_of_plan(
        plan,
        seeds=1,
        sampler=sampler,
        sampler_seed=0,
        pruner="none",
        threads=1,
        texts=["t"],
        code="c",
    )
    return replace(plain, **changes)


def url(folder: Path) -> str:
    return f"sqlite:///{folder}/s.db"


@contextmanager
def stored(folder: Path, heartbeat: int = 1):
    with open_storage(url(folder), heartbeat, trials.again) as storage:
        yield storage


@pytest.fixture
def storage(tmp_path):
    with stored(tmp_path) as storage:
        yield storage


def opened(study, own=None):
    """What takes a waiting trial in these tests: Optuna's trial, all decisions made."""
    own = own or terms()

    def open_trial(waiting):
        study.sampler = sampler_of(own.sampler, own.sampler_seed, waiting.number)
        trial = optuna.trial.Trial(study, waiting._trial_id)
        own.plan.space.suggest(trial)
        return trial

    return open_trial


def finish(study, storage, folder, value=1.0, own=None):
    """Takes a trial and ends it; its origin."""
    taken = trials.take(study, storage, folder, opened(study, own))
    if taken is None:
        return None
    study.tell(taken.trial.number, value)
    taken.release()
    return taken.origin


def test_a_grid_is_put_in_whole_and_each_point_is_run_once(storage, tmp_path):
    study, _ = join(storage, "s", terms(), GRID, False)
    origins = [finish(study, storage, tmp_path, float(i)) for i in range(GRID)]
    assert origins == list(range(GRID))
    assert finish(study, storage, tmp_path) is None
    found = [t.params for t in study.trials]
    assert found == [point.params for point in grid(PLAN)]
    assert len({json.dumps(p, sort_keys=True) for p in found}) == GRID
    count = StudyState(trials.all_trials(study))
    assert (count.done, count.open, count.best, count.failed) == (GRID, False, 0.0, {})


@pytest.mark.parametrize("sampler", [s for s in SAMPLERS if s != "grid"])
def test_each_sampler_gives_valid_points_and_not_the_same_ones(
    storage, tmp_path, sampler
):
    own = terms(sampler)
    study, _ = join(storage, "s", own, 14, False)
    for number in range(14):
        rate = 0.0
        taken = trials.take(study, storage, tmp_path, opened(study, own))
        assert taken is not None
        rate = taken.trial.params["optim.learning_rate"]
        own.plan.config(taken.trial.params)
        study.tell(taken.trial.number, rate)
        taken.release()
        assert taken.origin == number
    rates = {t.params["optim.learning_rate"] for t in study.trials}
    assert len(rates) >= 13
    assert {t.params["model.cell"] for t in study.trials} == {"tanh", "gru"}


def test_random_draws_do_not_depend_on_who_takes_what(tmp_path):
    found = []
    for name, order in (("a", [0, 1, 2, 3]), ("b", [3, 1, 0, 2])):
        (tmp_path / name).mkdir()
        own = terms("random")
        with stored(tmp_path / name) as storage:
            study, _ = join(storage, "s", own, 4, False)
            waiting = trials.all_trials(study, "WAITING")
            drawn = {i: opened(study, own)(waiting[i]).params for i in order}
        found.append([drawn[i] for i in range(4)])
    assert found[0] == found[1]
    assert len({p["optim.learning_rate"] for p in found[0]}) == 4


def take_all(folder: Path, got: list, together: threading.Barrier) -> None:
    """Takes trials until none waits, through a connection of its own."""
    with stored(folder, 60) as storage:
        study = optuna.load_study(study_name="s", storage=storage)
        together.wait()
        while (origin := finish(study, storage, folder)) is not None:
            got.append(origin)


def test_workers_that_take_at_once_never_take_the_same(tmp_path):
    """Optuna's SQLite alone gives one waiting trial to several of them: the locks of
    the trials' directories are what keeps them apart."""
    raw = {**SPACE, "optim.clip_at": {"uniform": [1.0, 2.0], "points": 5}}
    with stored(tmp_path, 60) as storage:
        join(storage, "s", terms(space=raw), 30, False)
    got, together = [], threading.Barrier(3)
    team = [
        threading.Thread(target=take_all, args=(tmp_path, got, together))
        for _ in range(3)
    ]
    for thread in team:
        thread.start()
    for thread in team:
        thread.join(200)
    assert sorted(got) == list(range(30))


def test_a_trial_given_back_goes_on_under_its_first_number(storage, tmp_path):
    study, _ = join(storage, "s", terms(), GRID, False)
    taken = trials.take(study, storage, tmp_path, opened(study))
    assert taken is not None
    taken.trial.report(2.5, 10)
    before = taken.trial.params
    trials.give_back(study, storage, taken.trial._trial_id)
    taken.release()
    for _ in range(GRID - 1):
        finish(study, storage, tmp_path)
    again = trials.take(study, storage, tmp_path, opened(study))
    assert again is not None and again.origin == taken.origin == 0
    assert again.trial.number == GRID and again.trial.params == before
    known = storage.get_trial(again.trial._trial_id).intermediate_values
    assert known == {10: 2.5}
    again.release()


def test_a_silent_worker_is_dead_and_its_trial_taken_up(storage, tmp_path):
    study, _ = join(storage, "s", terms(), GRID, False)
    taken = trials.take(study, storage, tmp_path, opened(study))
    assert taken is not None
    trials.recover(study)
    assert StudyState(trials.all_trials(study)).running == 1, "it still lives"
    taken.release()  # what the end of a process does
    limit = time.monotonic() + 60
    while StudyState(trials.all_trials(study)).running and time.monotonic() < limit:
        trials.recover(study)
        time.sleep(0.2)
    waiting = trials.all_trials(study, "WAITING")
    assert len(waiting) == GRID
    assert waiting[-1].user_attrs == {"origin": 0, "deaths": 1}
    for _ in range(GRID):
        finish(study, storage, tmp_path)
    assert StudyState(trials.all_trials(study)).done == GRID


def test_a_late_result_of_a_worker_thought_dead_does_not_count(storage, tmp_path):
    study, _ = join(storage, "s", terms(), GRID, False)
    late = trials.take(study, storage, tmp_path, opened(study))
    assert late is not None
    trials.give_back(study, storage, late.trial._trial_id)
    study.tell(late.trial.number, 0.0, skip_if_finished=True)
    late.release()
    while finish(study, storage, tmp_path, 7.0) is not None:
        pass
    ended = trials.finals(trials.all_trials(study))
    assert sorted(ended) == list(range(GRID))
    assert {t.value for t in ended.values()} == {7.0}


def test_two_successors_of_one_trial_count_once(storage, tmp_path):
    """Two that notice a death at the same moment may both put a successor in."""
    study, _ = join(storage, "s", terms(), GRID, False)
    taken = trials.take(study, storage, tmp_path, opened(study))
    assert taken is not None
    trials.give_back(study, storage, taken.trial._trial_id)
    trials.again(study, storage.get_trial(taken.trial._trial_id))
    taken.release()
    assert len(trials.all_trials(study, "WAITING")) == GRID + 1
    origins = []
    while (origin := finish(study, storage, tmp_path)) is not None:
        origins.append(origin)
    assert sorted(origins) == list(range(GRID))
    assert not StudyState(trials.all_trials(study)).open


def test_a_trial_that_kills_its_workers_is_given_up_and_can_be_revived(
    storage, tmp_path, monkeypatch
):
    monkeypatch.setattr(storage._backend, "_get_stale_trial_ids", running_in(storage))
    study, _ = join(storage, "s", terms(), GRID, False)
    while finish(study, storage, tmp_path) != GRID - 2:
        pass
    for _ in range(trials.MAX_DEATHS + 1):
        taken = trials.take(study, storage, tmp_path, opened(study))
        assert taken is not None and taken.origin == GRID - 1
        taken.release()
        trials.recover(study)
    count = StudyState(trials.all_trials(study))
    assert count.failed == {GRID - 1: "its workers died"} and not count.open
    assert trials.revive(study) == 1 and trials.revive(study) == 0
    assert finish(study, storage, tmp_path) == GRID - 1


def test_a_trial_between_two_workers_is_waited_for(storage, tmp_path, monkeypatch):
    """Another machine has noticed a death and closed the trial, and is about to put its
    successor in: for a moment nothing is open, and yet the sweep is not over."""
    study, _ = join(storage, "s", terms(), GRID, False)
    while finish(study, storage, tmp_path) != GRID - 2:
        pass
    taken = trials.take(study, storage, tmp_path, opened(study))
    assert taken is not None
    trial = taken.trial._trial_id
    taken.release()
    seen = []

    def show(state):
        seen.append((state.running, state.waiting, state.done))
        if len(seen) == 1:
            storage.set_trial_state_values(trial, TrialState.FAIL)
        elif len(seen) == 2:
            trials.again(study, storage.get_trial(trial))

    monkeypatch.setattr(workers, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(workers, "POLL_SECONDS", 0.0)
    team = workers.Workers(WorkerOrders("", "s", str(tmp_path)), 1, 1)
    monkeypatch.setattr(team, "start", lambda: finish(study, storage, tmp_path))
    state = workers.run_workers(team, study, Interrupt(), show)
    assert seen[:3] == [(1, 0, GRID - 1), (0, 0, GRID - 1), (0, 1, GRID - 1)]
    assert state.done == GRID and not state.open


def running_in(storage):
    """Who is dead where nobody lives."""

    def stale(study_id):
        found = storage.get_all_trials(study_id, deepcopy=False)
        return [trial._trial_id for trial in found if trial.state.name == "RUNNING"]

    return stale


def test_the_same_space_joins_and_another_is_refused(storage, tmp_path):
    join(storage, "s", terms(), GRID, False)
    _, kept = join(storage, "s", terms(threads=8), GRID, False)
    assert kept.threads == 1, "all workers have the threads of the first"
    other = {**SPACE, "optim.learning_rate": {"loguniform": [0.01, 1.0], "points": 3}}
    cases = {
        "optim.learning_rate.loguniform was": terms(space=other),
        "--seeds was 1, is 3": terms(seeds=3),
        "--sampler grid": terms("random"),
        "--pruner none": terms(pruner="median"),
        "has another space": terms(space={**SPACE, "config": "default"}),
        "another text": terms(texts=["u"]),
        "other code": terms(code="d"),
    }
    for said, changed in cases.items():
        with pytest.raises(RunError, match=said) as error:
            join(storage, "s", changed, GRID, True)
        assert "\n" not in str(error.value)
    assert len(trials.all_trials(join(storage, "s", terms(), GRID, False)[0])) == GRID


def test_what_a_program_imports_belongs_to_the_space(storage, tmp_path, monkeypatch):
    """The program's text is the same, what it gives is not."""
    text = "import rates_of\ndef SPACE(trial): return rates_of.fields(trial)"
    helper = tmp_path / "rates_of.py"
    give = "def fields(trial): trial.suggest_float('optim.clip_at', 1.0, {})"
    helper.write_text(give.format("2.0"))
    monkeypatch.syspath_prepend(tmp_path)
    how = {"seeds": 1, "sampler": "random", "sampler_seed": 0, "pruner": "none"}
    plan = plan_of(source({"config": "grammar"}, text))
    join(storage, "s", terms_of_plan(plan, threads=1, **how), 3, False)
    join(storage, "s", terms_of_plan(plan, threads=1, **how), 3, False)
    monkeypatch.setattr(sys.modules["rates_of"], "fields", lambda trial: {})
    with pytest.raises(RunError, match="what it imports was changed"):
        join(storage, "s", terms_of_plan(plan, threads=1, **how), 3, True)
    del sys.modules["rates_of"]


def test_a_study_is_enlarged_only_when_asked(storage):
    own = terms("random")
    join(storage, "s", own, 4, False)
    with pytest.raises(RunError, match="has 4 trials, this asks for 6"):
        join(storage, "s", own, 6, False)
    study, _ = join(storage, "s", own, 6, True)
    assert [trials.origin_of(t) for t in study.trials] == list(range(6))
    join(storage, "s", own, 6, False)


def test_a_study_of_before_has_its_base_and_no_text(storage):
    """As they were kept until there were fingerprints."""
    made = optuna.create_study(study_name="s", storage=storage)
    kept = vars(terms())
    new = ("base", "texts", "code", "program", "draws", "plan")
    base = {k: v for k, v in flatten(to_dict(PLAN.base)).items() if k != "optim.eps"}
    base = {f"base {k}": v for k, v in {**base, "optim.eps": 1e-3}.items()}
    made.set_user_attr("terms", {k: v for k, v in kept.items() if k not in new})
    made.set_user_attr("space", {**SPACE, **base, "--seeds": 1})
    made.set_user_attr("trials", GRID)
    found = terms_of(made)
    assert found.plan.base.optim.eps == 1e-3 and found.texts is None
    with pytest.raises(RunError, match="optim.eps was 0.001, is"):
        join(storage, "s", terms(), GRID, False)


def test_a_study_of_someone_elses_is_refused(storage):
    made = optuna.create_study(study_name="s", storage=storage)
    made.set_user_attr("trials", 3)
    with pytest.raises(RunError, match="not made by experiments.sweep"):
        join(storage, "s", terms(), GRID, False)


UNREACHABLE = {
    "nobody there": ("postgresql://me:secret@127.0.0.1:1/x", "cannot be used"),
    "no such host": ("postgresql://me@no-such-host.invalid/x", "cannot be used"),
    "no folder": ("sqlite:////no/such/folder/x.db", "folder /no/such/folder"),
    "a journal": ("journal:/tmp/x.log", "no longer read: give sqlite:///PATH"),
    "another kind": ("mysql://me:secret@host/x", "give sqlite:///PATH"),
    "no file": ("sqlite://", "sqlite:///PATH"),
}


@pytest.mark.parametrize("name", UNREACHABLE)
def test_a_storage_out_of_reach_is_one_line_and_quick(name):
    url, said = UNREACHABLE[name]
    began = time.monotonic()
    with pytest.raises(RunError, match=said) as error:
        with open_storage(url):
            pass
    assert time.monotonic() - began < 15
    assert "\n" not in str(error.value) and "secret" not in str(error.value)


def test_not_a_database(tmp_path):
    (tmp_path / "s.db").write_text("this is not a database" * 100)
    with pytest.raises(RunError, match="not a database"):
        with stored(tmp_path):
            pass


def test_mistakes_are_one_line_and_start_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.json").write_text(json.dumps(TINY))
    rates = {"optim.learning_rate": {"loguniform": [0.01, 1]}}
    (tmp_path / "free.json").write_text(json.dumps({**TINY, **rates}))
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "study.db").write_bytes(b"")
    cases = [
        (["tutorail"], "did you mean 'tutorial'"),
        (["tiny.json", "--sampler", "tpee"], "did you mean 'tpe'"),
        (["tiny.json", "--trials", "3"], "the grid has 2 points"),
        (["free.json", "--sampler", "grid"], '"points"'),
        (["tiny.json", "--storage", "postgresql://x@127.0.0.1:1/x"], "cannot be used"),
        (["tiny.json", "--resume"], "holds no sweep to resume"),
        (["tiny.json", "--sweep-dir", "old"], "give --resume"),
    ]
    for words, said in cases:
        sweep_here(*words, code=2)
        told = capsys.readouterr().err
        assert said in told and told.count("\n") == 1, (words, told)
    assert not list(tmp_path.glob("**/trials"))


def test_a_dry_run_lists_what_would_be_run(tmp_path, capsys):
    (tmp_path / "tiny.json").write_text(json.dumps(TINY))
    sweep_here(tmp_path / "tiny.json", "--dry-run", "--seeds", 2)
    lines = capsys.readouterr().out.splitlines()
    assert "2 points: 2 trials of 2 seeds each, sampler grid" in lines[0]
    assert [line.split()[-1] for line in lines[2:]] == ["0.01", "0.03"]
    assert [p.name for p in tmp_path.iterdir()] == ["tiny.json"]


def test_a_diverged_trial_is_a_result(tmp_path, capsys, compile_cache):
    """Its reason stands in the table and on the page; the sweep goes on."""
    changed = {
        "optim.optimizer": "sgd",
        "optim.clip": "none",
        "model.cell": "relu",
        "optim.learning_rate": {"choice": [0.01, 1e30]},
    }
    space = write_space(tmp_path, **changed)
    sweep_here(space, "--sweep-dir", tmp_path / "sweep")
    fine, diverged = table(tmp_path / "sweep")
    assert (fine["state"], diverged["state"]) == ("complete", "diverged")
    assert "not finite" in diverged["reason"]
    assert "1 diverged" in capsys.readouterr().out
    page = (tmp_path / "sweep" / "sweep.html").read_text()
    assert "diverged" in page and "<svg" in page

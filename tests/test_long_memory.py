"""Studies of long memory: tasks asked rightly, floors, trials, ladders, sentences."""

import dataclasses
import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_pipeline.tasks import TASKS
from experiments.applications.memory.application import (
    head_of,
    model_of,
)
from experiments.applications.memory.config import MemoryConfig
from experiments.console.interrupts import Interrupt
from experiments.gradients import long_memory, pascanu, trials
from experiments.gradients.display import quiet
from experiments.gradients.ladders import (
    climb,
    climb_all,
    counts,
    reach,
    row_of,
    updates,
    wilson,
)
from experiments.gradients.long_memory import measured
from experiments.gradients.smart_tanh import smart_tanh
from experiments.gradients.study import Job
from experiments.gradients.trials import Trial, attempt, planned, results_of
from experiments.run.files import RunError, plain, write_json_atomic
from experiments.train.processes import Interrupted
from lm.cells.elman import ElmanState
from lm.config import InitConfig, ModelConfig, OptimConfig

pytestmark = pytest.mark.usefixtures("compile_cache")
KEY = jax.random.key(0)
TRIAL = Trial(
    variant="gru",
    network="gru",
    task="temporal_order_2",
    length=10,
    seed=0,
    optim=OptimConfig("adam", 0.01, clip_at=1.0),
    hidden=16,
    batch=16,
    steps=20,
    check=10,
)


never = Interrupt()


def nobody(what, pieces):
    """No display."""


def network(hidden, task, cell=None):
    config = MemoryConfig(model=ModelConfig("tanh", 1, hidden, 0))
    return model_of(config, task, cell)


def smart(hidden):
    return smart_tanh(hidden, InitConfig("normal", 0.01))


@pytest.fixture(scope="module", autouse=True)
def few_sequences():
    """Looks and exams at fewer sequences than the studies have, as many in both, so
    that one program draws them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trials, "LOOK", 200)
        patch.setattr(trials, "EXAM", 200)
        yield


# --- networks and what they are asked ----------------------------------------------


@pytest.mark.parametrize(
    "name", [name for name, task in TASKS.items() if task.memoryless]
)
def test_answers_without_memory_cost_the_floor(name):
    task = TASKS[name]
    assert measured(task, 30) == pytest.approx(task.floor(30), rel=0.03)


def test_the_floors_are_the_published_ones():
    assert TASKS["adding"].floor(100) == pytest.approx(1 / 6)
    assert TASKS["multiplication"].floor(100) == pytest.approx(7 / 144)
    assert TASKS["copy_memory"].floor(100) == pytest.approx(10 * np.log(8) / 120)
    assert TASKS["temporal_order_2"].floor(50) == pytest.approx(np.log(4))


@pytest.mark.parametrize("name", ["adding", "temporal_order_2"])
def test_a_network_that_does_not_read_its_input_does_no_better_than_the_floor(name):
    """Biases alone, fitted to 10,000 answers, on 10,000 others."""
    task = TASKS[name]
    model, head = network(5, task), head_of(task)
    params = jax.tree.map(jnp.zeros_like, jax.jit(model.init)(KEY))
    sample = jax.jit(task.sample, static_argnums=(1, 2))
    seen, fresh = (sample(jax.random.key(n), 10_000, 20) for n in (1, 2))
    answers = np.asarray(seen.targets[-1])
    if task.classes:
        bias = np.log(np.bincount(answers, minlength=task.classes) / len(answers))
    else:
        bias = answers.mean(keepdims=True)
    params["softmax"]["b"] = jnp.asarray(bias, jnp.float32)
    _, hs = model.apply(params, fresh.inputs, model.initial_state(params, 10_000))
    total = head.total(model.logits(params, hs), fresh.targets, fresh.mask)
    assert float(total.mean()) == pytest.approx(task.floor(20), rel=0.03)


def test_right_is_a_squared_error_below_4_hundredths():
    head = head_of(TASKS["adding"])
    outputs = jnp.asarray([[[1.0], [1.0]]])
    right = head.right(outputs, jnp.asarray([[1.19, 1.21]]))
    assert right.tolist() == [[True, False]]


def test_of_a_reber_string_only_the_echo_is_asked():
    task = TASKS["embedded_reber"]
    batch = task.sample(KEY, 50, 20)
    mask = np.asarray(task.asks(batch))
    assert (mask.sum(axis=0) == 1).all()
    echoed = (np.asarray(batch.targets) * mask).sum(axis=0)
    np.testing.assert_array_equal(echoed, batch.inputs[1])
    assert len(set(mask.argmax(axis=0))) > 3, "strings should end at several places"
    other = TASKS["copy_memory"]
    batch = other.sample(KEY, 3, 5)
    assert other.asks(batch) is batch.mask


def test_smart_tanh_starts_as_published():
    model = network(50, TASKS["adding"], smart(50))
    w = np.asarray(jax.jit(model.init)(KEY)["layers"][0]["w_h"])
    assert ((w != 0).sum(axis=1) == 15).all()
    assert abs(np.linalg.eigvals(w)).max() == pytest.approx(0.95, rel=1e-4)


def test_smart_tanh_is_the_tanh_network_seen_from_its_pre_activations():
    task = TASKS["temporal_order_2"]
    ours, elman = network(8, task, smart(8)), network(8, task)

    @jax.jit
    def both(key):
        params, ids = ours.init(key), task.sample(key, 3, 12).inputs
        models = ours, elman
        return [m.apply(params, ids, m.initial_state(params, 3)) for m in models]

    (state, hs), (plain, same) = both(KEY)
    np.testing.assert_allclose(hs, same, rtol=1e-5, atol=1e-7)
    assert isinstance(state[0], ElmanState)
    np.testing.assert_allclose(jnp.tanh(state[0].h), plain[0].h, rtol=1e-5, atol=1e-7)


# --- trials ------------------------------------------------------------------------


def test_an_easy_task_is_solved_before_the_last_update(tmp_path):
    told = []
    easy = replace(TRIAL, steps=2_000)
    (result,) = attempt([easy], tmp_path, never, lambda what, n: told.append(n))
    assert result["solved"] and result["updates"] < 2_000
    assert result["wrong"] < 0.01 and result["loss"] < np.log(4) / 2
    assert sum(told) == 2_000, "what was saved counts as done"
    assert [p.name for p in tmp_path.iterdir()] == [easy.file], "its run is gone"
    # Solved means that both the look and the exam were passed, and not before.
    shorter = replace(easy, steps=result["updates"] - easy.check)
    (before,) = attempt([shorter], tmp_path, never, nobody)
    assert not before["solved"] and before["wrong"] >= 0.01


def test_numbers_that_are_not_finite_end_a_trial(tmp_path):
    wild = replace(TRIAL.optim, learning_rate=1e38)
    trial = replace(TRIAL, steps=200, optim=wild)
    told = []
    (result,) = attempt([trial], tmp_path, never, lambda what, n: told.append(n))
    assert not result["solved"] and result["updates"] < 200 and sum(told) == 200
    assert row_of((trial,), [plain(result)])["rate"] == 0


def test_a_result_is_kept_and_not_computed_again(tmp_path, monkeypatch):
    results = results_of([TRIAL], tmp_path, never, nobody)
    assert [p.name for p in tmp_path.iterdir()] == [TRIAL.file]
    record = json.loads((tmp_path / TRIAL.file).read_text())
    assert record["trial"]["optim"]["learning_rate"] == 0.01

    def fail(*_):
        raise AssertionError("computed again")

    monkeypatch.setattr(trials, "attempt", fail)
    assert results_of([TRIAL], tmp_path, never, nobody) == results
    with pytest.raises(RunError, match="of a trial with other settings"):
        results_of([replace(TRIAL, steps=30)], tmp_path, never, nobody)


def test_a_trial_that_is_stopped_goes_on(tmp_path):
    whole = results_of([TRIAL], tmp_path / "whole", never, nobody)
    stop, told = Interrupt(), []

    def tell(what, pieces):
        told.append(pieces)
        if pieces:
            stop.name = "SIGINT"

    with pytest.raises(Interrupted):
        results_of([TRIAL], tmp_path / "cut", stop, tell)
    assert [p.name for p in (tmp_path / "cut").iterdir()] == [TRIAL.stem]
    assert results_of([TRIAL], tmp_path / "cut", never, nobody) == whole


def test_the_smart_start_is_that_of_its_trials():
    plan = planned(replace(TRIAL, network="smart tanh"))
    init = jax.jit(lambda key: plan.problem.init(key, None))
    w = np.asarray(init(KEY)["layers"][0]["w_h"])
    radius = abs(np.linalg.eigvals(w)).max()
    assert radius == pytest.approx(0.95, rel=1e-4) and (w == 0).any()


def test_no_two_trials_share_a_file():
    for study in (long_memory.STUDY, pascanu.STUDY):
        for size in study.sizes.values():
            module = long_memory if study is long_memory.STUDY else pascanu
            every = [
                trial
                for ladder in module.ladders(size, 3)
                for rung in ladder
                for trial in rung
            ]
            assert len({trial.file for trial in every}) == len(every) > 0


# --- ladders -----------------------------------------------------------------------


def kept(directory, trial: Trial, solved: bool) -> None:
    """A finished trial's file."""
    result = {
        "solved": solved,
        "updates": 10 if solved else trial.steps,
        "wrong": 0.0 if solved else 0.7,
        "loss": 0.1 if solved else 1.4,
    }
    settings = dataclasses.asdict(trial)
    write_json_atomic(directory / trial.file, {"trial": settings, "result": result})


def ladder_of(lengths, seeds=2, variant="gru"):
    return tuple(
        tuple(replace(TRIAL, variant=variant, length=n, seed=s) for s in range(seeds))
        for n in lengths
    )


def test_a_ladder_ends_where_no_seed_gets_through(tmp_path):
    ladder = ladder_of((10, 20, 30, 40))
    for rung, through in zip(ladder, (2, 1, 0, 2), strict=True):
        for trial in rung:
            kept(tmp_path, trial, trial.seed < through)
    told = []
    rows = climb(tmp_path, ladder, never, lambda what, pieces: told.append(pieces))
    assert [(row["length"], row["solved"]) for row in rows] == [
        (10, 2),
        (20, 1),
        (30, 0),
    ]
    assert sum(told) == updates(ladder) == 8 * TRIAL.steps
    assert rows[1]["updates"] == [10, None] and rows[1]["rate"] == 0.5
    assert rows[1]["loss"] == pytest.approx(0.75)
    assert rows[0]["floor"] == pytest.approx(np.log(4))
    assert reach(rows, TRIAL.task, "gru") == 20
    lengths = (10, 20, 30, 40)
    assert counts(rows, TRIAL.task, "gru", lengths) == ["2/2", "1/2", "0/2", "–"]
    assert reach(rows, TRIAL.task, "lstm") == 0


def test_processes_find_the_same_rows(tmp_path):
    ladders = [ladder_of((10, 20)), ladder_of((10,), variant="other")]
    for ladder in ladders:
        for rung in ladder:
            for trial in rung:
                kept(tmp_path, trial, True)
    rows = climb_all(ladders, Job(tmp_path, 1, quiet()))
    assert climb_all(ladders, Job(tmp_path, 1, quiet(), 2)) == rows
    assert [row["variant"] for row in rows] == ["gru", "gru", "other"]


@pytest.mark.parametrize(
    ("solved", "count", "interval"),
    [(0, 10, (0.0, 0.2775)), (5, 10, (0.2366, 0.7634)), (10, 10, (0.7225, 1.0))],
)
def test_wilson_by_published_values(solved, count, interval):
    """Newcombe 1998 has (0, .2775) for 0 of 10."""
    assert wilson(solved, count) == pytest.approx(interval, abs=1e-4)


def test_wilson_is_where_the_rate_is_196_deviations_away():
    low, high = wilson(3, 7)
    for p in (low, high):
        z = abs(3 / 7 - p) / np.sqrt(p * (1 - p) / 7)
        assert z == pytest.approx(1.959964, rel=1e-4)


# --- the studies -------------------------------------------------------------------


def run_twice(study, size, directory):
    """The second time everything is read from its files."""
    job = Job(directory, size.seeds, quiet())
    result = study.run(size, job)
    assert result.headline.endswith(".") and len(result.headline.split()) <= 30
    assert len(result.table.body[0]) == len(result.table.head)
    result.figure.savefig(directory / "figure.png")
    before = {p: p.stat().st_mtime_ns for p in directory.glob("*.json")}
    assert study.run(size, job).rows == result.rows
    assert before == {p: p.stat().st_mtime_ns for p in directory.glob("*.json")}


def test_a_tiny_study_of_long_memory(tmp_path):
    tiny = long_memory.SIZES["tiny"]
    size = replace(tiny, tasks=("copy_memory",), cells=("gru",), seeds=1)
    run_twice(long_memory.STUDY, size, tmp_path)


def test_a_tiny_success_curve(tmp_path, monkeypatch):
    size = replace(pascanu.SIZES["tiny"], lengths=(10,), seeds=1)
    last = dict([list(pascanu.variants(size).items())[-1]])
    assert last["SGD + clipping + Ω"].omega > 0
    monkeypatch.setattr(pascanu, "variants", lambda size: last)
    run_twice(pascanu.STUDY, size, tmp_path)


def rows_for(module, size, reached):
    """Rows of ladders of which variant v gets `reached[v]` rungs far."""
    rows = []
    for ladder in module.ladders(size, 2):
        for number, rung in enumerate(ladder):
            solved = number < reached[rung[0].variant]
            result = {"solved": solved, "updates": 10, "wrong": 0.0, "loss": 0.1}
            rows.append(row_of(rung, [result] * 2))
            if not solved:
                break
    return rows


def test_the_sentence_of_long_memory_is_read_off_the_rows():
    size = long_memory.LongMemory(
        tasks=("adding",), cells=("tanh", "lstm"), lengths=(20, 60, 120)
    )
    rows = rows_for(long_memory, size, {"tanh": 1, "lstm": 3})
    said = long_memory.headline(rows)
    assert said.startswith("On 1 tasks no cell without gates solves longer")
    assert said.endswith("as expected; longest T: tanh 20, lstm 120.")
    rows = rows_for(long_memory, size, {"tanh": 2, "lstm": 0})
    said = long_memory.headline(rows)
    assert said.startswith("On 1 of 1 tasks a cell without gates solves longer")
    assert "unexpected" in said and said.endswith("longest T: tanh 60, lstm 0.")
    assert long_memory.table(size, rows).body[1][1:] == ("0/2", "–", "–", "–")


@pytest.mark.parametrize(
    ("reached", "verdict"),
    [
        ((1, 2, 3), "in the order that Pascanu 2013 found."),
        ((2, 2, 2), "no difference at these lengths."),
        ((3, 2, 1), "not in the order that Pascanu 2013 found."),
    ],
)
def test_the_sentence_of_pascanus_curve_is_read_off_the_rows(reached, verdict):
    size = pascanu.Pascanu(lengths=(10, 20, 30), steps=15_000)
    names = pascanu.variants(size)
    rows = rows_for(pascanu, size, dict(zip(names, reached, strict=True)))
    said = pascanu.headline(rows)
    assert said.endswith(f"; {verdict}") and len(said.split()) <= 30
    assert f"SGD {size.lengths[reached[0] - 1]}," in said
    figure = pascanu.table(size, rows).body
    assert [line[0] for line in figure] == list(names)

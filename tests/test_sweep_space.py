"""Spaces: what they hold, how they are read, and what is said of bad ones."""

import json
import math
import re
from dataclasses import replace
from itertools import islice

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution, IntDistribution

from data_pipeline.errors import DataError
from experiments.sweep.checks import check
from experiments.sweep.ready import SPACES, ready_spaces
from experiments.sweep.sampling import (
    LARGEST_GRID,
    corners,
    examples,
    grid,
    gridded,
    log_fields,
    varied_fields,
)
from experiments.sweep.space import Decision, Space, listed
from experiments.sweep.space_file import plan_of, read_plan
from lm.config import ConfigError
from tests.sweeps import source

LETTERS = "abcdefgh"
PROGRAM = """
def SPACE(trial):
    cell = trial.suggest_categorical("model.cell", ["tanh", "lstm"])
    wide = trial.suggest_categorical("wide", [False, True])
    if cell == "lstm":
        trial.suggest_int("model.layers", 1, 3)
    return {"model.embedding": 20 if wide else 10}
"""


def made(*varied, **fixed) -> Space:
    fields = [field for node in varied for field in node.fields]
    return Space(fixed, varied, None, frozenset([*fields, *fixed]))


def points(space):
    return [point.fields for point in space.grid()]


def choice(field, count):
    return listed({field: range(count)})


def interval(field, low, high, points=0, whole=False, **how):
    kind = (IntDistribution if whole else FloatDistribution)(low, high, **how)
    return Decision((field,), kind, points=points)


@given(st.lists(st.integers(1, 3), min_size=1, max_size=4))
def test_a_space_has_as_many_points_as_its_parts_multiplied(counts):
    space = made(*(choice(LETTERS[i], n) for i, n in enumerate(counts)), z=1)
    found = points(space)
    assert len(found) == math.prod(counts) == space.size()
    assert len({json.dumps(p, sort_keys=True) for p in found}) == len(found)
    assert all(p["z"] == 1 for p in found)


@given(st.integers(1, 6), st.integers(1, 4))
def test_a_zip_moves_fields_together(rows, others):
    together = listed({"a": range(rows), "b": [-i for i in range(rows)]})
    space = made(together, choice("c", others))
    found = points(space)
    assert len(found) == rows * others
    assert all(p["b"] == -p["a"] for p in found)


@given(st.floats(1e-6, 1e3), st.floats(1.01, 1e6), st.integers(1, 9))
def test_points_of_an_interval_lie_in_it_and_reach_its_ends(low, factor, count):
    for log in (False, True):
        node = interval("x", low, low * factor, points=count, log=log)
        found = [p["x"] for p in points(made(node))]
        if count > 1:
            assert found[0] == low and found[-1] == low * factor
        assert found == sorted(found) and len(found) == count == made(node).size()
        assert low <= found[0] and found[-1] <= low * factor


def test_a_log_interval_steps_by_factors_and_whole_numbers_are_whole():
    node = interval("x", 0.001, 1.0, points=4, log=True)
    assert [p["x"] for p in points(made(node))] == [0.001, 0.01, 0.1, 1.0]
    whole = interval("n", 1, 64, points=7, whole=True, log=True)
    assert [p["n"] for p in points(made(whole))] == [1, 2, 4, 8, 16, 32, 64]
    some = made(interval("n", 2, 4, whole=True))
    assert [p["n"] for p in points(some)] == [2, 3, 4] and some.size() == 3
    assert made(interval("x", 0.0, 1.0)).size() == math.inf


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000))
def test_every_draw_of_a_finite_space_is_one_of_its_points(seed):
    space = made(
        choice("x", 2),
        listed({"a": [1, 3], "b": [2, 4]}),
        interval("n", 1, 3, whole=True),
        f=1,
    )
    sampler = optuna.samplers.RandomSampler(seed)
    by_params = {json.dumps(p.params): p.fields for p in space.grid()}
    for trial, fields in examples(space, lambda _: sampler, 2):
        assert by_params[json.dumps(trial.params)] == fields


def test_a_continuous_space_has_no_grid():
    plan = plan_of(source({"optim.learning_rate": {"loguniform": [0.001, 1.0]}}))
    assert not gridded(plan) and plan.space.size() == math.inf
    assert log_fields(plan) == {"optim.learning_rate"}


def test_a_grid_too_large_to_run_is_refused():
    plan = plan_of(source({"model.hidden": {"int": [1, 10**9]}}))
    assert plan.space.size() == 10**9 > LARGEST_GRID
    with pytest.raises(ConfigError, match="1,000,000,000 points, more than"):
        grid(plan)


def test_the_issues_own_example_builds_configs(tmp_path):
    path = tmp_path / "mine.json"
    rates = {"loguniform": [0.001, 1.0], "points": 2}
    path.write_text(
        json.dumps(
            {
                "optim.learning_rate": rates,
                "model.cell": {"choice": ["tanh", "gru"]},
                "train.epochs": 3,
            }
        )
    )
    plan = read_plan(str(path))
    configs = [plan.config(point.fields, seed=7) for point in grid(plan)]
    got = [(c.optim.learning_rate, c.model.cell, c.train.epochs) for c in configs]
    assert got == [(r, c, 3) for r in (0.001, 1.0) for c in ("tanh", "gru")]
    assert {c.seed for c in configs} == {7} and {c.name for c in configs} == {"mine"}


def test_a_python_file_gives_the_same_space(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("SPACE = {'model.hidden': {'choice': [2**n for n in range(3)]}}")
    plan = read_plan(str(path))
    assert plan.space.size() == 3 and not plan.source.program


def test_a_program_asks_the_trial_for_what_it_needs():
    """The grid has what its conditions leave, each once; what it suggests under the
    name of a field sets it, and so does what it returns."""
    plan = plan_of(source({"config": "grammar", "model.hidden": 5}, PROGRAM))
    assert gridded(plan)
    found = [point.fields for point in grid(plan)]
    assert len(found) == 2 + 2 * 3
    assert len({json.dumps(p, sort_keys=True) for p in found}) == len(found)
    for fields in found:
        assert ("model.layers" in fields) == (fields["model.cell"] == "lstm")
        assert fields["model.embedding"] in (10, 20) and "wide" not in fields
        assert plan.config(fields).model.hidden == 5
    varied = ["model.cell", "model.embedding", "model.layers"]
    assert sorted(varied_fields(plan)) == varied


def test_the_ends_of_what_a_program_suggests_are_looked_at():
    text = "def SPACE(trial): trial.suggest_float('optim.clip_at', 0.5, 2.0, log=True)"
    plan = plan_of(source({}, text))
    found = {fields["optim.clip_at"] for fields in corners(plan, 60)}
    assert {0.5, 2.0} < found and len(found) > 4
    assert not gridded(plan) and log_fields(plan) == {"optim.clip_at"}


BAD_PROGRAMS = {
    "fails": ("def SPACE(trial): return 1 / 0", "ZeroDivisionError"),
    "twice": (
        "def SPACE(trial): trial.suggest_int('model.hidden', 1, 2)",
        "model.hidden is set twice",
    ),
    "no field": ("def SPACE(trial): return {'model.hiden': 3}", "sets 'model.hiden'"),
    "a seed": ("def SPACE(trial): return {'seed': 3}", "sets 'seed'"),
    "no fields": ("def SPACE(trial): return 3", "must return a dict"),
    "out of bounds": (
        "def SPACE(trial):\n"
        "    if trial.suggest_categorical('model.cell', ['tanh', 'lstm']) == 'lstm':\n"
        "        trial.suggest_int('model.layers', 1, 9)",
        r"model.layers is 9: must lie in \[1, 8\]",
    ),
}


@pytest.mark.parametrize("name", BAD_PROGRAMS)
def test_a_bad_program_is_one_line(name):
    text, said = BAD_PROGRAMS[name]
    with pytest.raises(ConfigError, match=said) as error:
        check(plan_of(source({**SMALL, "model.hidden": 5}, text)))
    assert "\n" not in str(error.value)


def test_the_small_form_replaces_entries(tmp_path):
    path = tmp_path / "mine.json"
    raw = {"model.hidden": {"choice": [100, 200]}, "trials": 9, "seeds": 3}
    path.write_text(json.dumps({**raw, "small": {"model.hidden": {"choice": [5]}}}))
    small = read_plan(str(path), small=True)
    assert points(small.space) == [{"model.hidden": 5}]
    assert small.usual == {"trials": 9, "seeds": 3}
    path.write_text(json.dumps(raw))
    with pytest.raises(ConfigError, match="no small form"):
        read_plan(str(path), small=True)


BAD = {
    "model.cel": ({"model.cel": {"choice": ["gru"]}}, "did you mean 'model.cell'"),
    "a group": ({"model": {"choice": [1]}}, "'model' is unknown"),
    "a seed": ({"seed": {"choice": [1, 2]}}, "--seeds K"),
    "no field": ({"train.epochs": 3}, "is empty"),
    "nothing": ({}, "is empty"),
    "no values": ({"model.hidden": {"choice": []}}, "choice is empty"),
    "a value twice": ({"model.hidden": {"choice": [4, 4]}}, "lists 4 twice"),
    "no kind": ({"model.hidden": {"choose": [1]}}, "give one of choice"),
    "a wrong option": (
        {"model.hidden": {"int": [1, 5], "pointz": 3}},
        "did you mean 'points'",
    ),
    "falling": ({"model.hidden": {"int": [5, 1]}}, "the lower one first"),
    "three ends": ({"optim.clip_at": {"uniform": [1, 2, 3]}}, "two numbers"),
    "not whole": ({"model.hidden": {"int": [1, 2.5]}}, "two whole numbers"),
    "log of zero": ({"optim.clip_at": {"loguniform": [0, 1]}}, "begins above 0"),
    "lengths": (
        {"zip": {"model.hidden": [1, 2], "model.layers": [1]}},
        "model.hidden has 2, model.layers has 1",
    ),
    "set twice": (
        {"model.hidden": 3, "zip": {"model.hidden": [1, 2]}},
        "model.hidden is set twice",
    ),
    "a condition": ({"when": {"model.cell": "gru", "then": {}}}, "SPACE.trial. inst"),
    "a chain": ({"chain": [{"model.hidden": 3}]}, "SPACE.trial. inst"),
    "too low": ({"optim.learning_rate": {"uniform": [0, 1]}}, "must be above 0"),
    "too high": ({"model.dropout.weight": {"uniform": [0, 1]}}, r"\[0.0, 1.0\)"),
    "another type": ({"model.hidden": {"uniform": [0.5, 2.0]}}, "must be of type int"),
    "no such cell": ({"model.cell": {"choice": ["tanh", "grru"]}}, "mean 'gru'"),
    "not of Flax": ({"model.cell": {"choice": ["flax:GRU"]}}, "mean 'flax:GRUCell'"),
    "not together": (
        {"model.hidden": {"choice": [7, 8]}, "model.softmax": "tied"},
        "a|differ",
    ),
    "no such corpus": ({"data.corpus": {"choice": ["no.txt"]}}, "no.txt"),
    "two bases": (
        {"config": {"choice": ["default", "grammar"]}},
        "a space has one, and one application",
    ),
    "no such base": ({"config": "defualt"}, "did you mean 'default'"),
}


# In place of a corpus that takes seconds to read.
SMALL = {"config": "grammar", "data.grammar_sentences": 60}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_space_is_one_line(name):
    raw, said = BAD[name]
    with pytest.raises((ConfigError, DataError), match=said) as error:
        check(plan_of(source({**SMALL, **raw})))
    assert "\n" not in str(error.value)


def test_cells_of_flax_are_names_as_ours_are():
    cells = {"choice": ["gru", "flax:GRUCell", "flax:linen.MGUCell"]}
    check(plan_of(source({**SMALL, "model.cell": cells})))


def test_a_bad_file_is_one_line(tmp_path):
    cases = {
        "a.json": ("{", "a.json"),
        "b.json": ("[]", "no object"),
        "c.py": ("1/0", "ZeroDivisionError"),
        "d.py": ("x = 1", "defines no SPACE"),
        "e.json": ('{"seed": 1, "seed": 2}', "set twice"),
        "f.py": ("import sys; sys.exit(3)", "SystemExit"),
        "g.json": ('{"optim.clip_at": {"uniform": [0, NaN]}}', "not JSON compliant"),
    }
    for name, (text, said) in cases.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(ConfigError, match=said) as error:
            read_plan(str(tmp_path / name))
        assert "\n" not in str(error.value)
    with pytest.raises(ConfigError, match="is not there"):
        read_plan(str(tmp_path / "none.json"))


def test_a_wrong_name_is_answered_with_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'tutorial'"):
        read_plan("tutorail")


@pytest.mark.parametrize("name", ready_spaces())
def test_ready_spaces_are_valid_in_both_forms(name):
    small = read_plan(name, small=True).source
    raw = {**small.raw, "data.corpus": "grammar", "data.grammar_sentences": 60}
    check(plan_of(replace(small, raw=raw)))
    full = read_plan(name)
    for fields in islice(corners(full, 60), 50):
        full.config(fields)


def test_the_readmes_spaces_are_spaces(tmp_path):
    text = (SPACES.parent / "sweep" / "README.md").read_text(encoding="utf-8")
    for kind, name in (("json", "a.json"), ("python", "a.py")):
        (block,) = re.findall(rf"^```{kind}\n(.*?)^```", text, re.M | re.S)
        (tmp_path / name).write_text(block)
        plan = read_plan(str(tmp_path / name), small=kind == "json")
        for fields in corners(plan, 30):
            plan.config(fields)
        assert "optim.learning_rate" in varied_fields(plan)

"""Spaces: their algebra, how they are read, and what is said of bad ones."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipeline.errors import DataError
from experiments.sweep.checks import check
from experiments.sweep.reading import names, plan_of, read_plan
from experiments.sweep.space import (
    Chain,
    Choice,
    Fixed,
    Interval,
    Product,
    When,
    Zip,
    between,
    decisions,
    every,
    fields_of,
    finite,
    size,
    walk,
)
from lm.config import ConfigError

LETTERS = "abcdefgh"


def points(space, base=None):
    return [fields for _, fields in every(space, base or {})]


def choice(field, count):
    return Choice(field, field, tuple(range(count)))


@given(st.lists(st.integers(1, 3), min_size=1, max_size=4))
def test_a_product_has_as_many_points_as_its_parts_multiplied(counts):
    parts = tuple(choice(LETTERS[i], n) for i, n in enumerate(counts))
    found = points(Product(parts))
    assert len(found) == math.prod(counts) == size(Product(parts), {})
    assert len({json.dumps(p, sort_keys=True) for p in found}) == len(found)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=5))
def test_a_chain_has_as_many_points_as_its_parts_added(counts):
    parts = tuple(choice(LETTERS[i], n) for i, n in enumerate(counts))
    found = points(Chain("chain", parts))
    assert len(found) == sum(counts)
    assert [set(p) for p in found] == [
        {LETTERS[i]} for i, n in enumerate(counts) for _ in range(n)
    ]


@given(st.integers(1, 6), st.integers(1, 4))
def test_a_zip_moves_fields_together(rows, others):
    values = tuple((i, -i) for i in range(rows))
    space = Product((Zip("a & b", ("a", "b"), values), choice("c", others)))
    found = points(space)
    assert len(found) == rows * others
    assert all(p["b"] == -p["a"] for p in found)


@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))
def test_a_condition_counts_only_where_it_holds(cells, lstm_only, always):
    kinds = Choice("cell", "cell", ("lstm", *map(str, range(cells))))
    rule = When((("cell", ("lstm",)),), choice("forget", lstm_only))
    # The rule stands before what it looks at: order in a file does not matter.
    found = points(Product((rule, choice("rate", always), kinds)))
    assert len(found) == always * (cells + lstm_only)
    assert all(("forget" in p) == (p["cell"] == "lstm") for p in found)


@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))
def test_product_distributes_over_chain(a, b, c):
    """a × (b ∪ c) = (a × b) ∪ (a × c), as sets of points."""
    x, y, z = choice("x", a), choice("y", b), choice("z", c)
    left = points(Product((x, Chain("chain", (y, z)))))
    right = points(Chain("chain", (Product((x, y)), Product((x, z)))))
    key = lambda p: json.dumps(p, sort_keys=True)  # noqa: E731
    assert sorted(left, key=key) == sorted(right, key=key)


def test_a_condition_reads_the_base_where_the_space_leaves_a_field_alone():
    rule = Product((choice("x", 2), When((("cell", ("gru",)),), Fixed("y", 1))))
    assert all("y" in p for p in points(rule, {"cell": "gru"}))
    assert not any("y" in p for p in points(rule, {"cell": "lstm"}))


@given(st.floats(1e-6, 1e3), st.floats(1.01, 1e6), st.integers(2, 9), st.floats(0, 1))
def test_points_of_an_interval_lie_in_it_and_reach_its_ends(low, factor, count, share):
    for log in (False, True):
        node = Interval("x", "x", low, low * factor, log=log, points=count)
        found = [p["x"] for p in points(node)]
        assert found[0] == node.low and found[-1] == node.high
        assert found == sorted(found) and len(found) == count
        assert node.low <= between(node, share) <= node.high


def test_a_log_interval_steps_by_factors_and_whole_numbers_are_whole():
    node = Interval("x", "x", 0.001, 1.0, log=True, points=4)
    assert [p["x"] for p in points(node)] == [0.001, 0.01, 0.1, 1.0]
    whole = Interval("n", "n", 1, 64, log=True, whole=True, points=7)
    assert [p["n"] for p in points(whole)] == [1, 2, 4, 8, 16, 32, 64]
    assert [p["n"] for p in points(Interval("n", "n", 2, 4, whole=True))] == [2, 3, 4]


@settings(max_examples=30)
@given(st.data())
def test_every_walk_is_one_of_the_points(data):
    """However the decisions of a finite space are made, the grid has that point."""
    space = Product(
        (
            choice("x", 2),
            Chain(
                "chain", (choice("y", 2), Zip("a & b", ("a", "b"), ((1, 2), (3, 4))))
            ),
            When((("x", (1,)),), Interval("n", "n", 1, 3, whole=True)),
        )
    )
    from experiments.sweep.space import alternatives

    drawn = walk(space, lambda n: data.draw(st.sampled_from(alternatives(n))), {})
    assert drawn in points(space)
    assert set(drawn) <= set(fields_of(space)) == {"x", "y", "a", "b", "n"}


def test_what_is_fixed_in_one_part_of_a_chain_varies():
    space = Chain("chain", (Fixed("a", 1), Product((Fixed("a", 2), Fixed("b", 3)))))
    assert fields_of(space) == ["a", "b"]
    assert fields_of(Product((Fixed("a", 1), choice("x", 2)))) == ["x"]


def test_a_continuous_space_has_no_size():
    plan = plan_of("x", {"optim.learning_rate": {"loguniform": [0.001, 1.0]}})
    assert not finite(plan.space) and size(plan.space, plan.values) == math.inf


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
    configs = [plan.config(fields, seed=7) for _, fields in every(plan.space, {})]
    got = [(c.optim.learning_rate, c.model.cell, c.train.epochs) for c in configs]
    assert got == [(r, c, 3) for r in (0.001, 1.0) for c in ("tanh", "gru")]
    assert {c.seed for c in configs} == {7} and {c.name for c in configs} == {"mine"}


def test_a_python_file_gives_the_same_space(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("SPACE = {'model.hidden': {'choice': [2**n for n in range(3)]}}")
    assert size(read_plan(str(path)).space, {}) == 3


def test_a_field_in_two_parts_of_a_chain_is_two_decisions():
    """Their ranges differ, so the search must not take one for the other."""
    parts = [{"model.hidden": {"int": [1, 4]}}, {"model.hidden": {"int": [50, 60]}}]
    plan = plan_of("x", {"chain": parts})
    found = [node.name for node in decisions(plan.space)]
    assert found == ["chain", "model.hidden", "model.hidden #2"]
    assert fields_of(plan.space) == ["model.hidden"]


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
        {"model.hidden": 3, "product": [{"model.hidden": {"choice": [1, 2]}}]},
        "model.hidden is set twice",
    ),
    "too low": ({"optim.learning_rate": {"uniform": [0, 1]}}, "must be above 0"),
    "too high": ({"model.dropout.weight": {"uniform": [0, 1]}}, r"\[0.0, 1.0\)"),
    "high by one condition": (
        {
            "model.cell": {"choice": ["tanh", "lstm"]},
            "when": {"model.cell": "lstm", "then": {"model.layers": {"int": [1, 9]}}},
        },
        r"model.layers is 9: must lie in \[1, 8\]",
    ),
    "another type": ({"model.hidden": {"uniform": [0.5, 2.0]}}, "must be of type int"),
    "no such cell": ({"model.cell": {"choice": ["tanh", "grru"]}}, "mean 'gru'"),
    "not together": (
        {"model.hidden": {"choice": [7, 8]}, "model.softmax": "tied"},
        "a|differ",
    ),
    "no such corpus": ({"data.corpus": {"choice": ["no.txt"]}}, "no.txt"),
    "no such base": ({"config": "defualt"}, "did you mean 'default'"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_space_is_one_line(name):
    raw, said = BAD[name]
    with pytest.raises((ConfigError, DataError), match=said) as error:
        check(plan_of("x", raw))
    assert "\n" not in str(error.value)


def test_a_bad_file_is_one_line(tmp_path):
    cases = {
        "a.json": ("{", "a.json"),
        "b.json": ("[]", "no object"),
        "c.py": ("1/0", "ZeroDivisionError"),
        "d.py": ("x = 1", "defines no SPACE"),
        "e.json": ('{"seed": 1, "seed": 2}', "set twice"),
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


@pytest.mark.parametrize("name", names())
def test_ready_spaces_are_valid_in_both_forms(name):
    small = read_plan(name, small=True)
    check(small)
    full = read_plan(name)
    for _, fields in list(every(full.space, full.values, _ends))[:50]:
        full.config(fields)


def _ends(node):
    from experiments.sweep.space import extremes

    return extremes(node)

"""Sequences that follow a rule: what they are, what is asked, how far it carries."""

import dataclasses

import numpy as np
import pytest

from data_pipeline.rules import LONGER_TERMS, RULES, SIGNS, STARTS, STEPS, padded
from experiments.applications.sequences.application import deciding
from experiments.applications.sequences.config import RuleConfig
from experiments.applications.sequences.reading import Fixed, Fresh
from experiments.config import GradflowConfig, TrainConfig, load_named
from experiments.console.command_line import Options
from experiments.run.files import read_json
from experiments.train.plan import plan
from experiments.train.session import train
from lm.config import ConfigError, ModelConfig

pytestmark = pytest.mark.usefixtures("compile_cache")
ANSWERS = {
    "parity": lambda s: s.count("1") % 2,
    "even_pairs": lambda s: (
        sum(a != b for a, b in zip(s, s[1:], strict=False)) % 2 == 0
    ),
    "modular_sum": lambda s: sum(map(int, s)) % 5,
    "a_n_b_n": lambda s: s == "0" * (len(s) // 2) + "1" * (len(s) // 2),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_answers_by_the_definition(name):
    rule = RULES[name]
    for one in rule.make((0, 3), 200, "seen", (2, 12)):
        assert int(ANSWERS[name](one.text)) == one.targets[-1], one.text
        assert one.asked.tolist() == [0] * (len(one.text) - 1) + [1]
        np.testing.assert_array_equal(rule.parse(one.text), one.inputs)


def test_parity_after_every_bit_is_decided_by_the_last():
    rule = RULES["running_parity"]
    found = rule.make((0, 3), 6, "seen", (1, 9))
    for one in found:
        want = [one.text[: t + 1].count("1") % 2 for t in range(len(one.text))]
        assert one.targets.tolist() == want and one.asked.all()
    last_TB = deciding(rule)(padded(found, 8, 16))
    ends = [len(one.text) - 1 for one in found]
    assert np.argwhere(last_TB.T).tolist() == [[n, t] for n, t in enumerate(ends)]


def test_progressions_go_on_as_they_began():
    rule = RULES["progressions"]
    for part in ("seen", *rule.parts):
        terms = LONGER_TERMS if part == "longer" else rule.lengths
        for one in rule.make((0, 1), 50, part, terms):
            found = [int(word) for word in one.text.split(",")]
            steps = np.diff(found)
            assert len(set(steps)) == 1 and terms[0] <= len(found) <= terms[1]
            assert steps[0] in STEPS.get(part, STEPS["seen"])
            low, high = STARTS.get(part, STARTS["seen"])
            assert low <= found[0] < high
            asked = "".join(SIGNS[n] for n in one.targets[one.asked > 0])
            assert asked == ",".join(map(str, found[2:])) + ","
    assert not set(STEPS["seen"]) & set(STEPS["unseen_steps"])


def test_numbers_are_the_same_progressions():
    digits, numbers = (
        RULES[name].make((0, 1), 20, "seen", (4, 8))
        for name in ("progressions", "progressions_numbers")
    )
    for a, b in zip(digits, numbers, strict=True):
        assert a.text == b.text
        terms = np.array([int(word) for word in b.text.split(",")])
        np.testing.assert_allclose(b.inputs[:, 0] * 100, terms[:-1], atol=1e-4)
        np.testing.assert_allclose(b.targets * 100, terms[1:], atol=1e-4)


def test_batches_are_functions_of_seed_and_number():
    rule = RULES["parity"]
    fresh = Fresh(rule, (1, 9), 4, 3)
    one, same, other = (fresh.batch_at(s, 1, 2) for s in (0, 0, 1))
    np.testing.assert_array_equal(one.inputs, same.inputs)
    assert (one.inputs != other.inputs).any() and (one.mask.sum(0) == 1).all()
    np.testing.assert_array_equal(one.inputs, fresh.batch_at(0, 0, 5).inputs)
    examples = rule.make((0, 2), 5, "seen", (1, 9))
    fixed = Fixed(examples, 2)
    assert sum(fixed.batch_at(0, 0, n).mask.sum() for n in range(fixed.steps)) == 5
    assert padded(examples, 6, 16).mask[:, 5].sum() == 0


def test_rules_and_lengths_that_there_are_not_are_refused():
    config = load_named("sequences")
    for data, told in (
        (RuleConfig("parrity"), "parity"),
        (RuleConfig("progressions", lengths=(2, 4)), "needs 3 terms"),
    ):
        with pytest.raises(ConfigError, match=told):
            plan(dataclasses.replace(config, data=data))
    with pytest.raises(ConfigError, match="least and the largest"):
        RuleConfig(lengths=(5, 4))


def test_a_small_form_comes_near_the_optimum(tmp_path):
    """Even pairs carries to lengths never trained on."""
    config = dataclasses.replace(
        load_named("sequences_length"),
        data=RuleConfig("even_pairs", (1, 12), (13, 60), 64, 100, 200, 300),
        model=ModelConfig("lstm", hidden=24, embedding=0),
        train=TrainConfig(epochs=6, eval_batch=100, samples=0, fused=10),
        gradflow=GradflowConfig(every=0),
    )
    train(config, Options(tmp_path / "run"), [])
    summary = read_json(tmp_path / "run" / "summary.json")
    assert summary["scores"]["valid"]["solved"] > 0.98
    assert summary["scores"]["test"]["solved"] > 0.9
    (tree,) = summary["baselines"].values()
    assert tree["test"]["solved_longer"] == 1.0

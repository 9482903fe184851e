"""Mistakes, candidates, edits and the noisy channel."""

import dataclasses

import numpy as np
import pytest

from data_pipeline.config import DataConfig
from data_pipeline.corpora import grammar
from data_pipeline.corruption import KINDS, candidates, corrupt, edits_of, judged, near
from data_pipeline.dataset import prepare
from experiments.applications.correction.choosing import (
    Choice,
    Weights,
    choices_of,
    corrected,
    exact_nats,
    frequent_of,
    mistaken,
    spelled,
    tuned,
)
from experiments.applications.correction.config import MistakesConfig
from experiments.config import GradflowConfig, TrainConfig, load_named
from experiments.console.command_line import Options
from experiments.run.files import read_json
from experiments.train.session import train

pytestmark = pytest.mark.usefixtures("compile_cache")


def words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


@pytest.fixture(scope="module")
def dataset():
    data = DataConfig(
        "grammar", "whitespace", reading="sentences", grammar_sentences=400
    )
    return prepare(data)


def test_every_mistake_is_among_the_candidates(dataset):
    """What was written is one mistake away from what was meant, and found again."""
    vocabulary, seen = dataset.vocabulary, set()
    frequent = frequent_of(vocabulary, 12)
    for line in grammar.sample(150, 3).lines:
        for key in range(3):
            target = words(line)
            one = corrupt(target, frequent, 0.1, key, len(line), len(seen))
            seen.add(one.kind)
            assert one.target == target and (one.kind == "none") == (
                one.source == target
            )
            known = set(vocabulary.tokens) | set(target)
            found = candidates(one.source, known, frequent)
            assert found[0] == one.source and target in found
            assert len(set(found)) == len(found)
    assert seen == {"none", *KINDS}


def test_a_step_away_is_symmetric_and_of_four_forms():
    assert {"dog", "do", "dogs", "odg"} <= set(near("dgo")) | set(near("dog"))
    for other in set(near("cat")):
        assert "cat" in set(near(other)) or other == "cat"


def test_edits_and_their_scores_by_hand():
    source, target = words("the the cat sleep"), words("the cat sleeps")
    assert edits_of(source, target) == {(1, 2, ()), (3, 4, ("sleeps",))} or edits_of(
        source, target
    ) == {(0, 1, ()), (3, 4, ("sleeps",))}
    half = words("the cat sleep")
    found = judged([source], [half], [target])
    assert found["precision"] == 1 and found["recall"] == 0.5
    assert found["f0.5"] == pytest.approx(1.25 * 0.5 / (0.25 + 0.5))
    assert found["sentence_accuracy"] == 0
    nothing = judged([source, target], [source, target], [target, target])
    assert nothing == {
        "sentence_accuracy": 0.5,
        "precision": 1.0,
        "recall": 0.0,
        "f0.5": 0.0,
    }


def test_the_cheapest_candidate_is_chosen_and_weights_are_tuned():
    a, b = words("a x"), words("a y")
    choice = Choice([a, b], np.array([5.0, 4.0]), np.array([0, 0]))
    assert choice.best(Weights(0.5, 0)) == b and choice.best(Weights(1.5, 0)) == a
    unknown = Choice([a, b], np.array([4.0, 5.0]), np.array([3, 0]))
    assert unknown.best(Weights(0.5, 1.0)) == b
    weights = tuned([choice, unknown], [a, b])
    assert choice.best(weights) == a and unknown.best(weights) == b


def test_the_grammar_itself_corrects_and_the_speller_only_spells(dataset):
    mistakes = MistakesConfig(sentences=40)
    found = {split: mistaken(dataset, split, mistakes) for split in ("valid", "test")}
    found = {split: own[:25] for split, own in found.items()}
    nats = exact_nats(grammar.log_probability)
    frequent = frequent_of(dataset.vocabulary, mistakes.frequent)
    each = {
        split: choices_of([o.source for o in own], nats, dataset.vocabulary, frequent)
        for split, own in found.items()
    }
    _, _, scores = corrected(found, each)
    assert scores["valid"]["sentence_accuracy"] > 0.8
    word = spelled(words("the dgo runs dgoo xqzj ."), dataset.vocabulary)
    assert word == words("the dog runs dgoo xqzj .")
    lengths = [len(one.target) for one in found["test"]]
    assert max(lengths) <= mistakes.longest


def test_a_small_form_corrects_most_sentences(tmp_path):
    config = load_named("correction")
    config = dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, grammar_sentences=5_000, batch=32),
        model=dataclasses.replace(config.model, hidden=48),
        mistakes=MistakesConfig(sentences=40),
        train=TrainConfig(epochs=2, eval_batch=100, samples=0),
        gradflow=GradflowConfig(every=0),
    )
    train(config, Options(tmp_path / "run"), [])
    summary = read_json(tmp_path / "run" / "summary.json")
    test, best = summary["scores"]["test"], summary["optimum"]
    assert test["sentence_accuracy"] > best["sentence_accuracy"] - 0.15
    speller = summary["baselines"]["unigram speller"]["test"]
    assert test["f0.5"] > speller["f0.5"]

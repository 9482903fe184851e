"""n-best lists: word errors, the choice of weights, what a list must have."""

import functools

import numpy as np
import pytest

from data_pipeline.errors import DataError
from experiments.applications.language_model import rescoring, scoring
from experiments.applications.language_model.rescoring import (
    Lists,
    Weights,
    choose_weights,
    chosen,
    errors_of,
    hypotheses,
    oracle,
    references,
    word_errors,
)
from experiments.applications.lines import lines_from
from experiments.score import __main__ as score
from experiments.train.trained import load_trained
from tests.tiny_run import make_run, records, refused

pytestmark = pytest.mark.usefixtures("compile_cache")


def by_recursion(a, b):
    @functools.cache
    def least(i, j):
        if not i or not j:
            return i + j
        swap = least(i - 1, j - 1) + (a[i - 1] != b[j - 1])
        return min(swap, least(i - 1, j) + 1, least(i, j - 1) + 1)

    return least(len(a), len(b))


def test_word_errors_against_recursion():
    chance = np.random.default_rng(0)
    assert word_errors("the cat sat".split(), "a cat sat on".split()) == 2
    for _ in range(30):
        a, b = (
            chance.choice(["x", "y", "z"], n).tolist() for n in chance.integers(0, 7, 2)
        )
        assert word_errors(a, b) == by_recursion(a, b)


def random_lists(seed, groups=40, size=6):
    """Hypotheses whose errors follow −acoustic − ½ language − 2 words, in noise."""
    chance = np.random.default_rng(seed)
    n = groups * size
    acoustic, language = chance.normal(size=(2, n)) * [[5], [9]]
    words = chance.integers(1, 9, n).astype(float)
    truth = acoustic + 0.5 * language + 2 * words + chance.normal(size=n)
    errors = np.empty(n, np.int64)
    for begin in range(0, n, size):
        errors[begin : begin + size] = np.argsort(
            np.argsort(-truth[begin : begin + size])
        )
    return Lists(
        np.arange(0, n + 1, size), acoustic, language, words, errors, 5 * groups
    )


def test_weights_are_found_and_hold_on_other_lists():
    dev, test = random_lists(0), random_lists(1)
    best = choose_weights(dev)
    assert 0.3 < best.language < 0.8 and 1 < best.word < 3.5
    coarse = [
        errors_of(dev, Weights(a, b))
        for a in rescoring.LAMBDAS
        for b in rescoring.BETAS
    ]
    assert errors_of(dev, best) <= min(coarse)
    assert errors_of(test, best) < 0.6 * errors_of(test, rescoring.ALONE)
    assert oracle(dev) == 0 <= errors_of(dev, best)
    groups = test.errors.reshape(40, 6)
    shifted = test._replace(errors=test.errors + 3)
    assert oracle(shifted) == (groups + 3).min(axis=1).sum()
    rows = chosen(test, Weights(0.7, -1.0))
    scores = test.acoustic + 0.7 * test.language - test.words
    assert (rows == np.arange(40) * 6 + scores.reshape(40, 6).argmax(axis=1)).all()


def test_of_equally_good_weights_the_smallest_are_taken():
    even = random_lists(0)._replace(errors=np.ones(240, np.int64))
    assert choose_weights(even) == Weights(0.0, 0.0)


def test_a_hypothesis_without_words_comes_last():
    lists = Lists(
        np.array([0, 2, 3]),
        np.array([9.0, 1.0, 5.0]),
        np.zeros(3),
        np.array([0.0, 2.0, 0.0]),
        np.zeros(3, np.int64),
        2,
    )
    assert chosen(lists, Weights(1.0, 0.0)).tolist() == [1, 2]


def test_lines_of_lists():
    lines = lines_from(["u ||| -3.5 ||| the cat", "u ||| a dog ||| LM: 1 ||| -2"], "f")
    found = [(h.line.group, h.line.text, h.acoustic) for h in hypotheses(lines)]
    assert found == [("u", "the cat", -3.5), ("u", "a dog", -2.0)]
    for text, message in (
        ("u ||| the cat", "f line 2: the group 'u' has a hypothesis without a score"),
        ("the cat", "f line 2: the group 'the cat' has a hypothesis without a score"),
        ("u ||| x ||| the cat", "f line 2: the score 'x' is no finite number"),
        ("u ||| nan ||| the cat", "no finite number"),
        (" ", "f line 2 is empty"),
    ):
        with pytest.raises(DataError, match=message.replace("|", r"\|")):
            list(hypotheses(lines_from(["u ||| 1 ||| a", text], "f")))


def test_references_by_name_or_in_order():
    named = lines_from(["v ||| a b", "u ||| c", "w ||| d"], "r")
    assert references(named, ["u", "v"], "r") == [["c"], ["a", "b"]]
    texts = lines_from(["a b", ""], "r")
    assert references(texts, ["u", "v"], "r") == [["a", "b"], []]
    for given, message in (
        (["v ||| a"], "^r: no reference for the group 'u'"),
        (["a", "b", "c"], "^r: 3 references for 2 groups"),
        ([], "^r: 0 references"),
        (["u ||| a", "b"], "^r line 2 names no group"),
        (["u ||| a", "v ||| b", "u ||| c"], "^r line 3: a second one for the .* 'u'"),
    ):
        with pytest.raises(DataError, match=message):
            references(lines_from(given, "r"), ["u", "v"], "r")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("lists"))


def test_lists_are_rescored_by_weights_of_development_lists(run, tmp_path, capsys):
    texts = [
        "the cat sat .",
        "cat the .",
        "a dog ran off",
        "dog",
        "a mat",
        "the mat sat",
    ]
    groups = ["u", "u", "v", "v", "u", "v"]
    acoustic = [-4.0, -1.0, -2.0, -3.0, -9.0, -2.5]
    logs = [-s.total for s in scoring.score_lines(load_trained(run), texts)]
    lists, said = tmp_path / "n.txt", tmp_path / "r.txt"
    rows = zip(groups, acoustic, texts, strict=True)
    lists.write_text("".join(f"{g} ||| {a} ||| {t}\n" for g, a, t in rows))
    said.write_text("the cat sat .\na dog ran off\n")
    argv = ["--run", run, "--text", lists, "--nbest"]
    for weights in ((0.5, 1.5), (0.0, 0.0)):
        flags = ["--weights", *weights, "--references", said]
        found, total = records([*argv, *flags], capsys)
        sums = np.array(acoustic) + weights[0] * np.array(logs)
        sums += weights[1] * np.array([len(t.split()) for t in texts])
        rows = list(zip(sums, texts, groups, strict=True))
        best = [max((s, t) for s, t, g in rows if g == x)[1] for x in "uv"]
        assert [r["text"] for r in found] == best and total["oracle"] == 0
        errors = sum(
            word_errors(b.split(), w.split())
            for b, w in zip(best, said.read_text().splitlines(), strict=True)
        )
        assert total["word_error_rate"] == errors / 8 and total["words"] == 8
    assert total["word_error_rate"] == total["acoustic_alone"] == 2 / 8
    flags = ["--dev", lists, "--dev-references", said]
    found, total = records([*argv, *flags], capsys)
    assert total["dev"]["word_error_rate"] == 0 and total["weights"]["language"] >= 0
    assert [r["text"] for r in found] == said.read_text().splitlines()
    assert "word_error_rate" not in total  # without references of its own
    score.main([*map(str, argv), *map(str, flags), "--references", str(said)])
    shown = capsys.readouterr().out
    assert "text: word error rate 0.00% of 8 words; 25.00% by the acoustic" in shown
    lists.write_text("u ||| 1 ||| the cat\nu ||| a dog\n")
    assert f"{lists} line 2: the group 'u'" in refused(
        score.main, [*argv, *flags], capsys
    )
    lists.write_text("")
    assert "has no hypothesis" in refused(score.main, [*argv, *flags], capsys)

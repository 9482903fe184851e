"""Benchmarks of language models that read: BLiMP, and what scoring costs."""

import dataclasses
import json
import re

import numpy as np
import pytest
from pytest import approx

from experiments.applications.language_model.blimp import CATEGORIES, PARADIGMS
from experiments.applications.language_model.scoring import score_lines
from experiments.benchmark import adaptation, blimp, scoring
from experiments.benchmark.__main__ import main
from experiments.config import load_named
from experiments.results import rows as results
from experiments.train.trained import load_trained
from lm.config import ConfigError
from tests.tiny_run import make_run, refused

pytestmark = pytest.mark.usefixtures("compile_cache")
SENTENCES = (
    ("the cat sat .", "sat cat the ."),
    ("the zebra ran .", "the gnu ran ."),  # the same to a model of words
    ("a dog ran off", "a dog ran on"),
)
TERMS = ("s-selection", *filter(None, blimp.blimp.PUBLISHED))


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """(the runs, the pairs, the row) of a made BLiMP: its paradigms, one pair each."""
    folder = tmp_path_factory.mktemp("blimp")
    runs = [make_run(folder / name, tokenizer=name) for name in ("words", "characters")]
    pairs = [
        {"sentence_good": good, "sentence_bad": bad, "UID": f"p{n}"}
        | {"linguistics_term": TERMS[n % len(TERMS)]}
        for n in range(PARADIGMS)
        for good, bad in [SENTENCES[n % len(SENTENCES)]]
    ]
    file = folder / "blimp" / "pairs.jsonl"
    file.parent.mkdir()
    file.write_text("\n".join(map(json.dumps, pairs)))
    argv = ["blimp", "--run", *map(str, runs), "--pairs", str(file.parent)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(results, "RESULTS", folder / "results")
        main(argv)
        row = results.rows()["benchmark_blimp"]
    return runs, pairs, row


def test_blimp_by_the_categories_of_its_paper(measured):
    """Each run's pairs by its own sentences' scores; s-selection is no category."""
    runs, pairs, row = measured
    for run, found in zip(runs, row["metrics"]["runs"], strict=True):
        texts = [p[side] for p in pairs for side in ("sentence_good", "sentence_bad")]
        scored = score_lines(load_trained(run), texts)
        good, bad = -np.array([s.total for s in scored]).reshape(-1, 2).T
        same = np.array([found["tokens"] == "words" and n % 3 == 1 for n in range(67)])
        terms = [CATEGORIES.get(t, t) for t in (p["linguistics_term"] for p in pairs)]
        whole, *by_term = found["rows"]
        assert whole["accuracy"] == approx(np.mean((good > bad) & ~same))
        assert whole["same"] == whole["ties"] == same.sum()
        assert whole["published"] == {"5-gram": 0.612, "LSTM": 0.698, "GPT-2": 0.83}
        assert [r["group"] for r in by_term] == list(dict.fromkeys(terms))
        assert len(by_term) == 12 and all(len(r["published"]) == 3 for r in by_term)
        for each in by_term:
            here = np.array([term == each["group"] for term in terms])
            assert each["pairs"] == here.sum()
            assert each["accuracy"] == approx(np.mean(((good > bad) & ~same)[here]))
    words, characters = row["metrics"]["runs"]
    assert (words["ngram"], characters["ngram"]) == ("5-gram", "10-gram")
    assert "10-gram_low" in characters["rows"][0] and words["vocabulary"] > 10
    assert row["command"] == (
        "python -m experiments.benchmark blimp --run path/to/run path/to/run "
        "--pairs path/to/blimp"
    )


def test_the_table_of_blimp(measured):
    """A line a term with all models, and a line a model with what it does not know."""
    row = measured[2]
    head, _, whole, *lines = blimp.table([row]).splitlines()
    assert head == (
        "| term | pairs | `tiny`, words | its 5-gram | `tiny`, characters | its "
        "10-gram | 5-gram, 2020 | LSTM, 2020 | GPT-2, 2020 |"
    )
    first = row["metrics"]["runs"][0]["rows"][0]
    share = "{accuracy:.3f} [{low:.3f}, {high:.3f}]".format(**first)
    assert whole.startswith(f"| **all** | 67 | {share} | ")
    assert whole.endswith(" | 0.612 | 0.698 | 0.830 |")
    assert lines[0].startswith("| argument structure | 11 | ")
    known = [line.split(" | ") for line in lines if "`tiny`, words |" in line]
    assert [cell.strip(" |") for cell in known[0][3:]] == [
        "67.2%",
        f"{first['accuracy_covered']:.3f}",
        "22",
        "22",
    ]
    assert re.fullmatch(rf"`{re.escape(row['command'])}`, \d+ s on .+", lines[-1])


def test_what_cannot_be_measured_is_refused(measured, tmp_path, capsys):
    run, file = str(measured[0][0]), tmp_path / "p.tsv"
    file.write_text("sentence_good\tsentence_bad\na\tb\n")
    for argv, said in (
        (["blimp", "--run", run, run], "name each run once"),
        (["blimp", "--run", str(tmp_path / "no")], "no"),
        (["blimp", "--run", run, "--pairs", str(file)], "'linguistics_term'"),
        (["blimp", "--run", run, "--pairs", str(tmp_path / "x")], "there is no file"),
    ):
        assert said in refused(main, argv, capsys)
    with pytest.raises(ConfigError, match="adaptation is of one run"):
        adaptation.measure(["a", "b"])


def test_scoring_reads_what_an_evaluation_reads():
    """All sides read all tokens of so many sentences; the row has the least of each."""
    base = load_named("grammar")
    config = dataclasses.replace(
        base,
        data=dataclasses.replace(base.data, grammar_sentences=80, batch=2, window=8),
        model=dataclasses.replace(base.model, hidden=4, embedding=4),
    )
    count, sides = scoring.sides_of(config, 30)
    tokens = {side() for side in sides.values()}
    assert count == 30 and len(sides) == 3 and len(tokens) == 1 and tokens.pop() > 150


def test_the_table_of_scoring():
    seconds = {scoring.EVALUATION: 2.0, scoring.TEXT: 3.0, scoring.ALONE: 2.5}
    metrics = {"sentences": 10_000, "tokens": 100_000, "seconds": seconds}
    row = {"command": "c", "seconds": 60, "hardware": {"cores": 2}, "metrics": metrics}
    head, _, *lines = scoring.table([row]).splitlines()
    assert head.startswith("| 10,000 sentences, 100,000 tokens | seconds | tokens/s |")
    assert lines[0] == "| evaluated | 2.00 | 50,000 | 1.00× |"
    assert lines[2] == "| scored, each by itself | 2.50 | 40,000 | 1.25× |"

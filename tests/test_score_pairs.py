"""Minimal pairs: how they are read, what decides them, and those of the grammar."""

import functools
import gzip
import json
import math

import numpy as np
import pytest

from data_pipeline.agreement import ATTRACTORS, agreement_pairs
from data_pipeline.corpora.grammar import derivations, log_probability, rules
from data_pipeline.errors import DataError
from data_pipeline.minimal_pairs import read_pairs
from data_pipeline.new_text import encode_text
from experiments import ngram
from experiments.applications.language_model import contrasts, scoring
from experiments.results.intervals import wilson
from experiments.score import __main__ as score
from experiments.score import pairs as judged_pairs
from experiments.train.trained import load_trained, split_of_run
from tests.tiny_run import make_run, records, refused

pytestmark = pytest.mark.usefixtures("compile_cache")
PAIRS = [
    ("the cat sat .", "sat cat the .", "a"),
    ("the zebra ran .", "the gnu ran .", "a"),  # <unk> both
    ("a dog ran off", "off a dog ran", "b"),
    ("a gnu on the mat", "on mat a gnu", "b"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("pairs"))


def tsv(path, rows, head="sentence_good\tsentence_bad\tUID"):
    path.write_text("\n".join([head, *("\t".join(row) for row in rows)]) + "\n")
    return path


def test_all_forms_of_pairs_read_alike(tmp_path):
    names = ("sentence_good", "sentence_bad", "UID")
    lines = "".join(
        json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in PAIRS
    )
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, part in (
        ("b.jsonl", lines.splitlines(True)[2:]),
        ("a.jsonl", lines.splitlines(True)[:2]),
    ):
        (folder / name).write_text("".join(part))
    (tmp_path / "p.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    wanted = [(good, bad, "", {"UID": uid}) for good, bad, uid in PAIRS]
    for path in (tsv(tmp_path / "p.tsv", PAIRS), folder, tmp_path / "p.jsonl.gz"):
        assert [pair[:4] for pair in read_pairs(str(path))] == wanted
    linzen = tsv(tmp_path / "l.tsv", [("the cats", "run", "runs")], "prefix\tgood\tbad")
    assert read_pairs(str(linzen))[0][:4] == ("run", "runs", "the cats", {})


def test_what_are_no_pairs_is_told_with_its_place(tmp_path):
    both = '{"sentence_good": "a", "sentence_bad": "b"}\n'
    (tmp_path / "folder").mkdir()
    for name, text, message in (
        ("a.tsv", "good\tbad\n", "line 1 names the columns 'good', 'bad'; pairs need"),
        ("b.tsv", "sentence_good\tsentence_bad\na\n", "line 2 has 1 cells"),
        ("c.tsv", "sentence_good\tsentence_bad\na\tb\n\n", "line 3 is empty"),
        (
            "d.tsv",
            "sentence_good\tsentence_bad\na\t \n",
            "line 2: a sentence of the pair",
        ),
        ("e.tsv", "sentence_good\tsentence_bad\n", "has no pair"),
        ("f.tsv", "prefix\tgood\tbad\n \ta\tb\n", "line 2: the prefix of the pair"),
        (
            "g.tsv",
            "sentence_good\tsentence_bad\tsentence_good\n",
            "line 1 names the column 'sentence_good' twice",
        ),
        ("a.jsonl", f"{both}\n", "line 2 is empty"),
        (
            "b.jsonl",
            f'{both}{{"sentence_good": "a"}}',
            "line 2: no column 'sentence_bad'",
        ),
        ("c.jsonl", f"{both}[1]", "line 2 is no JSON object"),
        ("d.jsonl", f"{both}x", "line 2 is no JSON (Expecting value): every line"),
        ("f.jsonl", "[" * 99_999, "line 1 is no JSON (it is nested too deeply)"),
        ("e.jsonl", both.replace('"b"', "3"), "line 1: 'sentence_bad' is no text"),
        ("no.tsv", None, "there is no file"),
        ("folder", None, "no file of JSON lines"),
    ):
        path = tmp_path / name
        if text is not None:
            path.write_text(text)
        with pytest.raises(DataError) as told:
            read_pairs(str(path))
        assert message in str(told.value) and "\n" not in str(told.value)


def test_wilson_by_hand():
    for hits, count, low, high in (
        (8, 10, 0.4902, 0.9433),
        (0, 10, 0.0, 0.2775),
        (50, 100, 0.4038, 0.5962),
    ):
        assert wilson(hits, count) == pytest.approx((low, high), abs=1e-4)
    assert wilson(10, 10)[1] == pytest.approx(1) and math.isnan(wilson(0, 0)[0])


def test_ties_are_wrong_and_the_same_ids_are_ties_whatever_rounding_says():
    cut = contrasts.Cut([], [], np.array([False, False, True, False]), np.ones(4, bool))
    logs = np.array([[-9.0, -9.1], [-9.0, -9.0 - 1e-7], [-9.0, -10.0], [-9.1, -9.0]])
    found = contrasts.verdict(cut, logs)
    assert found.right.tolist() == [True, False, False, False]
    assert found.tied.tolist() == [False, True, True, False]


def test_pairs_against_scores_of_their_sentences(run, tmp_path, capsys):
    path, trained = tsv(tmp_path / "p.tsv", PAIRS), load_trained(run)
    argv = ["--run", run, "--pairs", path, "--ngram", "2"]
    rows, total = records(argv, capsys)
    texts = [text for pair in PAIRS for text in pair[:2]]
    sums = np.array([-s.total for s in scoring.score_lines(trained, texts)]).reshape(
        -1, 2
    )
    model = ngram.fit(split_of_run(run, trained, "train"), trained.vocabulary.size, 2)
    theirs = []
    for text in texts:
        tokens = encode_text(trained.vocabulary, None, [text])
        theirs.append(float(np.log(ngram.probabilities(model, tokens)).sum()))
    theirs = np.array(theirs).reshape(-1, 2)
    for at, (row, (good, bad)) in enumerate(zip(rows, sums, strict=True)):
        assert row["log_probability_good_nats"] == pytest.approx(good, rel=1e-5)
        assert row["log_probability_bad_nats"] == pytest.approx(bad, rel=1e-5)
        assert row["right"] == (good > bad and at != 1)
        assert row["2-gram_right"] == (theirs[at, 0] > theirs[at, 1] and at != 1)
        assert (row["same"], row["tie"], row["known"]) == (
            at == 1,
            at == 1,
            at % 2 == 0,
        )
    whole, *groups = total["rows"]
    assert [(g["by"], g["group"], g["pairs"]) for g in groups] == [
        ("UID", "a", 2),
        ("UID", "b", 2),
    ]
    right = [row["right"] for row in rows]
    assert whole["accuracy"] == np.mean(right) and whole["ties"] == whole["same"] == 1
    assert whole["covered"] == 2 and whole["accuracy_covered"] == np.mean(right[::2])
    assert (whole["low"], whole["high"]) == pytest.approx(wilson(sum(right), 4))
    assert whole["2-gram_accuracy"] == np.mean([row["2-gram_right"] for row in rows])
    score.main([*map(str, argv), "--by", "UID"])
    shown = capsys.readouterr().out
    assert "ties count as wrong" in shown and "UID: b" in shown and "2-gram" in shown
    assert "LSTM 2020" not in shown
    score.main([*map(str, argv), "--format", "tsv", "--base", "bits"])
    head, *lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and "log_probability_good_bits" in head.split("\t")
    wrong = refused(score.main, [*argv, "--by", "uid"], capsys)
    assert "did you mean 'UID'" in wrong or "valid: UID" in wrong


def test_forms_after_a_prefix_have_no_end(run, tmp_path, capsys):
    rows = [("the cat", "sat", "ran off"), ("a dog", "ran", "sat")]
    path = tsv(tmp_path / "l.tsv", rows, "prefix\tgood\tbad")
    found, _ = records(["--run", run, "--pairs", path], capsys)
    text = tmp_path / "c.txt"
    text.write_text("".join(f"{p}\t{g}\n{p}\t{b}\n" for p, g, b in rows))
    argv = ["--run", run, "--text", text, "--conditional", "--skip-end"]
    alone, _ = records(argv, capsys)
    logs = [row[f"log_probability_{s}_nats"] for row in found for s in ("good", "bad")]
    assert logs == pytest.approx([r["log_probability"] for r in alone], rel=1e-5)


def test_the_grammar_knows_all_answers():
    pairs = agreement_pairs(each=4, seed=3)
    assert pairs == agreement_pairs(each=4, seed=3) != agreement_pairs(each=4, seed=4)
    assert len({pair.good for pair in pairs}) == 8 * len(ATTRACTORS)
    kinds = [(int(p.groups["attractors"]), p.groups["subject"]) for p in pairs]
    assert all(kinds.count((n, s)) == 4 for n in ATTRACTORS for s in ("sg", "pl"))
    for pair in pairs:
        good, bad = pair.good.split(), pair.bad.split()
        assert derivations(tuple(good))[len(good)][1] == 1
        assert log_probability(pair.bad) == -math.inf
        (verb,) = [
            at for at, (a, b) in enumerate(zip(good, bad, strict=True)) if a != b
        ]
        nouns = [n for word in good[:verb] if (n := number_of(word))]
        assert nouns[0] == pair.groups["subject"]
        others = [n for n in nouns[1:] if n != nouns[0]]
        assert str(len(others)) == pair.groups["attractors"]
        assert str(len(nouns) - 1) == pair.groups["intervening"]


def number_of(word):
    """Of a noun of the grammar, by its lists."""
    lists = {"Noun_sg": "sg", "Spot": "sg", "Noun_pl": "pl"}
    return next((n for name, n in lists.items() if (word,) in dict_of(name)), None)


def dict_of(name):
    return {symbols for _, symbols in rules()[name]}


def test_pairs_of_another_text_are_the_same_to_the_model(run, capsys, monkeypatch):
    few = functools.partial(agreement_pairs, each=2)
    monkeypatch.setattr(judged_pairs, "agreement_pairs", few)
    rows, total = records(["--run", run, "--pairs", "grammar"], capsys)
    whole = total["rows"][0]
    assert len(rows) == whole["pairs"] == 16
    assert whole["ties"] == whole["same"] + sum(
        r["tie"] and not r["same"] for r in rows
    )
    assert whole["same"] > 0 and whole["covered"] == 0
    assert whole["accuracy_covered"] is None
    groups = {r["by"] for r in total["rows"]}
    assert groups == {"", "attractors", "subject"}

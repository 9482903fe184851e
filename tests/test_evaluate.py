"""The command that adapts and mixes: its numbers by other ways, its refusals."""

import json
import math
import re

import numpy as np
import pytest

from data_pipeline.config import DataConfig
from experiments.applications.language_model.scoring import score_tokens
from experiments.applications.language_model.segments import beginning, segments_of
from experiments.benchmark import adaptation
from experiments.evaluate import __main__ as command
from experiments.evaluate.options import Evaluate
from experiments.ngram import fit, probabilities
from experiments.train.trained import load_trained, splits_of_run
from lm.config import ConfigError, OptimConfig
from tests import tiny_run
from tests.tiny_run import TEXT, make_run, refused

pytestmark = pytest.mark.usefixtures("compile_cache")
ALL = ["--temperature", "0.9", "1", "1.2", "--cache", "7", "--theta", "0.3", "1"]
ALL += ["--dynamic", "--rate", "0.001", "--decay", "0.01", "--ngram", "3"]
ALL += ["--segment", "6"]


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("words"))


def evaluated(argv, capsys):
    """{row's name: row} and the summary."""
    command.main([*map(str, argv), "--jsonl"])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return {row["name"]: row for row in lines[:-1]}, lines[-1]["summary"]


def table_of(file):
    """{(split, column): probabilities} of a file of --out."""
    head, *lines = [line.split("\t") for line in file.read_text().splitlines()]
    return {
        (split, name): np.array([float(r[at]) for r in lines if r[0] == split])
        for split in ("valid", "test")
        for at, name in enumerate(head[2:], 2)
    }


@pytest.fixture(scope="module")
def everything(words, tmp_path_factory):
    """All that can be asked of one run, and its file of probabilities."""
    file = tmp_path_factory.mktemp("out") / "p.tsv"
    with pytest.MonkeyPatch.context() as patch:
        said: list[str] = []
        patch.setattr("builtins.print", lambda *line, **_: said.append(*line))
        command.main(["--run", str(words), *ALL, "--out", str(file), "--jsonl"])
    rows = [json.loads(line) for line in said]
    return {row["name"]: row for row in rows[:-1]}, table_of(file), file, rows[-1]


@pytest.mark.parametrize(
    ("reading", "tokenizer"), [("sentences", "words"), ("streams", "characters")]
)
def test_static_is_the_score_of_a_split_and_so_is_a_rate_of_0(
    reading, tokenizer, tmp_path, capsys
):
    """In one lane, as `score` reads so short a split."""
    run = make_run(tmp_path, reading, tokenizer)
    zero = ["--dynamic", "--rate", "0", "--decay", "0.5", "--segment", "3"]
    rows, summary = evaluated(["--run", run, *zero], capsys)
    trained = load_trained(run)
    for split, tokens in splits_of_run(run, trained).items():
        if split != "train":
            expected = math.exp(score_tokens(trained, tokens).mean(dtype=float))
            assert rows["static"][split] == pytest.approx(expected, rel=1e-6)
            assert rows["+ dynamic"][split] == rows["static"][split]
            assert summary["tokens"][split] == len(tokens.ids)
    parameters = {name: row["parameters"] for name, row in rows.items()}
    assert parameters == {"static": "fixed", "+ dynamic": "adaptive"}


def test_every_row_is_the_mixture_that_it_says(words, everything):
    rows, table, _, _ = everything
    assert list(rows) == [
        *("static", "+ temperature", "+ cache", "+ dynamic", "+ 3-gram"),
        *("all but dynamic", "all of it"),
    ]
    trained = load_trained(words)
    splits = splits_of_run(words, trained)
    model = fit(splits["train"], trained.vocabulary.size, 3)
    for split in ("valid", "test"):
        for name, row in rows.items():
            nats = -np.log(table[split, name])
            assert row[split] == pytest.approx(math.exp(nats.mean()), rel=1e-6)
        static = np.exp(-score_tokens(trained, splits[split]).astype(float))
        np.testing.assert_allclose(table[split, "static"], static, rtol=1e-5)
        ngram = probabilities(model, splits[split])
        np.testing.assert_allclose(table[split, "component: 3-gram"], ngram, rtol=1e-6)
        shares = rows["+ 3-gram"]["weights"]
        by_hand = shares["model"] * static + shares["3-gram"] * ngram
        np.testing.assert_allclose(table[split, "+ 3-gram"], by_hand, rtol=1e-5)
        last = rows["all of it"]["weights"]
        parts = sum(w * table[split, f"component: {n}"] for n, w in last.items())
        np.testing.assert_allclose(table[split, "all of it"], parts, rtol=1e-6)
        assert abs(table[split, "+ dynamic"] - static).max() > 1e-4
    for name in ("+ temperature", "+ cache", "+ 3-gram", "all but dynamic"):
        assert rows[name]["valid"] <= rows["static"]["valid"] * (1 + 1e-6)
    assert set(rows["all of it"]["chosen"]) == {"T", "θ"}


def test_test_says_nothing_about_what_is_chosen(words, everything, capsys):
    """Without a look at test all is chosen alike; each split begins from θ₀."""
    rows, _, _, _ = everything
    alone, _ = evaluated(["--run", words, *ALL, "--split", "valid"], capsys)
    assert list(alone) == list(rows)
    for name, row in alone.items():
        assert "test" not in row
        for key, value in row.items():
            assert rows[name][key] == value, (name, key)


def test_the_benchmarks_table(everything):
    """A line a row, with all that was chosen for it."""
    rows, _, _, summary = everything
    metrics = {"rows": list(rows.values()), **summary["summary"]}
    row = {"command": "c", "seconds": 60, "hardware": {"cores": 2}, "metrics": metrics}
    head, _, *lines = adaptation.table([row]).splitlines()
    assert head.startswith("| `tiny`, ") and len(lines) == len(rows) + 2
    assert lines[0].endswith("| – |") and "| adaptive |" in lines[3]
    assert "η 0.001, λ 0.01" in lines[3] and "3-gram" in lines[4]


def test_a_file_of_probabilities_is_a_component(words, everything, capsys, tmp_path):
    """One column of it, whose tokens are compared line by line."""
    rows, _, file, _ = everything
    argv = ["--run", words, "--segment", "6", "--mix"]
    mixed, _ = evaluated([*argv, f"{file}:component: 3-gram"], capsys)
    own = mixed["+ p.tsv:component: 3-gram"]
    assert own["test"] == pytest.approx(rows["+ 3-gram"]["test"], rel=1e-5)
    last, _ = evaluated([*argv, file], capsys)
    assert last["+ p.tsv:all of it"]["valid"] < rows["all of it"]["valid"] * (1 + 1e-6)
    lines = file.read_text().splitlines()
    for at, line, message in (
        (0, "token\tp", ":1: not a file of probabilities"),
        (3, lines[3].replace("\tran\t", "\tdog\t"), ":4: 'dog' stands where"),
        (2, lines[2].rpartition("\t")[0] + "\t1.5", ":3: '1.5' is not a prob"),
        (2, lines[2].rpartition("\t")[0], "cells, as the first line has"),
        (3, f"\n{lines[3]}", ":4: '' is no line of valid, test with"),
    ):
        wrong = tmp_path / "wrong.tsv"
        wrong.write_text("\n".join([*lines[:at], line, *lines[at + 1 :]]) + "\n")
        assert message in refused(command.main, [*argv, wrong], capsys)
    wrong.write_text("\n".join(lines[:-1]))
    assert "54 tokens of test" in refused(command.main, [*argv, wrong], capsys)
    missing = refused(command.main, [*argv, f"{file}:no"], capsys)
    assert "no column 'no', but component: model" in missing


def test_an_ensemble_is_the_mean_by_its_weights(words, tmp_path, capsys):
    other = make_run(tmp_path / "other", optim=OptimConfig(average="ema"))
    file = tmp_path / "p.tsv"
    rows, _ = evaluated(["--run", words, other, "--out", file], capsys)
    assert list(rows) == [f"static: {words}", f"static: {other}", "ensemble"]
    shares, table = rows["ensemble"]["weights"], table_of(file)
    assert sum(shares.values()) == pytest.approx(1)
    p = sum(w * table["test", f"static: {run}"] for run, w in shares.items())
    expected = math.exp(-np.log(p).mean())
    assert rows["ensemble"]["test"] == pytest.approx(expected, rel=1e-6)


def test_what_cannot_be_read_together_is_refused(words, tmp_path, capsys, monkeypatch):
    letters = make_run(tmp_path / "letters", tokenizer="characters")
    message = refused(command.main, ["--run", words, letters], capsys)
    assert f"{letters} and {words} cannot be mixed" in message
    assert "different vocabularies, of 18 and 12 tokens" in message
    changed = {name: text.replace("mat", "rug") for name, text in TEXT.items()}
    monkeypatch.setattr(tiny_run, "TEXT", changed)
    other = make_run(tmp_path / "other")
    message = refused(command.main, ["--run", words, other], capsys)
    assert re.search(r"vocabularies: token \d+ is '\w+' and 'mat': give", message)
    monkeypatch.undo()
    kept = make_run(tmp_path / "kept")
    (tmp_path / "kept" / "corpus" / "test.txt").write_text("a cat sat\n")
    message = refused(command.main, ["--run", words, kept], capsys)
    assert "different texts for test" in message
    message = refused(command.main, ["--run", words, "--lanes", "90"], capsys)
    assert "too short for 90 lanes" in message
    for argv, what in (
        ([], "--run is needed"),
        (["--run", words, words], "names one directory twice"),
        (["--run", words, "--temperature", "hot"], "'hot': give a number"),
        (["--run", words, "--rate", "-1"], "--rate is -1.0: must lie in"),
        (["--run", tmp_path], "holds no run"),
        (["--run", words, "--out", tmp_path], "is a directory: give a file's name"),
    ):
        assert what in refused(command.main, argv, capsys)


def test_what_people_read(words, capsys):
    command.main(["--run", str(words), "--cache", "9", "--segment", "6"])
    out = capsys.readouterr().out
    assert "read: 60 tokens of valid, 55 tokens of test, in 1 lane\n" in out
    assert "θ over 0.05, 0.1" in out and "weights, by expectation max" in out
    assert "static" in out and "+ cache" in out and " fixed " in out


@pytest.mark.parametrize("reading", ["streams", "sentences"])
@pytest.mark.parametrize("lanes", [1, 3])
def test_segments_cover_each_token_once_in_order(words, reading, lanes):
    trained = load_trained(words)
    tokens = splits_of_run(words, trained)["valid"]
    data = DataConfig(reading=reading, max_length=5)
    segments = segments_of(data, tokens, lanes, 4)
    seen = [[] for _ in range(lanes)]
    for step in range(segments.steps):
        batch, at_TB = segments.at(step)
        assert batch.targets.shape == (4, lanes)
        for lane in range(lanes):
            own = batch.mask[:, lane] > 0
            places = at_TB[own, lane]
            assert (batch.targets[own, lane] == tokens.ids[places]).all()
            begins = set(tokens.starts) if reading == "sentences" else set()
            if len(places) and places[0] in begins:
                assert batch.fresh[lane] and batch.inputs[0, lane] == 0
            seen[lane] += places.tolist()
    assert sum(seen, []) == list(range(len(tokens.ids)))


def test_the_beginning_of_a_split_is_whole_sentences(words):
    tokens = splits_of_run(words, load_trained(words))["valid"]
    assert beginning(tokens, 0) is tokens
    some = beginning(tokens, 7)
    assert len(some.ids) == some.starts[-1] == 12 and len(some.starts) == 3


def test_grids_are_scaled_by_the_segment():
    options = Evaluate(run=("x",), segment=10)
    assert options.begin == (1e-4, 0.004) and 2e-4 in options.rates
    assert Evaluate(run=("x",), rate=(1.0,)).rates == (1.0,)
    with pytest.raises(ConfigError, match="--theta has no value"):
        Evaluate(run=("x",), theta=())

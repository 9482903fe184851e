"""Scoring and writing with a run's model: through the commands, against oracles."""

import io
import math
import sys
from functools import cache

import jax
import numpy as np
import pytest

from data_pipeline.dataset import prepare
from data_pipeline.new_text import encode_text
from experiments import generate
from experiments.applications.language_model.scoring import score_lines, score_tokens
from experiments.applications.lines import grouped, lines_from
from experiments.score import __main__ as score
from experiments.train.executor import One
from experiments.train.plan import plan
from experiments.train.trained import load_trained
from lm.config import OptimConfig
from lm.train import TrainState
from tests.tiny_run import TEXT, alone, make_run, records, refused

pytestmark = pytest.mark.usefixtures("compile_cache")


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("words"))


@cache
def evaluated(run_dir, split="test"):
    """Training's evaluation of a split: the oracle for whole splits."""
    trained = load_trained(run_dir)
    state = TrainState(0, trained.params, (), ())
    (scores,) = One(plan(trained.config)).evaluate_states([state], split)
    return scores["loss"]


@pytest.mark.parametrize(
    ("reading", "tokenizer"),
    [("streams", "words"), ("sentences", "words"), ("streams", "characters")],
)
def test_the_perplexity_of_a_split_is_trainings(reading, tokenizer, tmp_path, capsys):
    run_dir = make_run(tmp_path, reading, tokenizer)
    total = evaluated(run_dir)
    trained = load_trained(run_dir)
    split = prepare(trained.config.data).splits["test"]
    nats = score_tokens(trained, split)
    assert len(nats) == total.count and (nats > 0).all()
    assert nats.sum(dtype=float) == pytest.approx(total.total, rel=1e-6)
    file = tmp_path / "corpus" / "test.txt"
    found, told = records(["--run", run_dir, "--text", file], capsys)
    assert told["tokens"] == total.count
    expected = math.exp(total.total / total.count)
    assert told["perplexity"] == pytest.approx(expected, rel=1e-5)
    assert [r["text"] for r in found] == TEXT["test"].splitlines()
    assert sum(r["tokens"] for r in found) == total.count


def test_split_of_the_runs_own_corpus(words, capsys):
    total = evaluated(words, "valid")
    found, told = records(["--run", words, "--split", "valid"], capsys)
    assert told["nats_per_token"] == pytest.approx(total.total / total.count, rel=1e-6)
    assert len(found) == 10 and found[0]["text"] == "a cat ran."


def test_another_corpus_under_the_same_name_is_refused(tmp_path, capsys):
    run_dir = make_run(tmp_path)
    (tmp_path / "corpus" / "train.txt").write_text("quite another text\n" * 30)
    message = refused(score.main, ["--run", run_dir, "--split", "test"], capsys)
    assert "another vocabulary" in message


def test_sentences_alone_against_single_steps(words):
    trained = load_trained(words)
    lines = ["the cat sat .", "a zebra", "the dog sat on a mat . " * 3]
    found = score_lines(trained, lines)
    for line, sentence in zip(lines, found, strict=True):
        ids = encode_text(trained.vocabulary, None, [line]).ids
        np.testing.assert_allclose(sentence.nats, alone(trained, ids), rtol=2e-5)
        assert sentence.total == pytest.approx(sum(alone(trained, ids)), rel=1e-5)
        assert sentence.tokens[-1] == "<eos>"
    again = score_lines(trained, lines[:1])[0]
    np.testing.assert_allclose(again.nats, found[0].nats, rtol=2e-5)
    assert found[1].oov == ["zebra"] and not found[0].oov


def test_per_token_surprisals_and_oov_flags(words, tmp_path, capsys):
    file = tmp_path / "new.txt"
    file.write_text("the zebra sat .\n\n   \na cat\n")
    argv = ["--run", words, "--text", file, "--independent", "--per-token"]
    (first, *blank, second), _ = records(argv, capsys)
    assert [r["line"] for r in (first, *blank, second)] == [1, 2, 3, 4]
    assert [r["tokens"] for r in blank] == [0, 0]
    assert [t for t, _ in first["surprisals"]] == "the zebra sat . <eos>".split()
    total = sum(nats for _, nats in first["surprisals"])
    assert first["log_probability"] == pytest.approx(-total, rel=1e-6)
    assert first["perplexity"] == pytest.approx(math.exp(total / 5), rel=1e-6)
    assert first["oov"] == ["zebra"] and second["oov"] == []
    score.main([*map(str, argv)])
    shown = capsys.readouterr().out
    assert shown.count("out of vocabulary\n") == 2 and "[unknown: zebra]" in shown


def test_standard_input(words, capsys, monkeypatch):
    text = io.TextIOWrapper(io.BytesIO(b"the cat\nthe dog\n"))
    monkeypatch.setattr(sys, "stdin", text)
    found, _ = records(["--run", words, "--independent"], capsys)
    assert [r["text"] for r in found] == ["the cat", "the dog"]


def test_nbest_prints_the_likeliest_of_each_group(words, tmp_path, capsys):
    file = tmp_path / "nbest.txt"
    lines = ["the cat sat .", "cat the . sat", "a dog ran", "dog dog dog dog dog"]
    trained = load_trained(words)
    scores = [s.total for s in score_lines(trained, lines)]
    best = [lines[int(np.argmin(scores[:2]))], lines[2 + int(np.argmin(scores[2:]))]]
    for text in (
        "\n".join(lines[:2]) + "\n\n\n" + "\n".join(lines[2:]),
        "\n".join(f"{7 + i // 2} ||| {t} ||| -1.0" for i, t in enumerate(lines)),
    ):
        file.write_text(text)
        argv = ["--run", words, "--text", file, "--nbest"]
        found, _ = records(argv, capsys)
        assert [r["text"] for r in found] == best
    assert [r["group"] for r in found] == ["7", "8"]


def test_groups():
    lines = list(lines_from(["\n", "a\n", "b\n", "\n", " \n", "c"]))
    found = [(line.number, line.group, line.text) for line in grouped(lines)]
    assert found == [(2, 1, "a"), (3, 1, "b"), (6, 2, "c")]


def test_averaged_parameters_are_used_where_training_did(words, tmp_path):
    averaged = make_run(tmp_path, optim=OptimConfig(average="ema"))
    one, other = load_trained(words).params, load_trained(averaged).params
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a / 2, b), one, other)


def test_mistakes_in_scoring_answer_in_one_line(words, tmp_path, capsys):
    empty, binary = tmp_path / "empty.txt", tmp_path / "binary.txt"
    empty.write_text("\n \n")
    binary.write_bytes(b"caf\xe9\n")
    for argv, message in (
        (["--text", empty], "--run is needed"),
        (["--run", tmp_path / "no"], "is not there"),
        (["--run", tmp_path], "holds no run"),
        (["--run", words, "--text", tmp_path / "no.txt"], "there is no file"),
        (["--run", words, "--text", empty], "no text to score"),
        (["--run", words, "--text", empty, "--nbest"], "no text to score"),
        (["--run", words, "--text", binary], "not UTF-8"),
        (["--run", words, "--text", empty, "--split", "test"], "not both"),
        (["--run", words, "--split", "tset"], "did you mean 'test'"),
        (["--run", words, "--per-tokens"], "did you mean --per-token"),
    ):
        assert message in refused(score.main, argv, capsys)


def test_a_run_without_a_sound_checkpoint(tmp_path, capsys):
    run_dir = make_run(tmp_path)
    (run_dir / "checkpoints" / "7" / "meta.json").unlink()
    error = refused(generate.main, ["--run", run_dir], capsys)
    assert "none of the checkpoints" in error and "sound" in error


def written(run_dir, capsys, *argv):
    generate.main(["--run", str(run_dir), *argv])
    return capsys.readouterr().out.splitlines()


def test_writing_is_seeded_and_keeps_the_prompt(words, capsys):
    argv = ("--prompt", "the cat", "--samples", "4", "--max-tokens", "9")
    first = written(words, capsys, *argv)
    assert first == written(words, capsys, *argv)
    assert first != written(words, capsys, *argv, "--seed", "1")
    assert len(first) == 4 and all(text.startswith("the cat") for text in first)


def test_writing_filters(words, capsys):
    free = written(words, capsys, "--samples", "40", "--temperature", "2")
    assert any("<unk>" in text for text in free)
    sure = written(words, capsys, "--samples", "40", "--temperature", "2", "--no-unk")
    assert not any("<unk>" in text for text in sure)
    greedy = written(words, capsys, "--greedy", "--samples", "2")
    assert greedy[0] == greedy[1]


def test_beam_gives_scored_sentences(words, capsys):
    lines = written(words, capsys, "--beam", "6", "--samples", "3", "--max-tokens", "7")
    scores = [float(line.split()[0]) for line in lines]
    assert len(lines) == 3 and scores == sorted(scores, reverse=True)
    told = {line[12:]: score for line, score in zip(lines, scores, strict=True)}
    found = score_lines(load_trained(words), [text for text in told if text])
    ended = [s for s in found if len(s.nats) <= 7]
    assert ended
    for sentence in ended:
        assert told[sentence.text] == pytest.approx(-sentence.total, abs=2e-4)


def test_characters_as_a_stream_write_on_over_newlines(tmp_path, capsys):
    run_dir = make_run(tmp_path, tokenizer="characters")
    argv = ["--run", str(run_dir), "--samples", "2", "--max-tokens", "300"]
    generate.main(argv)
    out = capsys.readouterr().out
    assert out.startswith("--- 1 ---\n") and "--- 2 ---\n" in out
    assert len(out) > 600 and "<eos>" not in out


def test_mistakes_in_writing_answer_in_one_line(words, tmp_path, capsys):
    for argv, message in (
        (["--samples", "2"], "--run is needed"),
        (["--run", tmp_path], "holds no run"),
        (["--run", words, "--top-p", "1.5"], "--top-p is 1.5"),
        (["--run", words, "--temperature", "-1"], "--temperature is -1"),
        (["--run", words, "--max-tokens", "0"], "--max-tokens is 0"),
        (["--run", words, "--beam", "3", "--greedy"], "--beam looks for"),
        (["--run", words, "--greedy", "--top-k", "3"], "--greedy takes no"),
        (["--run", words, "--sample", "3"], "did you mean --samples"),
    ):
        assert message in refused(generate.main, argv, capsys)


def test_unknown_words_in_a_prompt_are_told(words, capsys):
    argv = ["--run", str(words), "--prompt", "the zebra", "--max-tokens", "3"]
    generate.main(argv)
    out, err = capsys.readouterr()
    assert "'zebra'" in err and err.count("\n") == 1
    assert out.startswith("the zebra")

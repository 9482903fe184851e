"""All ways of scoring one text agree; every line keeps its number and its group."""

import dataclasses
import gzip
import json
import os
import threading

import jax
import numpy as np
import pytest

from experiments import generate
from experiments.applications.language_model import scoring, writing
from experiments.applications.language_model.pieces import lone_line_batches
from experiments.applications.language_model.reading import Setting, setting_of
from experiments.console.printable import json_line, visible
from experiments.run.checkpoint import Checkpoints
from experiments.run.files import RunError
from experiments.score import __main__ as score
from experiments.train.trained import load_trained
from tests.tiny_run import alone, make_run, records, refused

pytestmark = pytest.mark.usefixtures("compile_cache", "one_program")
READ = [
    (reading, tokenizer)
    for reading in ("streams", "sentences")
    for tokenizer in ("words", "characters", "bytes", "bpe")
]


@pytest.fixture(scope="module")
def run_of(tmp_path_factory):
    """(reading, tokenizer) -> a run, made once."""
    made = {}

    def run(reading="streams", tokenizer="words"):
        key = reading, tokenizer
        if key not in made:
            made[key] = make_run(tmp_path_factory.mktemp("-".join(key)), *key)
        return made[key]

    return run


@pytest.mark.parametrize(("reading", "tokenizer"), READ)
def test_all_ways_of_scoring_one_text_agree_in_all_numbers(
    reading, tokenizer, run_of, tmp_path, capsys
):
    run = run_of(reading, tokenizer)
    text = run.parent / "corpus" / "test.txt"
    (tmp_path / "crlf.txt").write_bytes(text.read_bytes().replace(b"\n", b"\r\n"))
    (tmp_path / "test.txt.gz").write_bytes(gzip.compress(text.read_bytes()))
    lines = text.read_text().splitlines()
    (tmp_path / "named.txt").write_text(
        "".join(f"{n}|||{x}\n" for n, x in enumerate(lines))
    )
    (tmp_path / "parted.txt").write_text("\n\n".join(lines))

    def total(*argv):
        return records(["--run", run, *argv], capsys)[1]

    as_split = total("--split", "test")
    for name in (text, tmp_path / "crlf.txt", tmp_path / "test.txt.gz"):
        assert total("--text", name) == as_split
    by_itself = total("--split", "test", "--independent")
    assert total("--text", text, "--independent") == by_itself
    assert total("--text", tmp_path / "named.txt", "--nbest") == by_itself
    assert total("--text", tmp_path / "parted.txt", "--nbest") == by_itself
    counts = ("tokens", "sentences", "oov", "unknown_rate")
    assert [by_itself[n] for n in counts] == [as_split[n] for n in counts]
    if reading == "sentences":
        assert by_itself == as_split
    (tmp_path / "one.txt").write_text(f"{lines[1]}\n")
    one, lone = (
        total("--text", tmp_path / "one.txt", *o) for o in ([], ["--independent"])
    )
    if setting_of(*load_trained(run)[:2]).marks:
        assert one == lone


def test_the_literal_mark_is_out_of_vocabulary_in_every_way(tmp_path, capsys):
    run = make_run(tmp_path, tokenizer="whitespace")
    text = tmp_path / "corpus" / "test.txt"
    text.write_text("the <unk> sat\n" * 3)
    ways = ["--split", "test"], ["--text", text], ["--text", text, "--independent"]
    assert [records(["--run", run, *w], capsys)[1]["oov"] for w in ways] == [3, 3, 3]


@pytest.mark.parametrize("tokenizer", ["characters", "bytes"])
def test_streams_without_marks_are_scored_from_newline_to_newline(tokenizer, run_of):
    trained = load_trained(run_of("streams", tokenizer))
    newline = trained.vocabulary.index["\n"]
    assert setting_of(*trained[:2]) == Setting(False, newline, newline)
    for sentence in scoring.score_lines(trained, ["the cat", "a dog\n", ""]):
        assert sentence.tokens[-1] == "\n"
        wanted = alone(trained, sentence.ids, newline)
        np.testing.assert_allclose(sentence.nats, wanted, rtol=2e-5)


def test_a_line_end_that_training_never_saw_is_not_scored(run_of):
    trained = load_trained(run_of("streams", "bytes"))
    words, newline = trained.vocabulary, trained.vocabulary.index["\n"]
    counts = tuple(0 if i == newline else n for i, n in enumerate(words.counts))
    assert setting_of(trained.config, type(words)(words.tokens, counts, "bytes")) == (
        Setting(False, 0, None)
    )


@pytest.mark.parametrize("reading", ["streams", "sentences"])
@pytest.mark.parametrize("way", [[], ["--independent"]])
def test_every_line_keeps_its_number(reading, way, run_of, tmp_path, capsys):
    text = tmp_path / "t.txt"
    text.write_text("\na cat\n\n \u00a0\n\tthe dog \r\nend")
    argv = ["--run", run_of(reading), "--text", text, *way]
    found, total = records(argv, capsys)
    assert [r["line"] for r in found] == [1, 2, 3, 4, 5, 6]
    assert [r["tokens"] for r in found] == [0, 3, 0, 0, 3, 2]
    assert [r["text"] for r in found] == text.read_text().splitlines()
    assert found[0]["log_probability"] == 0 and found[0]["perplexity"] is None
    assert total["sentences"] == 3 and total["tokens"] == 8
    score.main(list(map(str, argv)))
    rows = capsys.readouterr().out.splitlines()[1:-1]
    assert (
        len(rows) == 6
        and rows[1].endswith("a cat")
        and rows[5].endswith("unknown: end]")
    )


def test_groups_keep_their_hypotheses_empty_ones_too(run_of, tmp_path, capsys):
    text = tmp_path / "n.txt"
    text.write_text(
        "7 ||| the cat\n8 ||| a dog |||-1\n7 ||| |||  -2\n7|||\n ||| x y\n9 |||  \n"
        "8 ||| dog a ||| ||| \n\nfoo bar\n1 ||| \u00a0 ||| 3\n"
    )
    found, total = records(["--run", run_of(), "--text", text, "--nbest"], capsys)
    best_8 = min(("a dog", "dog a"), key=lambda t: _total(run_of(), t))
    assert [(r["group"], r["text"]) for r in found] == [
        ("7", "the cat"),
        ("8", best_8),
        ("", "x y"),
        ("9", ""),
        ("1", "foo bar"),
        ("1", ""),
    ]
    assert total["sentences"] == 5
    assert [r["line"] for r in found if r["group"] in "79"] == [1, 5, 6]


def _total(run, line):
    return scoring.score_lines(load_trained(run), [line])[0].total


def test_a_long_line_is_read_in_windows_of_one_shape(run_of):
    trained = load_trained(run_of())
    line = " ".join(["the", "cat", "zebra", "sat", "on"] * 60)
    long, short = scoring.score_lines(trained, [line, "a dog"])
    np.testing.assert_allclose(long.nats, alone(trained, long.ids), rtol=2e-4)
    np.testing.assert_allclose(short.nats, alone(trained, short.ids), rtol=2e-5)
    starts = np.array([0, len(long.ids)])
    shapes = {
        batch.targets.shape
        for batch, _ in lone_line_batches(scoring.TokenArray(long.ids, starts), 1, 4, 0)
    }
    assert shapes == {(4, 1)}, "memory grows with the line"


def test_rows_are_read_as_training_reads_them(run_of, tmp_path, capsys):
    rows, table = tmp_path / "r.jsonl", tmp_path / "r.csv"
    texts = ["the cat sat .", "a dog,\nran"]
    rows.write_text("".join(json.dumps({"id": 1, "text": t}) + "\n" for t in texts))
    table.write_text("id,said\n" + "".join(f'1,"{t}"\n' for t in texts))
    plain = tmp_path / "r.txt"
    plain.write_text("the cat sat .\na dog, ran\n")
    wanted = records(["--run", run_of(), "--text", plain], capsys)
    assert records(["--run", run_of(), "--text", rows], capsys) == wanted
    argv = ["--run", run_of(), "--text", table]
    assert records([*argv, "--column", "said"], capsys) == wanted
    message = refused(score.main, argv, capsys)
    assert "set --column" in message and "data.column" not in message


def test_what_is_no_regular_file_is_read_once(run_of, tmp_path, capsys):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("the cat\na dog\n",))
    writer.start()
    found, _ = records(["--run", run_of(), "--text", pipe], capsys)
    writer.join()
    assert [r["text"] for r in found] == ["the cat", "a dog"]
    table = tmp_path / "pipe.csv"
    os.mkfifo(table)
    rows = 'text\n"the cat"\n"a dog"\n'
    writer = threading.Thread(target=table.write_text, args=(rows,))
    writer.start()
    assert records(["--run", run_of(), "--text", table], capsys)[0] == found
    writer.join()
    for path, said in (("/dev/null", "no text to score"), (tmp_path, "is a folder")):
        argv = ["--run", run_of(), "--text", path]
        assert said in refused(score.main, argv, capsys)


def test_bytes_that_are_no_text_are_refused_or_replaced_by_an_option_of_score(
    run_of, tmp_path, capsys
):
    text = tmp_path / "l.txt"
    text.write_bytes(b"the caf\xe9\n")
    argv = ["--run", run_of(), "--text", text]
    message = refused(score.main, argv, capsys)
    assert "--errors replace" in message and "--data.errors" not in message
    (found,), _ = records([*argv, "--errors", "replace"], capsys)
    assert found["text"] == "the caf\ufffd"


def test_unknown_words_are_told_beside_the_perplexity(run_of, tmp_path, capsys):
    text = tmp_path / "u.txt"
    for words, warned in (("the cat sat .", False), ("zebras graze here", True)):
        text.write_text(f"{words}\n")
        argv = ["--run", str(run_of()), "--text", str(text)]
        total = records(argv, capsys)[1]
        assert total["unknown_rate"] == pytest.approx(0.75 if warned else 0)
        assert ("warning" in total) == warned
        score.main(argv)
        out, err = capsys.readouterr()
        assert f"with {total['unknown_rate']:.1%} unknown" in out
        assert err.startswith("warning: 75%") if warned else not err


def test_control_characters_are_shown_and_not_obeyed(run_of, tmp_path, capsys):
    assert visible("a\x1b[2J\tb\n\x07\x9b\r\udce9é") == (
        "a\\x1b[2J\tb\n\\x07\\x9b\\r\\udce9é"
    )
    line = json_line({"text": "\x1b\x9b\ud800 é"})
    assert line == '{"text": "\\u001b\\u009b\\ud800 é"}'
    assert json.loads(line)["text"] == "\x1b\x9b\ud800 é"
    evil = "the \x1b]0;x\x07 cat\x9b2J"
    text = tmp_path / "e.txt"
    text.write_text(f"{evil}\n\x1b[31m ||| cat\n")
    run = str(run_of())
    for way in ([], ["--per-token"], ["--nbest"], ["--jsonl"]):
        score.main(["--run", run, "--text", str(text), *way])
    generate.main(["--run", run, "--prompt", evil, "--samples", "1"])
    generate.main(["--run", run, "--prompt", evil, "--samples", "1", "--jsonl"])
    out, err = capsys.readouterr()
    assert not set("\x1b\x07\x9b") & set(out + err)
    assert json.loads(out.splitlines()[-1])["text"].startswith(evil)


@pytest.mark.parametrize("tokenizer", ["words", "characters", "bytes", "bpe"])
def test_a_prompt_is_printed_as_given(tokenizer, run_of, capsys):
    run = run_of("streams", tokenizer)
    config, vocabulary, *_ = load_trained(run)
    vocabulary = dataclasses.replace(vocabulary, lower=True)
    for given in ("The Zebra  sees", "the cat . ", "naïve ☃ (", "a dog\nthe\tcat", ""):
        prompt = writing.prompt_of(config, vocabulary, given)
        for ids in ([], [3, 4], [0, 3]):
            text = writing.to_text(vocabulary, prompt, ids, marks=True)
            assert text.startswith(given)
            assert len(text) > len(given) or ids != [3, 4]
    for way in ((), ("--beam", "3")):
        argv = ["--run", str(run), "--prompt", "The Zebra  sees", *way, "--jsonl"]
        generate.main([*argv, "--samples", "2", "--max-tokens", "4"])
        for line in capsys.readouterr().out.splitlines():
            assert json.loads(line)["text"].startswith("The Zebra  sees")


def test_lines_of_a_prompt_end_as_in_training(run_of):
    trained = load_trained(run_of())
    prompt = writing.prompt_of(*trained[:2], "the cat\n\na dog")
    assert prompt.tokens == ("the", "cat", "<eos>", "a", "dog")
    ids = [trained.vocabulary.id_of(t) for t in ("sat", "<eos>", "on")]
    text = writing.to_text(trained.vocabulary, prompt, ids, marks=True)
    assert text == "the cat\n\na dog sat"


def test_many_samples_are_drawn_a_few_lanes_at_a_time(run_of, monkeypatch):
    trained = load_trained(run_of())

    def texts(samples):
        write = writing.make_writer(*trained[:3], samples=samples, max_tokens=8)
        return write(trained.params, jax.random.key(0))

    at_once = texts(11)
    lane = 8 * trained.vocabulary.size
    monkeypatch.setattr(writing, "AT_ONCE", 4 * lane)
    assert texts(11) == at_once and texts(5) == at_once[:5]


def test_weights_that_are_no_numbers_are_refused(tmp_path, capsys):
    run = make_run(tmp_path)
    trained = load_trained(run)
    wrong = jax.tree.map(np.array, trained.params)
    wrong["embedding"][1, 2] = np.nan
    tree = {"params": wrong, "average": wrong}
    Checkpoints(run / "checkpoints").save(8, tree, {"step": 8}, best=True)
    with pytest.raises(RunError, match="embedding"):
        load_trained(run)
    for main in (score.main, generate.main):
        assert "nan or inf" in refused(main, ["--run", run], capsys)

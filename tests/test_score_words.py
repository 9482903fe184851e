"""Rows of words, continuations, totals, states, formats: against single steps."""

import csv
import io
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.applications.language_model import scoring
from experiments.applications.language_model.words import SPLIT, word_starts
from experiments.console.live import Live, counting
from experiments.score import __main__ as score
from experiments.train.trained import load_trained
from tests.tiny_run import alone, make_run, records, refused

pytestmark = pytest.mark.usefixtures("compile_cache")


@pytest.fixture(scope="module")
def run_of(tmp_path_factory):
    """(tokenizer) -> a run, made once."""
    made = {}

    def run(tokenizer="words"):
        if tokenizer not in made:
            folder = tmp_path_factory.mktemp(tokenizer)
            made[tokenizer] = make_run(folder, tokenizer=tokenizer)
        return made[tokenizer]

    return run


def by_single_steps(trained, ids):
    """ln p (N, V) at each place of a line, one step at a time."""
    step = jax.jit(trained.model.step)
    state, found = trained.model.initial_state(trained.params, 1), []
    for token in [0, *ids[:-1]]:
        state, logits = step(trained.params, state, jnp.asarray([token]))
        found.append(np.asarray(jax.nn.log_softmax(logits)[0], np.float64))
    return np.array(found)


def test_where_words_begin():
    assert word_starts("words", ["a", ",", "b"]) == [0, 1, 2]
    assert word_starts("characters", list("  ab  c\n")) == [0, 4, 7]
    assert word_starts("characters", ["a", " ", " ", "<eos>"]) == [0, 1]
    latin = list(
        "à b".encode().decode("latin-1")
    )  # its second byte is a no-break space
    assert word_starts("bytes", latin) == [0, 2]
    assert word_starts("bpe", ["the", "Ġcat", "s", "Ġ", "Ġsat", ".", "<eos>"]) == [
        *(0, 1, 3, 6)
    ]
    assert word_starts("reversible", ["say", '"￭', "no-one", '￭"']) == [0, 1, 2, 3]
    assert word_starts("bpe", []) == word_starts("words", []) == []


def test_a_row_a_word_against_single_steps(run_of, tmp_path, capsys):
    trained, text = load_trained(run_of()), tmp_path / "t.txt"
    text.write_text("the zebra sat .\n\na dog\n")
    argv = ["--run", run_of(), "--text", text, "--independent", "--base", "bits"]
    rows, total = records([*argv, "--unit", "word", "--top", "3"], capsys)
    assert [(r["line"], r["position"], r["word"], r["unknown"]) for r in rows] == [
        *(
            (1, k, w, w == "zebra")
            for k, w in enumerate("the zebra sat . <eos>".split(), 1)
        ),
        *((3, k, w, False) for k, w in enumerate("a dog <eos>".split(), 1)),
    ]
    ids = trained.vocabulary.encode("the zebra sat . <eos>".split())
    logs = by_single_steps(trained, ids.tolist())
    entropy = -(np.exp(logs) * logs).sum(axis=1) / math.log(2)
    for at, (row, id_) in enumerate(zip(rows, ids, strict=False)):
        assert row["surprisal_bits"] == pytest.approx(
            -logs[at, id_] / math.log(2), 1e-4
        )
        assert row["entropy_bits"] == pytest.approx(entropy[at], rel=1e-4)
        assert row["rank"] == 1 + (logs[at] > logs[at, id_]).sum()
        likeliest = np.argsort(-logs[at])[:3]
        words = [trained.vocabulary.tokens[w] for w in likeliest]
        assert [w for w, _ in row["guesses"]] == words
        p = [p for _, p in row["guesses"]]
        np.testing.assert_allclose(p, np.exp(logs[at, likeliest]), rtol=1e-4)
    fallen = [r["entropy_reduction_bits"] for r in rows[:5]]
    wanted = np.maximum(0, entropy[:-1] - entropy[1:])
    assert fallen[4] is None and rows[-1]["entropy_reduction_bits"] is None
    np.testing.assert_allclose(fallen[:4], wanted, rtol=1e-3, atol=1e-5)
    assert total == records(argv, capsys)[1]
    assert total["bits_per_token"] == pytest.approx(
        sum(r["surprisal_bits"] for r in rows) / 8, rel=1e-6
    )


@pytest.mark.parametrize("tokenizer", SPLIT)
def test_words_sum_to_their_line_and_read_as_the_text(
    tokenizer, run_of, tmp_path, capsys
):
    text = tmp_path / "t.txt"
    lines = ["the cat  sat off.", " a dog"]
    text.write_text("".join(f"{line}\n" for line in lines))
    argv = ["--run", run_of(tokenizer), "--text", text, "--independent"]
    rows, total = records([*argv, "--unit", "word", "--top", "1"], capsys)
    sentences, same = records([*argv, "--per-token"], capsys)
    assert total == same
    end = "<eos>" if tokenizer == "bpe" else "\n"
    for number, (line, sentence) in enumerate(zip(lines, sentences, strict=True), 1):
        own = [row for row in rows if row["line"] == number]
        assert [row["word"] for row in own] == [*line.split(), end]
        summed = sum(row["surprisal_nats"] for row in own)
        assert summed == pytest.approx(-sentence["log_probability"], rel=1e-6)
        assert sum(row["tokens"] for row in own) == sentence["tokens"]
        for row in own:  # only a token has a rank
            assert (row["rank"] is None) == (row["tokens"] > 1)
    first = sum(n for t, n in sentences[0]["surprisals"][: rows[0]["tokens"]])
    assert rows[0]["surprisal_nats"] == pytest.approx(first, rel=1e-6)
    tokens, _ = records([*argv, "--unit", "token"], capsys)
    assert [t["surprisal_nats"] for t in tokens] == [
        pytest.approx(n, rel=1e-5) for s in sentences for _, n in s["surprisals"]
    ]
    score.main([*map(str, argv), "--unit", "word"])
    assert "white space before it is its own" in capsys.readouterr().out


def test_the_first_word_and_the_end_can_be_left_out(run_of, tmp_path, capsys):
    text = tmp_path / "t.txt"
    text.write_text("the cat sat .\n")
    argv = ["--run", run_of(), "--text", text, "--independent"]
    trained = load_trained(run_of())
    nats = alone(trained, trained.vocabulary.encode("the cat sat . <eos>".split()))
    for flags, kept in (
        ([], slice(0, 5)),
        (["--skip-first"], slice(1, 5)),
        (["--skip-end"], slice(0, 4)),
        (["--skip-first", "--skip-end"], slice(1, 4)),
    ):
        (found,), total = records([*argv, *flags, "--per-token"], capsys)
        assert found["log_probability"] == pytest.approx(-sum(nats[kept]), rel=1e-5)
        assert found["tokens"] == total["tokens"] == len(nats[kept])
        assert (found["surprisals"][0][1] is None) == ("--skip-first" in flags)
        rows, _ = records([*argv, *flags, "--unit", "word", "--top", "2"], capsys)
        assert len(rows) == kept.stop
        numbers = [rows[0][k] for k in ("surprisal_nats", "entropy_nats", "rank")]
        assert (numbers == [None] * 3) == ("--skip-first" in flags)
        score.main([*map(str, argv), *flags, "--per-token"])
        assert capsys.readouterr().out.count("\n") == 3 + kept.stop


def test_a_whole_word_of_subwords_is_left_out_at_the_beginning(
    run_of, tmp_path, capsys
):
    text = tmp_path / "t.txt"
    text.write_text("cat a\n")
    argv = ["--run", run_of("characters"), "--text", text, "--independent"]
    (found,), _ = records([*argv, "--skip-first", "--per-token"], capsys)
    blank = [nats is None for _, nats in found["surprisals"]]
    assert blank == [True] * 3 + [False] * 3 and found["tokens"] == 3


@pytest.mark.parametrize("tokenizer", ["words", "bpe"])
def test_a_continuation_given_its_prefix(tokenizer, run_of, tmp_path, capsys):
    """ln P(both) − ln P(prefix), by the chain rule."""
    trained, text = load_trained(run_of(tokenizer)), tmp_path / "t.txt"
    text.write_text("the cat\tsat on a mat .\nthe dog \tran\n\ta dog\n")
    argv = ["--run", run_of(tokenizer), "--text", text, "--conditional"]
    found, total = records(argv, capsys)
    whole = ["the cat sat on a mat .", "the dog ran", "a dog"]
    both = scoring.score_lines(trained, whole)
    for record, sentence, prefix in zip(
        found, both, ("the cat", "the dog ", ""), strict=True
    ):
        begun = 0.0
        if prefix:
            (given,) = scoring.score_lines(trained, [prefix])
            begun = float(given.nats[:-1].sum())
        if tokenizer == "bpe" and prefix.endswith(" "):
            continue  # the seam is where the user set it: `dog `, `ran`
        wanted = begun - sentence.total
        assert record["log_probability"] == pytest.approx(wanted, rel=1e-4)
    assert [r["text"] for r in found] == ["sat on a mat .", "ran", "a dog"]
    assert total["tokens"] == sum(r["tokens"] for r in found)
    rows, _ = records([*argv, "--unit", "word"], capsys)
    assert [r["word"] for r in rows if r["line"] == 2] == ["ran", "<eos>"]


def test_totals_with_and_without_words_out_of_vocabulary(run_of, tmp_path, capsys):
    text = tmp_path / "t.txt"
    text.write_text("the zebra sat .\na gnu\n")
    argv = ["--run", run_of(), "--text", text]
    found, total = records([*argv, "--per-token"], capsys)
    nats = [pair for record in found for pair in record["surprisals"]]
    known = [n for word, n in nats if word not in ("zebra", "gnu")]
    aside = total["excluding_oov"]
    assert (total["tokens"], total["oov"], aside["tokens"]) == (8, 2, 6)
    assert aside["nats_per_token"] == pytest.approx(sum(known) / 6, rel=1e-6)
    assert aside["perplexity"] == pytest.approx(math.exp(sum(known) / 6), rel=1e-6)
    score.main([*map(str, argv), "--base", "bits"])
    shown = capsys.readouterr().out
    assert "log2 P" in shown and "(excluding OOVs: 6 tokens, " in shown
    assert f"{total['bits_per_token']:.6f} bits per token" in shown


def test_states_are_what_the_tokens_were_guessed_from(run_of, tmp_path, capsys):
    trained, text, file = load_trained(run_of()), tmp_path / "t.txt", tmp_path / "s.npz"
    text.write_text("the cat sat .\n\na dog\n")
    argv = ["--run", run_of(), "--text", text, "--independent", "--states", file]
    found, _ = records([*argv, "--per-token"], capsys)
    with np.load(file, allow_pickle=False) as arrays:
        kept = {name: arrays[name] for name in arrays.files}
    assert kept["line"].tolist() == [1] * 5 + [3] * 3
    assert kept["position"].tolist() == [1, 2, 3, 4, 5, 1, 2, 3]
    assert kept["token"].tolist() == "the cat sat . <eos> a dog <eos>".split()
    logs = jax.nn.log_softmax(trained.model.logits(trained.params, kept["states"]))
    ids = trained.vocabulary.encode(kept["token"].tolist())
    nats = [n for record in found for _, n in record["surprisals"]]
    np.testing.assert_allclose(-np.asarray(logs)[range(8), ids], nats, rtol=1e-4)
    assert [p.name for p in tmp_path.iterdir() if ".npz" in p.name] == ["s.npz"]


def test_tsv_reads_back_and_every_row_has_all_cells(run_of, tmp_path, capsys):
    text = tmp_path / "t.txt"
    text.write_text('the "zebra sat\n\n')
    argv = ["--run", str(run_of()), "--text", str(text), "--format", "tsv"]

    def table(*flags):
        score.main([*argv, *flags])
        out, err = capsys.readouterr()
        assert err.startswith("total: 1 sentences")
        return list(csv.DictReader(io.StringIO(out), delimiter="\t", quoting=3))

    words = table("--unit", "word", "--top", "2", "--skip-first")
    assert all(None not in row and None not in row.values() for row in words)
    assert list(words[0])[-4:] == ["guess_1", "p_1", "guess_2", "p_2"]
    assert [r["word"] for r in words] == ["the", '"', "zebra", "sat", "<eos>"]
    assert words[0]["surprisal_nats"] == "" and float(words[1]["surprisal_nats"]) > 0
    assert [r["unknown"] for r in words] == ["0", "1", "1", "0", "0"]
    sentences = table()
    assert [r["text"] for r in sentences] == ['the "zebra sat', ""]
    assert sentences[0]["oov"] == '", zebra' and sentences[1]["perplexity"] == ""
    score.main(
        ["--run", str(run_of("characters")), "--text", str(text), *argv[4:]]
        + ["--unit", "word"]
    )
    assert capsys.readouterr().out.splitlines()[4].split("\t")[2] == "\\n"


def test_lines_are_scored_while_they_come(run_of, monkeypatch):
    """Chunk after chunk, with the same numbers; blank ones before the first wait."""
    trained = load_trained(run_of())
    lines = ["", " ", "", "the cat sat .", "a dog", "the mat sat on the cat .", ""]
    at_once = scoring.score_lines(trained, lines)
    monkeypatch.setattr(scoring, "CHUNK", 2)
    asked = []

    def given():
        for line in scoring.lines_from(lines):
            asked.append(line.number)
            yield line

    stream = scoring.score_stream(trained, given(), alone=True)
    first = next(stream)
    assert first.text == "" and asked == [1, 2, 3, 4]
    for one, other in zip([first, *stream], at_once, strict=True):
        np.testing.assert_allclose(one.nats, other.nats, rtol=1e-5)


def test_how_far_it_is_is_told():
    stream = io.StringIO()
    with Live(live=False, stream=stream) as line:
        count = counting(line, "tokens", total=40)
        count(10)
        assert not stream.getvalue()
        line._shown_at = -100.0
        count(20)
    assert "30 tokens, " in stream.getvalue() and "of 40" in stream.getvalue()


def test_options_that_do_not_go_together(run_of, tmp_path, capsys):
    text = tmp_path / "t.txt"
    text.write_text("the cat\ta dog\n\nthe cat\n")
    for argv, message in (
        (["--top", "2"], "--top 2 needs rows of words"),
        (["--top", "-1"], "--top is -1"),
        (["--unit", "word", "--top", "999"], "top is 999"),
        (["--unit", "word", "--per-token"], "--per-token goes with --unit sentence"),
        (["--jsonl", "--format", "tsv"], "not both"),
        (["--states", "x.bin"], "must end in .npz"),
        (["--states", tmp_path / "no" / "x.npz"], "x.npz cannot be written: No such"),
        (["--conditional", "--skip-first"], "with --conditional the prefix is"),
        (["--conditional", "--nbest"], "neither --split nor --nbest"),
        (["--nbest", "--unit", "word"], "--nbest chooses whole lines"),
        (["--ngram", "3"], "need --pairs"),
        (["--pairs", "grammar", "--unit", "word"], "--pairs is a question of its own"),
        (["--references", "r"], "need --nbest"),
        (["--nbest", "--dev", "d"], "--dev and --dev-references go together"),
        (["--nbest", "--references", "r"], "acoustic scores"),
        (["--unit", "wrod"], "did you mean 'word'"),
    ):
        argv = [
            "--run",
            run_of(),
            *([] if "--pairs" in argv else ["--text", text]),
            *argv,
        ]
        assert message in refused(score.main, argv, capsys)
    for bad, message in (
        (text, "line 2 is empty"),
        ("the cat\n", "line 1 is no PREFIX"),
    ):
        if isinstance(bad, str):
            text.write_text(bad)
        argv = ["--run", run_of(), "--text", text, "--conditional"]
        assert f"{text} {message}" in refused(score.main, argv, capsys)

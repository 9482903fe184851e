"""Translation: pairs of sentences, word by word, and a network nearly perfect."""

import gzip
from dataclasses import replace

import numpy as np
import pytest

from data_pipeline.corpora import bilingual
from data_pipeline.errors import DataError
from data_pipeline.pairs import (
    EncodedPairs,
    PairBatches,
    decode_line,
    encode_lines,
    learn_vocabulary,
)
from data_pipeline.parallel_text import read_parallel
from data_pipeline.types import TokenArray
from experiments.applications.bleu import bleu, scores_of, signature
from experiments.applications.restored import restore_best
from experiments.applications.translation.answers import predict
from experiments.applications.translation.application import prepare
from experiments.applications.translation.baseline import dictionary, word_by_word
from experiments.applications.translation.config import PairsConfig, TranslationConfig
from experiments.applications.translation.data import corrupted, read
from experiments.configs.translation import CONFIG
from experiments.console.command_line import Options
from experiments.predict import main as predict_command
from experiments.run.files import read_json
from experiments.train.session import train
from lm.config import ConfigError

pytestmark = pytest.mark.usefixtures("compile_cache")


def test_a_target_follows_from_its_source_alone():
    found = {}
    for pair in bilingual.sample(4_000, 3):
        assert found.setdefault(pair.source, pair.target) == pair.target
    assert found["the wolf works ."] == "der Wolf arbeitet ."
    assert found["will a doctor swim ?"] == "wird ein Arzt schwimmen ?"
    short = bilingual.sample(50, 3, longest=5)
    assert max(len(pair.source.split()) for pair in short) == 5


def test_agreement_and_the_order_of_both_languages():
    pairs = bilingual.sample(4_000, 0)
    for source, target in pairs:
        words, german = source.split(), target.split()
        assert words[-1] == german[-1] and words[-1] in ".?"
        if "because" in words:
            after = german[german.index("weil") :]
            verbs = {w for row in bilingual.TRANSITIVE for w in row[2:]}
            verbs |= {w for row in bilingual.INTRANSITIVE for w in row[2:]}
            verbs |= {w for row in bilingual.MODALS for w in row[1:]}
            ends = {w for row in bilingual.SAYS for w in row[2:]} | verbs
            assert after[-2] in ends, (source, target)
        if words[0] in {pair[0] for pair in bilingual.ADVERBS}:
            assert german[0] == dict(bilingual.ADVERBS)[words[0]]
    nominative = [p for p in pairs if p.target.startswith("der Hund ")]
    assert nominative and all("the dog" in p.source for p in nominative)
    assert not any(" a a" in p.source or " leisee" in p.target for p in pairs)


def folder(path, **files):
    for name, text in files.items():
        (path / name.replace("_", ".", 1)).write_text(text, encoding="utf-8")
    return str(path)


def test_parallel_text_is_read_and_what_is_wrong_with_it_is_said(tmp_path):
    whole = {
        f"{s}_{e}": "a b\nc\n" for s in ("train", "val", "test") for e in ("de", "en")
    }
    given = folder(tmp_path, **whole)
    with gzip.open(tmp_path / "train.en.gz", "wt") as file:
        file.write("A B\nC\n")
    (tmp_path / "train.en").unlink()
    (tmp_path / "test_2.de").write_text("x\n")
    found = read_parallel(given, "de", "en")
    assert found["train"].targets == ["A B", "C"] and len(found["test"].sources) == 2
    cases = {
        "is empty: every line": ("val.de", "a\n\n"),
        "val.en 1: line n": ("val.en", "a\n"),
    }
    for words, (name, text) in cases.items():
        kept = (tmp_path / name).read_text()
        (tmp_path / name).write_text(text)
        with pytest.raises(DataError, match=words) as error:
            read_parallel(given, "de", "en")
        assert name in str(error.value)
        (tmp_path / name).write_text(kept)
    for arguments, words in (
        ((given, "de", "fr"), "no file train.fr"),
        ((given, "de", "en", "test_2"), "no file test_2.en"),
        ((given, "de", "de"), "give two languages"),
        ((given + "/x", "de", "en"), "no folder"),
    ):
        with pytest.raises(DataError, match=words):
            read_parallel(*arguments)
    with pytest.raises(DataError, match=r"train.de line 1 has 3 tokens.*max_length"):
        prepare(TranslationConfig(data=PairsConfig(corpus=given, max_length=2)))


def test_batches_hold_each_pair_once_and_end_with_a_mark():
    lines = ["a b c", "a", "b b", "c a"], ["x", "y y", "x y x y", "y"]
    words = [learn_vocabulary(side, "whitespace") for side in lines]
    pairs = EncodedPairs(
        *(encode_lines(side, own) for side, own in zip(lines, words, strict=True))
    )
    reading = PairBatches(pairs, 3, buckets=2, shuffle=True, own=lambda epoch: 0.5)
    seen = []
    for step in range(reading.steps):
        batch = reading.batch_at(0, 1, step)
        assert batch.source.shape[1] == batch.targets.shape[1] == 3
        assert set(np.unique(batch.own)) <= {0, 1}
        np.testing.assert_array_equal(batch.inputs[1:], batch.targets[:-1])
        for lane in range(3):
            if batch.mask[:, lane].any():
                texts = [
                    decode_line(ids[:, lane], own)
                    for ids, own in zip(
                        (batch.source, batch.targets), words, strict=True
                    )
                ]
                seen.append(tuple(texts))
                ends = [int(m[:, lane].sum()) for m in (batch.source_mask, batch.mask)]
                assert ends == [len(text.split()) + 1 for text in texts]
    assert sorted(seen) == sorted(zip(*lines, strict=True))
    assert reading.batch_at(0, 1, 0).own.any()
    assert not PairBatches(pairs, 3, shuffle=True).batch_at(0, 1, 0).own.any()


def test_model_1_learns_a_dictionary():
    source = TokenArray(np.array([2, 3, 0, 2, 4, 0]), np.array([0, 3, 6]))
    target = TokenArray(np.array([5, 6, 0, 7, 5, 0]), np.array([0, 3, 6]))
    best = dictionary(EncodedPairs(source, target), (5, 8))
    assert best[2:].tolist() == [5, 6, 7]
    assert [ids.tolist() for ids in word_by_word(best, source)] == [
        [5, 6, 0],
        [5, 7, 0],
    ]


def test_bleu_is_that_of_sacrebleu():
    answers, references = ["the cat sat on the mat"], ["The cat sat on a mat"]
    # p1 .667 (4/6), p2 .4 (2/5), p3 .25 (1/4), p4 smoothed ½·1/3: exp(mean ln) = 32.4
    wanted = 100 * np.exp(np.log([4 / 6, 2 / 5, 1 / 4, 1 / 6]).mean())
    assert bleu(answers, references) == pytest.approx(wanted, rel=1e-4)
    assert scores_of(references, references) == pytest.approx(
        {"bleu": 100, "bleu_lower": 100, "exact": 1}
    )
    assert "tok:13a" in signature() and "case:mixed" in signature()


def test_corrupted_pairs_are_sentences_of_the_grammar_with_mistakes():
    found = read(PairsConfig(corpus="corrupted", sentences=200))
    same = np.mean([s == t for s, t in zip(*found["train"][:2], strict=True)])
    assert 0.1 < same < 0.4 and len(found["test"].sources) == 20
    assert corrupted({"train": 200, "valid": 20, "test": 20}, 0, 30) == found


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    run = tmp_path_factory.mktemp("run") / "small"
    data = replace(
        CONFIG.data, sentences=4_000, longest=6, buckets=2, batch=32, max_length=16
    )
    config = replace(
        CONFIG,
        data=data,
        optim=replace(CONFIG.optim, learning_rate=0.01),
        train=replace(CONFIG.train, epochs=3),
        gradflow=replace(CONFIG.gradflow, every=0),
    )
    return train(config, Options(run), [])


def test_a_small_form_comes_near_its_optimum(trained):
    summary = read_json(trained / "summary.json")
    test = summary["scores"]["test"]
    words = summary["baselines"]["IBM Model 1, word by word"]["test"]
    assert test["bleu"] > 75 > 50 > words["bleu"] and test["exact"] > 0.6
    assert summary["optimum"] == {"bleu": 100.0, "exact": 1.0, "loss": 0.0}


def test_new_sentences_are_translated_or_refused(trained, tmp_path, capsys):
    lines = tmp_path / "lines.txt"
    lines.write_text("the dog sings .\n")
    found = {}
    for beam in (None, 1, 3):
        (record,) = predict(restore_best(trained), str(lines), beam)
        found[beam] = record["answer"]
        assert record["text"] == "the dog sings ." and ("nats" in record) == bool(beam)
    assert found[None] == found[1] != ""
    for text, words in ((" \n", "line 1 is empty"), ("dog " * 20, "has 21 tokens")):
        lines.write_text(text)
        with pytest.raises(SystemExit) as left:
            predict_command(["--run", str(trained), "--input", str(lines)])
        assert left.value.code == 2 and words in capsys.readouterr().err


def test_what_a_config_cannot_be():
    for settings, words in (
        ({"tokenizer": "word"}, "is unknown"),
        ({"own": 2.0}, r"data.own is 2.0"),
        ({"buckets": 0}, r"data.buckets is 0"),
    ):
        with pytest.raises(ConfigError, match=words):
            PairsConfig(**settings)

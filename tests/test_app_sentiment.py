"""Labelled sentences: what is made, what is read, what is refused, what is learnt."""

import dataclasses

import numpy as np
import pytest

from data_pipeline import opinions
from data_pipeline.config import DataConfig
from data_pipeline.errors import DataError
from data_pipeline.labelled import Examples, LabelledSequences
from data_pipeline.labelled_text import read_labelled, split_by_fold
from experiments.applications.sentiment.config import OpinionsConfig, ReaderConfig
from experiments.applications.sentiment.data import read
from experiments.config import Config, GradflowConfig, TrainConfig, load_named
from experiments.console.command_line import Options
from experiments.run.files import read_json
from experiments.train.plan import plan
from experiments.train.session import train
from lm.config import ConfigError, ModelConfig

pytestmark = pytest.mark.usefixtures("compile_cache", "few_lengths")


def label_of(text: str) -> int:
    """The label by its own reading of the grammar: 1 is positive."""
    clauses = text.replace(" , ", " ").split(" ")
    neutral = [line.split() for line in opinions.NEUTRAL]
    words = [w for w in clauses if w]
    for line in neutral:
        for start in range(len(words) - len(line), -1, -1):
            if words[start : start + len(line)] == line:
                del words[start : start + len(line)]
    said, side, turned = [], [], 0
    for word in words:
        if word in ("not", "never", "hardly"):
            turned += 1
        elif word in ("but", "although"):
            side.append((word, len(said)))
        elif word in opinions.GOOD + opinions.BAD:
            said.append((word in opinions.GOOD) ^ (turned % 2 == 1))
            turned = 0
    if not side:
        assert len(set(said)) == 1
        return int(said[0])
    (word, place) = side[0]
    assert said[0] != said[1]
    return int(said[1] if word == "but" or place == 0 else said[0])


def test_labels_of_made_sentences_follow_from_their_words():
    found = opinions.sample(600, 1)
    assert [label_of(one.text) for one in found] == [one.label for one in found]
    assert {one.kind for one in found} == set(opinions.KINDS)
    assert found == opinions.sample(600, 1) != opinions.sample(600, 2)
    assert 0.4 < np.mean([one.label for one in found]) < 0.6


def test_folds_part_the_texts_and_keep_the_classes():
    labels = np.repeat([0, 1], [40, 60])
    tested = []
    for fold in range(10):
        parts = split_by_fold(labels, fold, 10, 0)
        whole = np.concatenate([*parts.values()])
        assert sorted(whole) == list(range(100))
        assert np.bincount(labels[parts["test"]]).tolist() == [4, 6]
        tested += parts["test"].tolist()
    assert sorted(tested) == list(range(100))


def test_a_folder_and_a_file_of_labels_say_the_same(tmp_path):
    texts = {"neg": ["dull .", "so weak"], "pos": ["fine !", "good", "great"]}
    for name, lines in texts.items():
        (tmp_path / f"reviews.{name}").write_text("\n\n".join(lines) + "\n")
    one = tmp_path / "all.tsv"
    pairs = [(name, line) for name, lines in texts.items() for line in lines]
    folder = read_labelled(str(tmp_path))
    one.write_text("\n".join(f"{name}\t{line}" for name, line in pairs))
    file = read_labelled(str(one))
    assert folder.names == file.names == ("neg", "pos")
    assert folder.texts == file.texts and folder.labels.tolist() == [0, 0, 1, 1, 1]
    assert folder.places[1].endswith("reviews.neg line 3")


def test_what_is_no_labelled_text_is_named(tmp_path):
    def told(text: str, **given) -> str:
        path = tmp_path / "a.tsv"
        path.write_text(text)
        with pytest.raises(DataError) as caught:
            read(OpinionsConfig(corpus=str(path), **given))
        return str(caught.value)

    assert "a.tsv line 2" in told("a\tx\nb x\n")
    assert "a.tsv has texts of the class 'a' alone" in told("a\tx\na\ty\n")
    assert "a.tsv is empty" in told("\n")
    assert "line 2: its label is 'b', none of a, c" in told(
        "a\tx\nb\ty\n", labels=("a", "c")
    )
    assert "no text has the label 'c'" in told("a\tx\nb\ty\n", labels=("a", "b", "c"))
    assert "a.tsv: the smallest class has 1 texts, too few for 10" in told(
        "a\tx\nb\ty\n"
    )
    assert "line 1 has 3 tokens" in told("a\tx y z\nb\ty\n", max_length=2)
    assert "no file or folder" in str(
        pytest.raises(DataError, read, OpinionsConfig(corpus="nowhere")).value
    )
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "pos.txt").write_text("x\n")
    (folder / "neg.txt").write_text("\n")
    with pytest.raises(DataError, match="the class 'neg' has no text"):
        read_labelled(str(folder))


def test_batches_hold_each_sentence_once():
    inputs = [np.full(n, n, np.int32) for n in (1, 3, 2, 5, 4, 2, 1)]
    labels = np.arange(7, dtype=np.int32)
    reading = LabelledSequences(Examples(inputs, labels), 2, 3, shuffle=True)
    found = []
    for step in range(reading.steps):
        batch = reading.batch_at(3, 1, step)
        for lane in np.flatnonzero(batch.counted):
            length = int(batch.mask[:, lane].sum())
            assert (batch.inputs[:length, lane] == length).all()
            assert not batch.inputs[length:, lane].any()
            found.append(int(batch.label[lane]))
    assert sorted(found) == list(range(7))
    with pytest.raises(DataError, match="without examples"):
        LabelledSequences(Examples([], labels[:0]), 2, shuffle=False)


def test_it_starts_from_a_language_model(tmp_path):
    opinion = OpinionsConfig(sentences=200)
    lines = {name: split.texts for name, split in read(opinion).splits.items()}
    for name, texts in lines.items():
        (tmp_path / f"{name}.txt").write_text("\n".join(texts) + "\n")
    language = Config(
        data=DataConfig(corpus=str(tmp_path), batch=4, reading="sentences"),
        model=ModelConfig("gru", 1, 8, 6),
        train=TrainConfig(epochs=0, steps=2, samples=0),
        gradflow=GradflowConfig(every=0),
    )
    run = train(language, Options(tmp_path / "lm"), [])
    config = dataclasses.replace(
        load_named("sentiment"),
        data=opinion,
        model=ReaderConfig("gru", 1, 8, 6, from_run=str(run)),
    )
    planned = plan(config)
    words, start = planned.prepared.source
    params = planned.problem.init(np.asarray([0, 0], np.uint32))
    np.testing.assert_array_equal(params["embedding"], start["embedding"])
    assert words.vocabulary.size == start["embedding"].shape[0]
    other = dataclasses.replace(config.model, hidden=9)
    with pytest.raises(ConfigError, match="give --model.hidden 8"):
        plan(dataclasses.replace(config, model=other))
    with pytest.raises(ConfigError, match="reads one way"):
        ReaderConfig(both_ways=True, from_run="x")


def test_a_small_form_comes_near_the_optimum(tmp_path):
    config = dataclasses.replace(
        load_named("sentiment"),
        data=OpinionsConfig(sentences=2_000, batch=25),
        train=TrainConfig(epochs=5, eval_batch=100, samples=0, patience=2),
        gradflow=GradflowConfig(every=0),
    )
    train(config, Options(tmp_path / "run"), [])
    summary = read_json(tmp_path / "run" / "summary.json")
    assert summary["scores"]["test"]["accuracy"] > 0.98
    assert summary["optimum"]["accuracy"] == 1.0
    bags = summary["baselines"]["bag of bigrams"]["test"]["accuracy"]
    assert 0.5 < bags < 0.75

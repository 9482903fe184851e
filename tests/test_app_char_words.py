"""Words never seen: a language whose numbers are known, words spelt, and networks that
read them."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_pipeline.config import DataConfig
from data_pipeline.corpora import morphology
from data_pipeline.errors import DataError
from data_pipeline.spelling import BEGIN, END, EOS_SIGN, UNKNOWN, Alphabet
from data_pipeline.vocabulary import UNK_ID
from experiments.applications.char_words.application import prepare, reading
from experiments.applications.char_words.config import CharWordsConfig
from experiments.config import GradflowConfig, TrainConfig
from experiments.console.command_line import Options
from experiments.predict import main as predict
from experiments.run.files import read_json
from experiments.train.session import train
from lm.config import (
    ConfigError,
    DropoutConfig,
    InitConfig,
    ModelConfig,
    OptimConfig,
    SpellingConfig,
)
from lm.models.char_words import bilstm, build_char_words, convolution
from lm.models.language_model import build
from lm.types import Batch, Context, Spelled
from tests.zoo import close

KEY = jax.random.key(0)
SPELLING = SpellingConfig(8, characters=3, widths=3, filters=2, highway=1, units=4)
MODEL = ModelConfig("gru", 1, 4, 5, init=InitConfig(scale=2.0))
WORDS = np.array([[2, 5, 6, 7, 3, 0, 0, 0], [2, 5, 3, 0, 0, 0, 0, 0], [4] + [0] * 7])


def sentences_probability(line, known):
    """P(line), by the sum over all classes that its unknown words may have."""
    spoken, words = morphology.language(), line.split()
    content, particles = words[:-1:2], words[1::2]
    kinds = range(len(morphology.ENDINGS))
    unknown = [
        sum(p for s, p in spoken.stems.items() if s + ending not in known)
        for ending in morphology.ENDINGS
    ]
    total = 0.0
    for classes in itertools.product(kinds, repeat=len(content)):
        p = morphology.STOP * (1 - morphology.STOP) ** (len(content) - 1) / len(kinds)
        for before, after in itertools.pairwise(classes):
            p *= spoken.classes_KK[before, after]
        for kind, word, particle in zip(classes, content, particles, strict=True):
            p *= spoken.particles_KK[kind, morphology.PARTICLES.index(particle)]
            if word not in known:
                p *= unknown[kind]
            elif word[-2:] == morphology.ENDINGS[kind]:
                p *= spoken.stems[word[:-2]]
            else:
                p = 0
        total += p
    return total


def test_the_language_is_known_exactly():
    lines = morphology.sample(2_000, 1)
    assert lines == morphology.sample(2_000, 1)
    spoken = morphology.language()
    every = {s + e for s in spoken.stems for e in morphology.ENDINGS}
    nats, after = morphology.surprisals(lines, every)
    assert nats.mean() == pytest.approx(morphology.entropy_per_token(), rel=0.01)
    assert not after.any()
    known = {w for line in lines[:30] for w in line.split()[:2]}
    for line in [line for line in lines[30:60] if len(line.split()) <= 7][:5]:
        nats, after = morphology.surprisals([line], known, spelled=False)
        want = -math.log(sentences_probability(line, known))
        assert nats.sum() == pytest.approx(want)
        unknown = [w not in known for w in line.split()[:-1:2]]
        assert after[1:-2:2].tolist() == unknown and after.sum() == sum(unknown)


def test_words_are_spelt_with_their_ends():
    alphabet = Alphabet(("a", "b"))
    a, b = 5, 6
    assert alphabet.size == 7
    assert alphabet.spell(["ab", "<eos>", "aXb", "abbba"], 5).tolist() == [
        [BEGIN, a, b, END, 0],
        [EOS_SIGN, 0, 0, 0, 0],
        [BEGIN, a, UNKNOWN, b, END],
        [BEGIN, a, b, a, END],
    ]


@pytest.mark.parametrize("make", [convolution, bilstm])
def test_characters_are_drawn_as_kim_draws_all_or_normally(make):
    for weights, least, most in (("uniform", 0.04, 0.05), ("glorot", 1.5, 9)):
        model = ModelConfig(init=InitConfig(weights=weights, scale=0.05))
        signs = make(SPELLING, model, 60).init(jax.random.key(0))["signs"]
        assert least < np.abs(signs).max() <= most


@pytest.mark.parametrize("how", ["streams", "sentences"])
def test_every_input_is_spelt_by_its_own_characters(tmp_path, how):
    for name, text in (("train", "a b\na cc b\n"), ("valid", "b dab"), ("test", "a a")):
        (tmp_path / f"{name}.txt").write_text(f"{text}\n" * 3)
    data = DataConfig(str(tmp_path), max_vocabulary=4, reading=how, batch=2, window=3)
    config = CharWordsConfig(data=data, spelling=SPELLING)
    prepared = prepare(config)
    assert prepared.facts["types_outside"] == 2  # cc and dab
    alphabet = prepared.source.alphabet
    for split, evaluation in (("train", False), ("valid", True), ("test", True)):
        read = reading(config, prepared, split, evaluation)
        for step in range(read.steps):
            batch = read.batch_at(0, 0, step)
            for ids, signs in zip(
                batch.inputs.reshape(-1), batch.spelling.reshape(-1, 8), strict=True
            ):
                names = [prepared.source.dataset.vocabulary.tokens[ids]]
                outside = {"train": ["cc"], "valid": ["dab"], "test": []}[split]
                names = outside if ids == UNK_ID else names
                wanted = alphabet.spell(names, 8).tolist()
                assert signs.tolist() in wanted


def by_hand(params, word):
    """A word (W,) of ids by the equations of Kim 2016, a window at a time."""
    cs = np.asarray(params["signs"])[word[word > 0]]
    ys = []
    for w in (1, 2, 3):
        own = jax.tree.map(np.asarray, params[f"window_{w}"])
        padded = np.pad(cs, ((0, max(0, w - len(cs))), (0, 0)))
        windows = [padded[i : i + w].ravel() for i in range(len(padded) - w + 1)]
        ys.append(np.max(np.tanh(np.array(windows) @ own["w"] + own["b"]), axis=0))
    y = np.concatenate(ys)
    own = jax.tree.map(np.asarray, params["highway_0"])
    gate = 1 / (1 + np.exp(-(y @ own["w_t"] + own["b_t"])))
    y = gate * np.maximum(y @ own["w_h"] + own["b_h"], 0) + (1 - gate) * y
    return y @ np.asarray(params["out"])


@pytest.mark.parametrize("make", [convolution, bilstm])
def test_vectors_are_those_of_the_characters_alone(make):
    speller = make(SPELLING, MODEL, 9)
    params, apply = speller.init(KEY), jax.jit(speller.apply)
    found_ND = np.asarray(apply(params, WORDS))
    assert found_ND.shape == (3, 5)
    for word, vector in zip(WORDS, found_ND, strict=True):
        if make is convolution:
            close(by_hand(params, word), vector, 1e-5, 1e-6)
        alone = word[: max(3, (word > 0).sum())][None]
        close(apply(params, alone)[0], vector, 1e-5, 1e-6)
    longer = np.pad(WORDS, ((0, 0), (0, 4)))
    close(apply(params, longer), found_ND, 1e-5, 1e-6)
    gradient = jax.jit(jax.grad(lambda p: apply(p, WORDS).sum()))(params)["signs"]
    assert (gradient[0] == 0).all() and (gradient[8] == 0).all()
    assert (jnp.abs(gradient[2:8]).sum(axis=1) > 0).all()


def test_with_a_table_it_is_the_language_model():
    ids = np.array([[0, 2], [3, 1], [1, 4]], np.int32)
    mask, fresh = np.ones((3, 2), np.float32), np.ones(2, bool)
    spelt = np.tile(WORDS[0], (3, 2, 1))
    batch = Spelled(ids, spelt, np.roll(ids, -1, 0), mask, fresh)
    made = build_char_words(MODEL, 6, 9, "embedding", SPELLING)
    params = made.problem.init(KEY)
    plain = build(MODEL, 6).problem
    carry = plain.carry(params, 2)
    same = Batch(ids, batch.targets, mask, fresh)
    want = plain.loss(params, carry, same, Context())[1].total
    assert float(made.problem.loss(params, carry, batch, Context())[1].total) == (
        pytest.approx(float(want))
    )
    _, scores = made.problem.evaluate(params, carry, batch)
    assert float(scores["after_unknown"].count) == 2
    spelled = build_char_words(MODEL, 6, 9, "bilstm", SPELLING)
    params = spelled.problem.init(KEY)
    assert set(params) == {"layers", "softmax", "speller"}


SMALL = CharWordsConfig(
    data=DataConfig(
        "morphology", max_vocabulary=400, grammar_sentences=4_000, batch=10, window=30
    ),
    model=ModelConfig("gru", 1, 32, 24, init=InitConfig("glorot")),
    spelling=SpellingConfig(8, 8, widths=2, filters=12, highway=1),
    optim=OptimConfig("adam", 0.01, schedule="cosine", clip_at=1.0),
    train=TrainConfig(epochs=4, eval_every=640, samples=0),
    gradflow=GradflowConfig(every=0),
)


@pytest.mark.usefixtures("compile_cache")
def test_it_ends_near_what_the_endings_tell_and_scores_new_lines(tmp_path, capsys):
    run = tmp_path / "run"
    assert train(SMALL, Options(run), []) == run
    summary = read_json(run / "summary.json")
    test, best = summary["scores"]["test"], summary["optimum"]
    blind = summary["without_characters"]["after_unknown"]
    assert best["loss"] < test["loss"] < 1.15 * best["loss"]
    assert test["after_unknown"] < (best["after_unknown"] + blind) / 2
    assert summary["baselines"]["4-gram"]["test"]["after_unknown"] > 0.95 * blind
    lines = tmp_path / "lines.txt"
    lines.write_text("zzzul hu zzzon jo .\n\n")
    capsys.readouterr()
    predict(["--run", str(run), "--input", str(lines)])
    first, second = capsys.readouterr()[0].splitlines()
    assert "tokens 6" in first and "after_unknown" in first and "tokens 0" in second


def test_what_cannot_be_spelt_is_refused_in_a_line():
    for change, told in (
        ({"data": DataConfig(tokenizer="characters")}, "data.tokenizer.*'words'"),
        ({"model": ModelConfig(softmax="tied")}, "no table to share: use 'full'"),
        ({"model": ModelConfig(embedding=0)}, "model.embedding is 0"),
        ({"model": ModelConfig(dropout=DropoutConfig(embedding=0.1))}, "set it to 0"),
        ({"words": "letters"}, "words 'letters' is unknown"),
    ):
        with pytest.raises(ConfigError, match=told):
            CharWordsConfig(**change)
    with pytest.raises(ConfigError, match="spelling.widths is 9"):
        SpellingConfig(8, widths=9)
    big = DataConfig("grammar", grammar_sentences=40_000, in_memory=0)
    with pytest.raises(DataError, match="megabytes.*raise that"):
        prepare(CharWordsConfig(data=big))

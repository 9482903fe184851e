"""Gaps: what they are filled with by the grammar, by n-grams and by a network, which
must not see the word."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_pipeline.config import DataConfig
from data_pipeline.corpora import grammar
from data_pipeline.corpora.grammar_gaps import best, posteriors
from data_pipeline.errors import DataError
from data_pipeline.gaps import Gaps, count, gapped
from data_pipeline.types import TokenArray
from experiments import ngram
from experiments.applications.gap import ngram as both_sides
from experiments.applications.gap.application import prepare
from experiments.applications.gap.config import GapConfig
from experiments.applications.restored import restore_best
from experiments.config import GradflowConfig, TrainConfig
from experiments.console.command_line import Options
from experiments.predict import main as predict
from experiments.run.files import read_json
from experiments.train.session import train
from lm.cells import make_cell
from lm.config import ConfigError, InitConfig, ModelConfig, OptimConfig
from lm.gradflow import through_time
from lm.layers import bidirectional, recurrent, stack
from lm.models import gap
from lm.models.gap import build_gap
from tests.zoo import close

V, H = 7, 4
IDS = np.array([2, 3, 4, 5, 0, 6, 2, 0, 3, 3, 5, 0])
TOKENS = TokenArray(IDS, np.array([0, 5, 8, 12]))
BATCH = gapped(TOKENS, np.arange(3), 6, 4)
CONFIG = ModelConfig("gru", 2, H, 3, init=InitConfig(scale=2.0))


def test_the_posterior_of_the_grammar_is_that_of_all_sentences():
    grams, nats = grammar.rules(), []
    words = {w for p in grams.values() for _, s in p for w in s} - set(grams)
    for sentence in ("the dog that the cats see sleeps .", "do the big dogs run ?"):
        tokens = sentence.split()
        for at, found in enumerate(posteriors(sentence)):
            weights = {
                word: math.exp(
                    grammar.log_probability(
                        " ".join([*tokens[:at], word, *tokens[at + 1 :]])
                    )
                )
                for word in words
            }
            total = sum(weights.values())
            assert {w: p / total for w, p in weights.items() if p} == pytest.approx(
                found
            )
            nats.append(-math.log(found[tokens[at]]))
    lines = ["the dog that the cats see sleeps .", "do the big dogs run ?"]
    assert best(lines).loss == pytest.approx(np.mean(nats))


def test_every_word_is_a_gap_once_and_nothing_else_is():
    assert BATCH.words[:, 1].tolist() == [0, 6, 2, 0, 0, 0, 0]
    assert BATCH.mask[:, 1].tolist() == [1, 1, 1, 1, 0, 0, 0]
    assert BATCH.asked[:, 1].tolist() == [1, 1, 0, 0, 0]
    assert BATCH.asked.sum() == count(TOKENS) == 9 and not BATCH.mask[:, 3].any()
    whole = Gaps(TOKENS, 2, shuffle=True)
    found = [whole.batch_at(1, 0, step) for step in range(whole.steps)]
    asked = [b.words[1:-1][b.asked > 0] for b in found]
    assert sorted(np.concatenate(asked).tolist()) == sorted(IDS[IDS > 0].tolist())


@pytest.mark.parametrize("sentences", [2, 3])
def test_ngrams_of_both_sides_are_the_probability_of_the_whole_sentence(sentences):
    train = TokenArray(IDS[: TOKENS.starts[sentences]], TOKENS.starts[: sentences + 1])
    model = ngram.fit(train, V, 3)
    tables = both_sides.Tables(model)
    for sentence in (np.array([3, 3, 2, 5, 0]), np.array([6, 0])):
        for at in range(len(sentence) - 1):
            whole = np.zeros(V)
            for word in range(1, V):
                tried = np.where(np.arange(len(sentence)) == at, word, sentence)
                one = TokenArray(tried, np.array([0, len(tried)]))
                whole[word] = np.prod(ngram.probabilities(model, one))
            found = both_sides.filled(tables, sentence, at)
            np.testing.assert_allclose(found.both, whole / whole.sum(), rtol=1e-9)
            assert found.left.sum() == pytest.approx(1)


def sensitivity(sides="both", layers=None):
    """(T, T+2, B): |∂ logits of gap t / ∂ vector of word s|, of the first lane's words
    as vectors of their own."""
    model = build_gap(CONFIG, V, sides)
    params = model.problem.init(jax.random.key(0))
    if layers:
        params |= {n: layers[n].init(jax.random.key(1), 3) for n in layers}
    places = np.arange(BATCH.words.size).reshape(BATCH.words.shape)
    batch = BATCH._replace(words=places)
    table = params["embedding"][BATCH.words.reshape(-1)]
    found = model if not layers else model._replace(logits=seeing(layers))

    def logits(table):
        own = params | {"embedding": table, "softmax": {"w": jnp.ones((H, 1))}}
        return found.logits(own, batch)[..., 0].sum(axis=1)

    norms = jnp.linalg.norm(jax.jit(jax.jacobian(logits))(table), axis=-1)
    return np.asarray(norms).reshape(-1, *BATCH.words.shape)


def seeing(layers):
    """The logits of stacks that `build_gap` refuses."""
    kept = gap.make_layers
    gap.make_layers = lambda *_: layers
    try:
        return build_gap(CONFIG, V).logits
    finally:
        gap.make_layers = kept


def test_no_gap_sees_its_word_and_padding_is_never_read():
    for sides in gap.SIDES:
        found_TSB = sensitivity(sides)
        for t, at_SB in enumerate(found_TSB):
            assert (at_SB[t + 1] == 0).all()
            assert (at_SB[BATCH.mask == 0] == 0).all()
            left, right = at_SB[: t + 1, 0], at_SB[t + 2 : 6, 0]
            if t < 4:
                assert ((left > 0) == (sides != "right")).all()
                assert ((right > 0) == (sides != "left")).all()


def test_a_deep_bidirectional_stack_sees_the_word_and_is_refused():
    cell = make_cell("gru", H)
    deep = stack(bidirectional(recurrent(cell), recurrent(cell)), recurrent(cell))
    layers = {"forward": deep, "backward": deep}
    assert sensitivity(layers=layers)[1, 2, 0] > 1e-3
    with pytest.raises(ConfigError, match="reads from both sides.*one-way"):
        build_gap(CONFIG, V, stacks=layers)


def test_lags_are_counted_from_the_gap_to_both_sides():
    model = build_gap(CONFIG, V)
    params = model.problem.init(jax.random.key(0))
    assert [part.name for part in model.parts] == [
        "forward.0",
        "forward.1",
        "backward.0",
        "backward.1",
    ]
    lags = through_time.lag_norms(model.problem, params, (), BATCH)
    for name, norms_KB in lags.items():
        reach = (np.asarray(norms_KB) > 0).sum(axis=0).tolist()
        # The middle one of 4, 2 and 3 words, and of none: `<eos>` is read as well.
        assert reach == ([2, 1, 2, 0] if "forward" in name else [3, 2, 2, 0])
    alone = gapped(TOKENS, np.array([1]), 3, 1)
    logits = jax.jit(model.logits)
    close(logits(params, alone), logits(params, BATCH)[:2, 1:2], 1e-5, 1e-6)


SMALL = GapConfig(
    data=DataConfig("grammar", reading="sentences", batch=50, grammar_sentences=4_000),
    model=ModelConfig("gru", 1, 48, 48, init=InitConfig("uniform", 0.1)),
    gradflow=GradflowConfig(every=0),
    optim=OptimConfig("adam", 0.015, schedule="cosine", clip_at=1.0),
    train=TrainConfig(epochs=4, eval_every=320, eval_batch=100, samples=0),
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, few_lengths):
    run = tmp_path_factory.mktemp("run") / "run"
    assert train(SMALL, Options(run), []) == run
    return run


@pytest.mark.usefixtures("compile_cache")
def test_it_ends_near_the_exact_posterior(trained):
    summary = read_json(trained / "summary.json")
    test, optimum = summary["scores"]["test"], summary["optimum"]
    assert optimum["loss"] < test["loss"] < 1.2 * optimum["loss"]
    assert test["accuracy"] > 0.9 * optimum["accuracy"]
    ngrams = summary["baselines"]
    assert ngrams["3-gram, both"]["test"]["loss"] > test["loss"]
    assert ngrams["3-gram, left"]["test"]["loss"] > 1.2 * test["loss"]


@pytest.mark.usefixtures("compile_cache")
def test_lines_with_a_gap_are_answered_and_others_refused(trained, tmp_path, capsys):
    lines = tmp_path / "lines.txt"
    lines.write_text("the dogs ___ .\n___ dog sleeps .\n")
    predict(["--run", str(trained), "--input", str(lines)])
    out, _ = capsys.readouterr()
    first, second = out.splitlines()
    assert first.endswith("the dogs ___ .") and "answer" in first
    asked = ["--run", trained, "--input", lines]
    lines.write_text("the dog ___ .\nthe dog sleeps .\n")
    assert "line 2 has 0 gaps" in refused_after(asked, capsys)
    lines.write_text("the dog ___ " + "very " * 200 + "\n")
    assert "line 1 has 204 tokens" in refused_after(asked, capsys)
    assert restore_best(trained).prepared.source.vocabulary.size == 151


def refused_after(argv, capsys):
    """The one line of a refusal, whatever was answered before it."""
    with pytest.raises(SystemExit) as leave:
        predict([str(word) for word in argv])
    _, err = capsys.readouterr()
    assert leave.value.code == 2 and err.count("\n") == 1
    return err


def test_what_cannot_be_read_is_refused_in_a_line(tmp_path):
    for name in ("train", "valid", "test"):
        (tmp_path / f"{name}.txt").write_text("a b c\na b c d e f\n")
    data = DataConfig(str(tmp_path), reading="sentences", batch=2, max_length=5)
    with pytest.raises(DataError, match="sentence 2 of train has 7 tokens.*max_length"):
        prepare(GapConfig(data=data))
    with pytest.raises(ConfigError, match="data.reading is 'streams'.*'sentences'"):
        GapConfig(data=DataConfig())
    with pytest.raises(ConfigError, match="sides 'centre' is unknown"):
        GapConfig(sides="centre")  # type: ignore[arg-type]

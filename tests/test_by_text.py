"""What `default` lets the text choose, and the n-gram that stands beside it."""

import random

import numpy as np
import pytest

from data_pipeline.dataset import prepare
from experiments import ngram
from experiments.applications.correction.config import CorrectionConfig
from experiments.applications.language_model.by_text import (
    BETWEEN,
    LONG,
    LONG_PIECES,
    SIZES,
    choose,
    evaluated,
    pieces,
    survey,
)
from experiments.config import Config, load_named
from experiments.console.command_line import parse
from experiments.evaluate.evaluation import evaluate
from experiments.evaluate.options import Evaluate
from experiments.run.files import read_json
from experiments.train.__main__ import main
from lm.adaptive.mixture import em_weights, mixed
from lm.config import ConfigError

pytestmark = pytest.mark.usefixtures("compile_cache")


@pytest.fixture(scope="module")
def texts(tmp_path_factory) -> dict[str, str]:
    """Files whose words repeat, are all new, or have no spaces between them."""
    folder, chance = tmp_path_factory.mktemp("texts"), random.Random(0)
    few = ["one", '"two"', "three,", "four", "five."]

    def word(letters: int) -> str:
        return "".join(chance.choices("abcdefghij", k=letters))

    made = {
        "repeating": lambda: " ".join(chance.choices(few, k=8)),
        "new": lambda: " ".join(word(8) for _ in range(8)),
        "unspaced": lambda: word(300),
    }
    for name, line in made.items():
        text = "".join(f"{line()}\n" for _ in range(400))
        (folder / name).write_text(text)
    return {name: str(folder / name) for name in made}


def chosen(corpus: str) -> tuple[Config, str]:
    base, _ = parse(["--data.corpus", corpus], "")
    config, lines = choose(base)
    return config, "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "tokenizer", "why"),
    [
        ("repeating", "reversible", "0.0% of the words of its last tenth are new"),
        ("new", "bpe", "100.0% of the words of its last tenth are new"),
        ("unspaced", "characters", "300 letters on average"),
    ],
)
def test_the_text_chooses_how_it_is_cut_and_says_why(texts, text, tokenizer, why):
    config, told = chosen(texts[text])
    assert config.data.tokenizer == tokenizer
    assert why in told and "of training, 20 in all" in told


def test_the_text_is_surveyed_by_its_training_split_alone(texts):
    base = load_named("default")
    config, _ = parse(["--data.corpus", texts["new"]], "", base)
    found = survey(config.data)
    kept = prepare(config.data).splits["train"]
    assert found.words == len(kept.ids) - (len(kept.starts) - 1)  # without <eos>


def test_longer_texts_have_less_dropout():
    rows = [(size.input, size.output, size.weight) for size in SIZES]
    assert SIZES[0].words == 0
    assert [size.words for size in SIZES] == sorted(size.words for size in SIZES)
    assert all(
        now >= then
        for a, b in zip(rows, rows[1:], strict=False)
        for now, then in zip(a, b, strict=True)
    )


def test_a_short_text_has_few_pieces():
    assert [pieces(words) for words in (50, 9_000, 999_999, LONG)] == [
        400,
        900,
        10_000,
        LONG_PIECES,
    ]


def test_a_long_text_is_evaluated_before_its_first_epoch_ends():
    base = load_named("default")
    assert evaluated(base, LONG - 1) == base
    found = evaluated(base, LONG)
    between = found.train.eval_every * found.data.batch * found.data.window
    assert 0.9 * BETWEEN < between <= BETWEEN


def test_it_may_end_anywhere():
    """Nothing is planned for a last step; the time bounds it."""
    base = load_named("default")
    assert (base.optim.schedule, base.optim.average) == ("constant", "ema_corrected")
    assert base.train.minutes > 0 and base.train.patience > 0


def test_a_flag_counts_before_the_text_and_ngram_and_cache_stand_beside(
    texts, tmp_path, capsys
):
    run = tmp_path / "run"
    given = "--train.steps 2 --model.hidden 6 --model.embedding 6 --ngram 2 --cache 20"
    words = ["--data.corpus", texts["repeating"], "--run-dir", str(run)]
    main([*words, *given.split(), "--gradflow.every", "0", "--train.samples", "0"])
    printed = capsys.readouterr().out
    kept = read_json(run / "config.json")["config"]
    assert (kept["model"]["hidden"], kept["data"]["tokenizer"]) == (6, "reversible")
    assert (kept["data"]["batch"], kept["train"]["steps"]) == (SIZES[0].batch, 2)
    assert printed.startswith("chosen by the text (")
    config, _ = parse([*words, "--ngram", "2"], "")
    dataset = prepare(config.data)
    expected = ngram.baseline(dataset, 2)
    summary = read_json(run / "summary.json")
    beside = summary["baselines"]["Kneser-Ney 2-gram"]
    for split in ("valid", "test"):
        assert beside[split] == pytest.approx(expected[split])
    assert "Kneser-Ney 2-gram: valid" in printed
    asked = Evaluate(run=(str(run),), ngram=2, cache=20)
    static, cache, _, every = evaluate(asked)["rows"]
    assert (cache["name"], every["name"]) == ("+ cache", "all of it")
    for split in ("valid", "test"):
        found = summary["scores"][split]
        assert found["cached_perplexity"] == pytest.approx(cache[split], rel=1e-4)
        assert found["mixed_perplexity"] == pytest.approx(every[split], rel=1e-4)
        assert found["mixed_perplexity"] != pytest.approx(static[split], rel=1e-3)
    chosen = summary["chosen"]
    for name, share, row in (
        ("cache", "cache_share", cache),
        ("2-gram", "ngram_share", every),
    ):
        assert chosen[share] == pytest.approx(row["weights"][name], abs=1e-2)
    assert chosen["cache_θ"] == cache["chosen"]["θ"]
    late = summary["baselines"]["Kneser-Ney 2-gram + cache"]
    for split, want in counted(dataset, 20).items():
        assert late[split]["perplexity"] == pytest.approx(want, rel=1e-4)


def counted(dataset, size: int) -> dict[str, float]:
    """Perplexity of a 2-gram mixed with the shares of words among the last `size`."""
    theirs = ngram.nats(dataset.splits, dataset.vocabulary.size, 2)
    pairs = {}
    for split, nats_N in theirs.items():
        ids = dataset.splits[split].ids.tolist()
        lately = [ids[max(0, n - size) : n] for n in range(len(ids))]
        p = [
            was.count(w) / len(was) for was, w in zip(lately[1:], ids[1:], strict=True)
        ]
        with np.errstate(divide="ignore"):
            own = -np.log([1 / dataset.vocabulary.size, *p])
        pairs[split] = np.stack([nats_N, own])
    weights = em_weights(pairs["valid"]).weights_K
    return {s: float(np.exp(mixed(both, weights).mean())) for s, both in pairs.items()}


def test_only_language_models_are_chosen_by_text():
    with pytest.raises(ConfigError, match="by_text is True, ngram 5 and cache 9"):
        CorrectionConfig(by_text=True, ngram=5, cache=9)
    config = load_named("tour")
    assert choose(config) == (config, ())

"""Sentiment bound to a classifier: many words to one class."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_pipeline.batches import Reading
from data_pipeline.labelled import Examples, LabelledSequences
from data_pipeline.vocabulary import Vocabulary
from experiments.applications.application import (
    Application,
    Final,
    Prepared,
    Restored,
)
from experiments.applications.classes import confusion, probabilities
from experiments.applications.lines import read_lines
from experiments.applications.restored import restore_best
from experiments.applications.sentiment.baseline import bags
from experiments.applications.sentiment.config import SentimentConfig
from experiments.applications.sentiment.data import (
    Sentences,
    encode,
    read,
    tokens_of,
)
from experiments.applications.sentiment.shown import section
from experiments.run.files import read_json, write_json_atomic
from experiments.run.record import VOCABULARY, Text
from lm.config import ConfigError
from lm.models.classifier import Classifier, build_classifier
from lm.problem import Problem
from lm.types import Labelled

LABELS = "labels.json"
SHOWN, TRACED = 12, 6


def prepare(config: SentimentConfig) -> Prepared:
    """The sentences, and where the network starts.

    Raises:
      DataError: see `sentiment.data.read`.
      RunError, ConfigError: for `model.from_run`.
    """
    start = started(config) if config.model.from_run else None
    words = read(config.data, start and start[1])
    splits = {name: words.examples(name) for name in words.splits}
    sizes = {name: len(split.inputs) for name, split in splits.items()}
    name = config.data.corpus
    if name == "opinions":
        facts = {"optimum": {"accuracy": 1.0, "loss": 0.0}}
    else:
        name, facts = f"{Path(name).name}, fold {config.data.fold}", {}
    return Prepared(
        text=Text(name, words.fingerprint, words.vocabulary.digest),
        splits=splits,
        size=sum(map(len, splits["train"].inputs)),
        told=f"{sizes['train']:,} sentences of {len(words.names)} classes, "
        f"{sizes['valid']:,} for validation, {sizes['test']:,} for the test, "
        f"vocabulary {words.vocabulary.size:,}",
        facts=facts,
        save=lambda run: keep(run, words),
        source=(words, start and start[0]),
    )


def keep(run: Any, words: Sentences) -> None:
    """The vocabulary and the names of the classes."""
    run.keep_vocabulary(words.vocabulary)
    write_json_atomic(run.directory / LABELS, list(words.names))


def started(config: SentimentConfig) -> tuple[Any, Vocabulary]:
    """Parameters and vocabulary of the language model in `model.from_run`.

    Raises:
      RunError: where there is none.
      ConfigError: where its layers are others.
    """
    found = restore_best(config.model.from_run)
    if found.config.application != "language_model":
        raise ConfigError(
            f"model.from_run: {config.model.from_run} is a run of "
            f"{found.config.application!r}, not of a language model"
        )
    named = "cell layers hidden embedding bias residual structure"
    for name in named.split():
        theirs, ours = getattr(found.config.model, name), getattr(config.model, name)
        if theirs != ours:
            raise ConfigError(
                f"model.{name} is {ours!r} but that of model.from_run is {theirs!r}: "
                f"give --model.{name.replace('_', '-')} {theirs}"
            )
    params = {name: found.params[name] for name in ("layers", "embedding")}
    return params, found.prepared.source.vocabulary


def restore(config: SentimentConfig, directory: Path) -> Prepared:
    """The vocabulary and the classes that a run keeps."""
    vocabulary = Vocabulary.load(directory / VOCABULARY)
    words = Sentences({}, tuple(read_json(directory / LABELS)), vocabulary, "")
    return Prepared(Text("", "", vocabulary.digest), {}, source=(words, None))


def model_of(config: SentimentConfig, words: Sentences) -> Classifier:
    """The network."""
    model, sizes = config.model, (words.vocabulary.size, len(words.names))
    return build_classifier(model, *sizes, model.pooling, model.both_ways)


def problem(config: SentimentConfig, prepared: Prepared) -> Problem:
    """What is trained; it starts from a language model where there is one."""
    words, start = prepared.source
    built = model_of(config, words).problem
    if start is None:
        return built
    return built._replace(
        init=lambda key, numbers=None: built.init(key, numbers) | start
    )


def reading(
    config: SentimentConfig, prepared: Prepared, split: str, evaluation: bool = False
) -> Reading:
    """Each sentence once, those of about the same length together."""
    batch = config.train.eval_batch if evaluation else config.data.batch
    return LabelledSequences(prepared.splits[split], batch, shuffle=not evaluation)


def probed(config: SentimentConfig, prepared: Prepared) -> Labelled | None:
    """The longest validation sentences; lag 0 is a sentence's end, or its beginning for
    what reads from the right."""
    found, lanes = prepared.splits["valid"], config.gradflow.lanes
    lengths = np.array([len(sequence) for sequence in found.inputs])
    longest = np.argsort(-lengths, kind="stable")[:lanes]
    if lengths.max() < 2:
        return None
    return LabelledSequences(found.of(longest), lanes, 1, shuffle=False).batch_at(
        0, 0, 0
    )


def final(config: SentimentConfig, prepared: Prepared, params: Any) -> Final:
    """Bags of bigrams beside it, and test sentences as the network took them."""
    words, _ = prepared.source
    test, model = words.splits["test"], model_of(config, words)
    chances = probabilities(model, params, prepared.splits["test"].inputs)
    said = chances.argmax(1)
    sure = np.argsort(-chances.max(1), kind="stable")
    wrong, right = (
        sure[(said == test.labels)[sure] == is_right] for is_right in (0, 1)
    )
    kinds = {}
    for kind in sorted(set(test.kinds)):
        own = np.array([k == kind for k in test.kinds])
        kinds[kind] = [int(own.sum()), float((said == test.labels)[own].mean())]
    chosen = [*wrong[: SHOWN // 2], *right[: SHOWN - min(len(wrong), SHOWN // 2)]]
    traced = [*wrong[: TRACED // 2], *right[:: max(1, len(right) // TRACED)]][:TRACED]
    return Final(
        baselines=bags(words.splits),
        examples={
            "names": list(words.names),
            "confusion": confusion(test.labels, said, len(words.names)),
            "kinds": kinds,
            "sentences": [
                [test.texts[n], int(test.labels[n]), chances[n].tolist()]
                for n in chosen
            ],
            "traces": traces(
                model, params, words.vocabulary, [test.texts[n] for n in traced]
            ),
        },
    )


def traces(
    model: Classifier, params: Any, vocabulary: Vocabulary, texts: Sequence[str]
) -> list[dict]:
    """{"words", "chances" (T, C)} of each text: the answer after each word, as if the
    sentence ended there."""
    encoded = [encode(vocabulary, text) for text in texts]
    beginnings = [ids[:end] for ids in encoded for end in range(1, len(ids) + 1)]
    if not beginnings:
        return []
    chances = probabilities(model, params, beginnings, 1)
    each = np.split(chances, np.cumsum([len(ids) for ids in encoded])[:-1])
    return [
        {"words": tokens_of(vocabulary, text), "chances": found.tolist()}
        for text, found in zip(texts, each, strict=True)
    ]


def told(config: SentimentConfig) -> str:
    """The network in a few words."""
    model = config.model
    ways = " both ways" if model.both_ways else ""
    return (
        f"{model.layers}-layer {model.kind}{ways}, {model.hidden} units, "
        f"{model.pooling} pooling"
    )


def example(restored: Restored) -> Labelled:
    """A sentence of frequent words, as long as ten."""
    words, _ = restored.prepared.source
    ids = np.arange(2, 12, dtype=np.int32) % words.vocabulary.size
    one = Examples([ids], np.zeros(1, np.int32))
    return LabelledSequences(one, 1, shuffle=False).batch_at(0, 0, 0)


def predict(restored: Restored, path: str) -> Iterator[dict[str, Any]]:
    """The class of each line of a file with its probability, and that of all."""
    words, _ = restored.prepared.source
    model = model_of(restored.config, words)
    lines = read_lines(path, option="--input")
    if lines:
        encoded = [encode(words.vocabulary, line.text) for line in lines]
        found = probabilities(model, restored.params, encoded)
        for line, chances in zip(lines, found, strict=True):
            yield answer_of(line.text, words.names, chances)


def answer_of(text: str, names: Sequence[str], chances: np.ndarray) -> dict[str, Any]:
    """A record of the likeliest class."""
    best = int(chances.argmax())
    return {
        "text": text,
        "answer": names[best],
        "probability": float(chances[best]),
        "probabilities": dict(zip(names, chances.tolist(), strict=True)),
    }


APPLICATION = Application(
    config=SentimentConfig,
    told=told,
    prepare=prepare,
    restore=restore,
    problem=problem,
    reading=reading,
    probed=probed,
    final=final,
    section=section,
    predict=predict,
    example=example,
    monitor="-accuracy",
)

"""Seconds to score sentences, against an evaluation of the same tokens.

A model of the default config's size, with random weights, on sentences of its corpus.
Scoring begins with their text and ends with a probability for every token of every
line; the evaluation is that of training, which begins with ids and keeps one sum.
"""

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

from data_pipeline import corpora
from data_pipeline.corpora.reading import lines_of
from experiments.applications import load
from experiments.applications.language_model.pieces import (
    Piece,
    pieces_of_lines,
    token_array,
)
from experiments.applications.language_model.reading import setting_of
from experiments.applications.language_model.scoring import CHUNK, scorer_of
from experiments.applications.language_model.trained import Trained
from experiments.applications.lines import Line, lines_from
from experiments.benchmark import Benchmark
from experiments.config import Config, load_named
from experiments.results.markdown import markdown, measured
from experiments.results.rows import Row
from experiments.results.timing import interleaved
from experiments.train.executor import One
from experiments.train.plan import plan_of
from lm.models.language_model import build

VALID = "valid"
EVALUATION, TEXT = "evaluated", "scored as one text"
ALONE = "scored, each by itself"


def measure(sentences: int = 10_000, config: Config | None = None) -> dict[str, Any]:
    """Minima over rounds in which all take turns; each is compiled before.

    config: of a language model, in place of the default.
    """
    chosen = load_named("default") if config is None else config
    lines, sides = sides_of(chosen, sentences)
    seconds = interleaved(sides, rounds=5, warm=1)
    tokens = sides[EVALUATION]()
    return {
        "config": chosen.name,
        "sentences": lines,
        "tokens": tokens,
        "seconds": {name: float(times.min()) for name, times in seconds.items()},
    }


def sides_of(
    config: Config, sentences: int
) -> tuple[int, dict[str, Callable[[], int]]]:
    """(how many sentences, {side: () -> tokens that it has read}), of the first
    sentences of the training split."""
    application = load(config.application)
    prepared = application.prepare(config)
    vocabulary = prepared.source.vocabulary
    source = corpora.load(config.data)
    text = lines_of(block for split, block in source.blocks() if split == "train")
    lines = list(islice(lines_from(text), sentences))
    setting = setting_of(config, vocabulary)

    def cut(chunk: list[Line], alone: bool) -> list[Piece]:
        return pieces_of_lines(vocabulary, setting, chunk, alone)

    splits = {**prepared.splits, VALID: token_array(cut(lines, alone=False))}
    executor = One(plan_of(config, application, prepared._replace(splits=splits)))
    executor.restart([0], [config])
    model = build(config.model, vocabulary.size)
    trained = Trained(config, vocabulary, model, executor.averaged(0), step=0)

    def evaluated() -> int:
        (scores,) = executor.evaluate([0], VALID)
        return scores["loss"].count

    def scored(alone: bool) -> Callable[[], int]:
        score, size = scorer_of(trained, alone), CHUNK if alone else len(lines)

        def read() -> int:
            chunks = (lines[at : at + size] for at in range(0, len(lines), size))
            found = (each for chunk in chunks for each in score(cut(chunk, alone)))
            return sum(len(each.nats) for each in found)

        return read

    return len(lines), {EVALUATION: evaluated, TEXT: scored(False), ALONE: scored(True)}


def table(rows: Sequence[Row]) -> str:
    """A line a way of reading."""
    (row,) = rows
    found = row["metrics"]
    first, tokens = found["seconds"][EVALUATION], found["tokens"]
    lines = [
        (name, f"{taken:.2f}", f"{tokens / taken:,.0f}", f"{taken / first:.2f}×")
        for name, taken in found["seconds"].items()
    ]
    what = f"{found['sentences']:,} sentences, {tokens:,} tokens"
    head = (what, "seconds", "tokens/s", "of the evaluation's time")
    return f"{markdown(head, lines)}\n{measured(row)}\n"


BENCHMARK = Benchmark(measure, table)

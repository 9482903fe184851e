"""Measurements: one file is one benchmark and its table in the README beside it.

A new one is a file that ends in `BENCHMARK = Benchmark(measure, table)` and a line in
`BENCHMARKS`. It may import all of experiments but studies, sweeps and reports.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatch
from importlib import import_module
from typing import Any, NamedTuple

Row = dict[str, Any]


class Benchmark(NamedTuple):
    """What `experiments/benchmark/NAME.py` offers as `BENCHMARK`.

    measure  (**options) -> a row's metrics; prints what it finds on the way.
    table    its rows, as they are in experiments/results, to a Markdown table.
    options  names of the command's fields that `measure` takes.
    row      the name of its row; fields of the command may stand in it, and `on`:
             "_gpu" where the device is one, "" on CPUs.
    figure   (metrics) -> a Figure, which stands beside the row under its name.
    """

    measure: Callable[..., dict[str, Any]]
    table: Callable[[Sequence[Row]], str]
    options: tuple[str, ...] = ()
    row: str = "benchmark_{name}"
    figure: Callable[[dict[str, Any]], Any] | None = None


# name: what it measures
BENCHMARKS = {
    "tutorial": "the tutorial's set-up: its loss before training, its ten epochs over "
    "100 sentences, and its SGD step on one core",
    "steps": "training steps against the plain-scan twin and Flax's nnx.RNN, "
    "interleaved: Zaremba small and medium, 2×128 and 2×512 characters",
    "peers": "training steps, reading and writing beside the plain scan, Flax, "
    "Equinox, Haiku, Keras and PyTorch, where installed, interleaved: `--suite` lm, "
    "bfloat16, recurrence, score, generate, gradflow or data",
    "precision": "training steps with the gradient's products in float32 and in "
    "bfloat16, and how far the two gradients are apart",
    "softmax": "the loss over many words, all logits at once and a block of words at a "
    "time: work space and time",
    "drivers": "the driver of each cell against the plain scan, and gates kept for the "
    "backward pass against gates made anew in it",
    "products": "products of a recurrence, the weights as the right factor and as the "
    "left, by shape",
    "accounting": "where the time of a training step goes: products, pointwise "
    "functions, sums, copies, and what is none of them",
    "scaling": "the time of a training step against T, B, H, V and L, beside what its "
    "products have to do",
    "startup": "seconds of --help and of a first training step, with and without "
    "compiled programs kept",
    "sampling": "tokens/s of one text, and of 64 at once, by a 1×128 character LSTM",
    "instruments": "seconds of every instrument of lm.gradflow at H 256, T 100, B 32",
    "probe": "a probe of the gradient flow against the training step, and its share of "
    "the training time at the default interval",
    "devices": "training steps by 1 and 2 CPU devices, and by 2 processes",
    "population": "steps of 1, 8, 64 and 256 runs in one compiled step against solo "
    "steps, and the largest difference of a member from its solo run",
    "reviews": "accuracy of `sentiment_reviews` over the ten folds of `--corpus`",
    "pretrained": "the same, begun as a language model of the fold's own text, on the "
    "first `--folds`",
    "adaptation": "perplexity of the language model in `--run`: plain, by temperature, "
    "cache, dynamic evaluation and a 5-gram, each by itself and all together",
    "variants": "variants of an embedded application by three seeds: `--application` "
    "gap, char_words, sentiment, signals, speech, captions or sequences",
    "attention": "how far the loss of a translated word reaches into its source, with "
    "and without attention",
    "agreement": "whether a right verb is likelier than a wrong one, across nouns of "
    "the other number, to an LSTM and to a 4-gram of the same text",
    "blimp": "accuracy on BLiMP (`--pairs`) by linguistic term, of each `--run` and of "
    "an n-gram of its text",
    "scoring": "seconds to score 10,000 sentences, against an evaluation of the same "
    "tokens",
    "parallel": "linear recurrences step by step and all steps at once, by T",
    "data": "how fast, and within how much memory, text becomes mapped ids",
}


def load(name: str) -> Benchmark:
    """The benchmark of that name."""
    return import_module(f"{__name__}.{name}").BENCHMARK


def tables(rows: Mapping[str, Row]) -> dict[str, str]:
    """{name: Markdown table} of the benchmarks that there are rows of."""
    found = {name: rows_of(name, rows) for name in BENCHMARKS}
    return {n: load(n).table(list(own.values())) for n, own in found.items() if own}


def rows_of(benchmark: str, rows: Mapping[str, Row]) -> dict[str, Row]:
    """Those of a benchmark."""
    pattern = re.sub(r"{.*?}", "*", load(benchmark).row.replace("{name}", benchmark))
    return {name: row for name, row in rows.items() if fnmatch(name, pattern)}

"""One trained language model, plain and with all that can be had without training it
anew: temperature, cache, dynamic evaluation, an n-gram, by themselves and together."""

from collections.abc import Sequence
from typing import Any

from experiments.benchmark import Benchmark
from experiments.console.live import Live
from experiments.evaluate.evaluation import evaluate
from experiments.evaluate.options import Evaluate
from experiments.results.markdown import markdown, measured
from experiments.results.rows import Row
from lm.config import ConfigError


def measure(run: Sequence[str]) -> dict[str, Any]:
    """As `python -m experiments.evaluate` with everything on: `options` of the metrics
    names all, grids included.

    Raises:
      ConfigError: for several runs.
    """
    if len(run) > 1:
        raise ConfigError(f"--run is {' '.join(run)}: adaptation is of one run")
    asked = Evaluate(
        tuple(run), temperature=("tune",), cache=500, dynamic=True, ngram=5
    )
    with Live() as line:
        found = evaluate(asked, line.show)
    return found | {"test": {row["name"]: row["test"] for row in found["rows"]}}


def table(rows: Sequence[Row]) -> str:
    """A line a way of reading: perplexities, and what was chosen on valid."""
    (row,) = rows
    found = row["metrics"]
    ((_, model),) = found["models"].items()
    head = (
        f"`{model['config']}`, {model['parameters']:,} parameters",
        "parameters while reading",
        "valid",
        "test",
        "chosen on valid",
    )
    lines = [
        (
            each["name"],
            each["parameters"],
            f"{each['valid']:.2f}",
            f"{each['test']:.2f}",
            _chosen(each, found),
        )
        for each in found["rows"]
    ]
    return f"{markdown(head, lines)}\n{measured(row)}\n"


def _chosen(row: dict[str, Any], found: dict[str, Any]) -> str:
    parts = []
    if row["parameters"] == "adaptive":
        ((_, own),) = found["dynamic"].items()
        parts += [f"η {own['rate']:g}", f"λ {own['decay']:g}"]
    parts += [f"{name} {value:g}" for name, value in row["chosen"].items()]
    parts += [f"{share:.3f} {name}" for name, share in row["weights"].items()]
    return ", ".join(parts) or "–"


BENCHMARK = Benchmark(measure, table, ("run",))

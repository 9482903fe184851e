"""Training steps beside the same model over a plain scan, and beside Flax's: of `peers`
the LSTMs of two sizes of Zaremba's and of characters."""

from collections.abc import Sequence
from typing import Any

from experiments.benchmark import Benchmark
from experiments.benchmark.common import by_model
from experiments.benchmark.peers import compared
from experiments.peers.ours import OURS, SCAN
from experiments.peers.suites import lm_cases
from experiments.results.rows import Row

CASES = ("zaremba_small", "zaremba_medium", "characters_2x128", "characters_2x512")


def measure() -> dict[str, Any]:
    """{case: see `peers.compared`}."""
    cases, found = lm_cases(), {}
    for name in CASES:
        found[name] = compared(cases[name], ["flax"])
        print(name, found[name], flush=True)
    return found


def table(rows: Sequence[Row]) -> str:
    """A line a model."""
    head = ("model", "ms a step", "plain scan", "Flax `nnx.RNN`", "tokens/s, best")
    return by_model(
        rows,
        head,
        lambda found: (
            f"{found[OURS]['median']:.0f}",
            f"{found[SCAN]['over_ours']:.2f}×",
            f"{found['flax']['over_ours']:.2f}×",
            f"{found['tokens_per_second']:,}",
        ),
    )


BENCHMARK = Benchmark(measure, table)

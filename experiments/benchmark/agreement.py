"""Subject and verb across nouns of the other number: an LSTM and a 4-gram of one text.

Is a language model's probability "a measure of grammatical and semantic correctness"?
Asked of pairs whose right answers the grammar of the text knows exactly
(`data_pipeline.agreement`).
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.benchmark import Benchmark
from experiments.benchmark.training import trained
from experiments.config import load_named
from experiments.results.markdown import markdown, measured
from experiments.results.rows import Row
from experiments.score.options import Score
from experiments.score.pairs import MADE, accuracies_of
from experiments.train.trained import load_trained

ORDER = 4


def measure() -> dict[str, Any]:
    """Trains the config `grammar` and judges the pairs by it.

    Raises:
      RunError: where the run was interrupted.
    """
    with tempfile.TemporaryDirectory(prefix="agreement-") as folder:
        run = Path(folder) / "run"
        summary = trained(load_named("grammar"), run)
        options = Score(run=str(run), pairs=MADE, ngram=ORDER, by="attractors")
        rows = accuracies_of(options, load_trained(run))
    return {"rows": rows, "perplexity": summary["test"]["perplexity"]}


def table(rows: Sequence[Row]) -> str:
    """A line a number of attractors."""
    (row,) = rows
    lines = [
        (
            found["group"] or "all",
            found["pairs"],
            _share(found, ""),
            _share(found, f"{ORDER}-gram_"),
        )
        for found in row["metrics"]["rows"]
    ]
    head = ("nouns of the other number", "pairs", "LSTM", f"Kneser–Ney {ORDER}-gram")
    return f"{markdown(head, lines)}\n{measured(row)}\n"


def _share(found: dict[str, Any], name: str) -> str:
    value, low, high = (found[f"{name}{x}"] for x in ("accuracy", "low", "high"))
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"


BENCHMARK = Benchmark(measure, table)

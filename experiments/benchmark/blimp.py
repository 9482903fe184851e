"""BLiMP (Warstadt et al. 2020): by linguistic term, how often trained runs give the
acceptable sentence of a pair the higher probability, beside n-grams of their texts."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.applications.language_model import blimp, contrasts_shown
from experiments.applications.language_model.trained import Trained
from experiments.applications.language_model.words import is_split
from experiments.benchmark import Benchmark
from experiments.results.markdown import markdown, measured
from experiments.results.rows import Row
from experiments.score.options import Score
from experiments.score.pairs import accuracies_of
from experiments.train.trained import load_trained
from lm.train import count_parameters

ORDER = 5  # of n-grams of words, as in the paper
ORDER_SPLIT = 10  # where words have several tokens: as far as two words


def measure(run: Sequence[str], pairs: str) -> dict[str, Any]:
    """What each run says of the pairs; nothing is trained or chosen on them.

    Raises:
      RunError: for a run that is no language model's, or whose text has changed.
      ConfigError, DataError: for pairs without terms, or a file of none.
    """
    models = {one: load_trained(one) for one in run}
    return {"runs": [judged(one, model, pairs) for one, model in models.items()]}


def judged(run: str, trained: Trained, pairs: str) -> dict[str, Any]:
    """A run's model in a few facts, and `rows` as `contrasts.accuracies` has them."""
    order = ORDER_SPLIT if is_split(trained.vocabulary) else ORDER
    began = time.perf_counter()
    options = Score(run=run, pairs=pairs, by=blimp.TERM, ngram=order)
    rows = accuracies_of(options, trained)
    ngram = f"{order}-gram"
    print(Path(run).name, *contrasts_shown.table(rows, [ngram]), sep="\n", flush=True)
    return {
        "run": Path(run).resolve().name,
        "config": trained.config.name,
        "corpus": Path(trained.config.data.corpus).name,
        "tokens": trained.vocabulary.tokenizer,
        "vocabulary": trained.vocabulary.size,
        "parameters": count_parameters(trained.params),
        "ngram": ngram,
        "seconds": round(time.perf_counter() - began, 1),
        "rows": rows,
    }


def table(rows: Sequence[Row]) -> str:
    """A line a term with all models, and one a model with what it does not know."""
    (row,) = rows
    runs = row["metrics"]["runs"]
    head = ["term", "pairs"]
    for one in runs:
        head += [_name(one), f"its {one['ngram']}"]
    lines = []
    for group in zip(*(one["rows"] for one in runs), strict=True):
        first = group[0]
        line = [first["group"].replace("_", " ") or "**all**", f"{first['pairs']:,}"]
        for one, found in zip(runs, group, strict=True):
            line += [_share(found, ""), _share(found, f"{one['ngram']}_")]
        theirs = first.get("published", {})
        lines.append([*line, *(_short(theirs.get(name)) for name in blimp.MODELS)])
    head += [f"{name}, 2020" for name in blimp.MODELS]
    return (
        f"{markdown(head, lines)}\n{markdown(KNOWN, map(_known, runs))}\n"
        f"{measured(row)}\n"
    )


KNOWN = (
    "model",
    "parameters",
    "vocabulary",
    "pairs of known tokens alone",
    "right of these",
    "ties",
    "of them the same to it",
)


def _known(one: dict[str, Any]) -> tuple[str, ...]:
    whole = one["rows"][0]
    return (
        _name(one),
        f"{one['parameters']:,}",
        f"{one['vocabulary']:,}",
        f"{whole['covered'] / whole['pairs']:.1%}",
        _short(whole["accuracy_covered"]),
        f"{whole['ties']:,}",
        f"{whole['same']:,}",
    )


def _name(one: dict[str, Any]) -> str:
    """A run by its config and by what its tokens are."""
    return f"`{one['config']}`, {one['tokens']}"


def _share(found: dict[str, Any], name: str) -> str:
    value, low, high = (
        _short(found[f"{name}{x}"]) for x in ("accuracy", "low", "high")
    )
    return f"{value} [{low}, {high}]"


def _short(share: float | None) -> str:
    return "–" if share is None else f"{share:.3f}"


BENCHMARK = Benchmark(measure, table, ("run", "pairs"))

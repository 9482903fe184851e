"""What a model judged of minimal pairs, as lines of a table, of TSV or of JSON."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from data_pipeline.minimal_pairs import MinimalPair
from experiments.applications.language_model.blimp import MODELS
from experiments.applications.language_model.contrasts import Cut, Verdict
from experiments.applications.language_model.sentences import BASES
from experiments.applications.language_model.shown import tsv_line
from experiments.console.printable import json_line, visible

NOTE = (
    "ties count as wrong; same: pairs that the vocabulary makes identical, among the "
    "ties; known: the share of pairs without a word out of vocabulary, and their "
    "accuracy; intervals: Wilson's, 95 %"
)


def table(rows: Sequence[dict[str, Any]], others: Sequence[str]) -> Iterator[str]:
    """Accuracies (see `contrasts.accuracies`) as lines; others: names of the verdicts
    that stand beside the model's."""
    published = MODELS if any("published" in row for row in rows) else ()
    head = f"{'pairs':>7}  {'accuracy':24}  {'ties':>5}  {'same':>5}  {'known':>13}"
    head += "".join(f"  {name:24}" for name in others)
    head += "".join(f"  {name + ' 2020':>11}" for name in published)
    yield f"{head}  group"
    for row in rows:
        known = f"{row['covered'] / row['pairs']:.1%} {_short(row['accuracy_covered'])}"
        line = f"{row['pairs']:7,}  {_share(row, '')}  {row['ties']:5,}  "
        line += f"{row['same']:5,}  {known:>13}"
        line += "".join(f"  {_share(row, f'{name}_')}" for name in others)
        theirs = row.get("published", {})
        line += "".join(f"  {_short(theirs.get(name)):>11}" for name in published)
        group = f"{row['by']}: {row['group']}" if row["by"] else "all"
        yield visible(f"{line}  {group}")
    yield NOTE
    if published:
        yield "2020: models of Warstadt et al., trained on far more text"


def _share(row: dict[str, Any], prefix: str) -> str:
    low, high = row[f"{prefix}low"], row[f"{prefix}high"]
    return (
        f"{_short(row[f'{prefix}accuracy']):5} [{_short(low)}, {_short(high)}]".ljust(
            24
        )
    )


def _short(share: float | None) -> str:
    return "–" if share is None else f"{share:.4f}".removeprefix("0")


def pair_lines(
    pairs: Sequence[MinimalPair],
    cut: Cut,
    logs: np.ndarray,
    verdicts: dict[str, Verdict],
    written: str,
    base: str,
) -> Iterator[str]:
    """A line of JSON or TSV for each pair, TSV with its columns first."""
    groups = list(dict.fromkeys(name for pair in pairs for name in pair.groups))
    for at, (pair, (good, bad)) in enumerate(
        zip(pairs, logs / BASES[base], strict=True)
    ):
        record: dict[str, Any] = {
            "place": pair.place,
            **{name: pair.groups.get(name) for name in groups},
            **({"prefix": pair.prefix} if any(p.prefix for p in pairs[:1]) else {}),
            "good": pair.good,
            "bad": pair.bad,
            f"log_probability_good_{base}": float(good),
            f"log_probability_bad_{base}": float(bad),
            "same": bool(cut.same[at]),
            "known": bool(cut.known[at]),
        }
        for name, found in verdicts.items():
            begin = f"{name}_" if name else ""
            record[f"{begin}right"] = bool(found.right[at])
            record[f"{begin}tie"] = bool(found.tied[at])
        if written == "jsonl":
            yield json_line(record)
            continue
        if not at:
            yield tsv_line(record)
        yield tsv_line(record.values())

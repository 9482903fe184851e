"""The table of what `train --data.corpus` makes of texts: rows `own_text_NAME`."""

from experiments.results.markdown import markdown, measured
from experiments.results.rows import Row

BEGINS, BASELINE = "own_text_", "Kneser-Ney 5-gram"


def own_texts(rows: dict[str, Row]) -> str:
    """A line a text, beside the 5-gram that its run trained on the same tokens."""
    lines = []
    for name, row in rows.items():
        if not name.startswith(BEGINS):
            continue
        found = row["metrics"]["test"]["perplexity"]
        known = row["metrics"]["baselines"]
        beside = known[BASELINE]["test"]["perplexity"]
        late = known.get(f"{BASELINE} + cache")
        more = row["metrics"]["scores"]["test"]
        cached, mixed = (more.get(f"{name}_perplexity") for name in ("cached", "mixed"))
        lines.append(
            (
                name.removeprefix(BEGINS).replace("_", " "),
                f"{row['metrics']['parameters']:,}",
                f"{beside:.2f}",
                f"{late['test']['perplexity']:.2f}" if late else "–",
                *(_against(beside, each) for each in (found, cached, mixed)),
                measured(row),
            )
        )
    head = (
        "text",
        "parameters",
        "Kneser–Ney 5-gram",
        "with a cache",
        "network",
        "with its cache",
        "with cache and 5-gram",
        "command",
    )
    return markdown(head, lines)


def _against(beside: float, found: float | None) -> str:
    """A test perplexity, and by how much it is below the n-gram's."""
    return f"{found:.2f} ({found / beside - 1:+.0%})" if found else "–"

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
        beside = row["metrics"]["baselines"][BASELINE]["test"]["perplexity"]
        mixed = row["metrics"]["scores"]["test"].get("mixed_perplexity")
        lines.append(
            (
                name.removeprefix(BEGINS).replace("_", " "),
                f"{row['metrics']['parameters']:,}",
                f"**{found:.2f}**",
                f"{beside:.2f} ({found / beside - 1:+.1%})",
                f"{mixed:.2f}" if mixed else "–",
                measured(row),
            )
        )
    head = (
        "text",
        "parameters",
        "test perplexity",
        "Kneser–Ney 5-gram",
        "mixed",
        "command",
    )
    return markdown(head, lines)

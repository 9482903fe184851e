"""What a report shows of labelled sentences."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from experiments.figures.answers import confusion_matrix, reading_along
from experiments.figures.page import table_block


def section(examples: dict[str, Any]) -> Iterator[Any]:
    """Accuracy by kind, the confusion matrix, how sentences were read, and those that
    the network was surest of, wrong ones first."""
    names = examples["names"]
    if examples["kinds"]:
        rows = [[k, n, f"{share:.1%}"] for k, (n, share) in examples["kinds"].items()]
        yield table_block(["kind of sentence", "sentences", "right"], rows)
    yield "confusion", confusion_matrix(examples["confusion"], names)
    for number, trace in enumerate(examples["traces"]):
        words, chances = trace["words"], np.array(trace["chances"])
        title = f"Read word by word, sentence {number + 1}"
        yield f"reading_{number}", reading_along(words, chances, names, title)
    rows = []
    for text, label, chances in examples["sentences"]:
        best = int(np.argmax(chances))
        mark = "right" if best == label else "wrong"
        rows.append([text, mark, names[label], names[best], f"{chances[best]:.3f}"])
    head = ["test sentence", "", "it was", "answer", "P(answer)"]
    yield table_block(head, rows, "What the network was surest of, wrong ones first.")

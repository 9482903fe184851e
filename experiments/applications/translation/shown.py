"""What a report shows of translations."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from experiments.figures.page import Html, table_block
from experiments.figures.pairs import by_length, source_reach, word_matrix

LOOKED = (
    "Each row is a word that is written (the reference's, read as in training), and "
    "the places that attention gave weight to."
)
REACHED = (
    "Each row is a word that is written, and how strongly its loss depends on each "
    "source word: ‖∂ℓ/∂x‖, along all paths."
)


def section(found: dict[str, Any]) -> Iterator[Html | tuple[str, Any]]:
    """Sentences, BLEU by length, what was looked at and what mattered."""
    rows = [
        [source, answer, "the same" if answer == target else target, f"{score:.0f}"]
        for source, answer, target, score in found["sentences"]
    ]
    caption = f"Greedy search. BLEU of the split: {found['signature']}"
    yield table_block(["source", "answer", "reference", "BLEU"], rows, caption)
    points = [(length, score) for length, score, _ in found["lengths"]]
    yield (
        "bleu_by_length",
        by_length({"": points}, "BLEU", "BLEU by length, test split"),
    )
    if "reach" in found:
        reach = {"": np.array(found["reach"])}
        yield "source_reach", source_reach(reach)
    for number, one in enumerate(found.get("drawn", ())):
        words = one["source"], one["target"]
        if "attention" in one:
            matrix = np.array(one["attention"])
            figure = word_matrix(matrix, *words, "Where it looks", LOOKED)
            yield f"attention_{number}", figure
        matrix = np.array(one["gradient"])
        figure = word_matrix(matrix, *words, "What its loss depends on", REACHED)
        yield f"gradient_{number}", figure

"""What a report shows of sequences that follow a rule."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from experiments.figures.answers import solved_by_length
from experiments.figures.page import table_block


def section(examples: dict[str, Any]) -> Iterator[Any]:
    """What is solved of each part and at each length, and some continuations."""
    rows = [
        [part.replace("_", " "), count, f"{share:.1%}"]
        for part, (count, share) in examples["parts"].items()
    ]
    yield table_block(["sequences", "how many", "every answer right"], rows)
    found = np.array(examples["by_length"])
    drawn = solved_by_length(found[:, 0], found[:, 1], examples["longest_trained"])
    yield "solved_by_length", drawn
    rows = []
    for part, sequences in examples["sequences"].items():
        for text, answer in sequences:
            head, _, term = text.rpartition(",")
            rows.append([f"{head}, …", part.replace("_", " "), term, answer])
    if rows:
        yield table_block(["sequence", "part", "next", "answer"], rows)

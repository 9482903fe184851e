"""What a report shows of corrected sentences."""

from collections.abc import Iterator
from typing import Any

from experiments.figures.page import Html, table_block


def section(examples: dict[str, Any]) -> Iterator[Html]:
    """Sentences set right by kind of mistake, and some of them."""
    rows = [
        [kind, count, f"{share:.1%}"]
        for kind, (count, share) in examples["kinds"].items()
    ]
    yield table_block(["mistake", "sentences", "set right"], rows)
    rows = [
        [source, answer, "right" if answer == target else f"wrong: {target}", kind]
        for kind, source, answer, target in examples["sentences"]
    ]
    yield table_block(["as written", "answer", "", "mistake"], rows)

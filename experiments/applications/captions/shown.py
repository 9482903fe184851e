"""What a report shows of described pictures."""

from collections.abc import Iterator
from typing import Any

from experiments.figures.page import Html, table_block
from experiments.figures.pictures import described, looked_at


def section(found: dict[str, Any]) -> Iterator[Html | tuple[str, Any]]:
    """Scenes with their descriptions, and where the network looked at each word."""
    rows = [
        [answer, "the same" if answer == text else text]
        for _, answer, text in found["scenes"]
    ]
    yield "scenes", described(found["scenes"])
    yield table_block(["description", "what is there"], rows)
    for number, (picture, words, maps) in enumerate(found.get("looks", ())):
        yield f"looks_{number}", looked_at(picture, words, maps)

"""What is said beside scores: how far they are, and how little some of them mean."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from data_pipeline.told import MANY_UNKNOWN
from experiments.console.live import Live, counting


def warning(unknown_rate: float) -> str:
    """What is to be said of a text of which the model hardly knows a word; or ""."""
    if unknown_rate <= MANY_UNKNOWN:
        return ""
    return (
        f"{unknown_rate:.0%} of the tokens are not in the model's vocabulary "
        "and count as <unk>: the perplexity says little about this text"
    )


@contextmanager
def progress(total: int = 0, quiet: bool = False) -> Iterator[Callable[[int], None]]:
    """(count) -> shows how many tokens were read by now, of `total` if known, where
    standard error is a terminal: elsewhere it is for the total, which programs read."""
    with Live(stream=sys.stderr) as line:
        seen = line.live and not quiet
        yield counting(line, "tokens", total) if seen else lambda count: None

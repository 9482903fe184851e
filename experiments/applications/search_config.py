"""How answers of an encoder–decoder are searched: plain numbers, without JAX."""

from dataclasses import dataclass

from lm.checks import within


@dataclass(frozen=True)
class SearchConfig:
    """How the final answers are searched."""

    beam: int = 5
    """Hypotheses that beam search keeps; greedy search is scored besides."""
    normalise: float = 1.0
    """Hypotheses are ordered by log-probability/length^normalise."""

    def __post_init__(self):
        within("search.beam", self.beam, 1, 1_000)
        within("search.normalise", self.normalise, 0.0, 10.0)

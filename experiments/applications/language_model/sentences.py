"""A line that a language model has scored."""

from typing import Any, NamedTuple

import numpy as np

from data_pipeline.vocabulary import UNK_ID
from experiments.applications.lines import Line
from lm.losses import bits, perplexity
from lm.score import Details

BASES = {"nats": 1.0, "bits": 1 / bits(1.0)}  # nats in a unit


class Sentence(NamedTuple):
    """A scored line: its tokens as written, and ids and nats of each, (N,).

    details  arrays (N, …) in the place of (T, B, …), where they were asked for.
    blank    so many tokens at its beginning are shown but not scored.
    """

    line: Line
    tokens: list[str]
    ids: np.ndarray
    nats: np.ndarray
    details: Details | None = None
    blank: int = 0

    @property
    def text(self) -> str:
        """The line as it stands."""
        return self.line.text

    @property
    def scored(self) -> np.ndarray:
        """nats of the tokens that count."""
        return self.nats[self.blank :]

    @property
    def total(self) -> float:
        """−ln P(sentence)."""
        return float(np.sum(self.scored, dtype=np.float64))

    @property
    def perplexity(self) -> float | None:
        """exp(nats per token); None where there is no token."""
        count = len(self.scored)
        return perplexity(self.total / count) if count else None

    @property
    def unknown(self) -> np.ndarray:
        """Which tokens the model reads as `<unk>`: (N,) bool."""
        return self.ids == UNK_ID

    @property
    def oov(self) -> list[str]:
        """These tokens, as written."""
        return [self.tokens[at] for at in np.flatnonzero(self.unknown)]

    @property
    def surprisals(self) -> list[float | None]:
        """nats of each token, None where it is not scored."""
        return [None] * self.blank + self.scored.tolist()

    def record(self, per_token: bool, base: str = "nats") -> dict[str, Any]:
        """As a JSON object, its logarithms to a base of BASES."""
        size = BASES[base]
        found: dict[str, Any] = {
            "line": self.line.number,
            "text": self.text,
            "log_probability": 0.0 - self.total / size,
            "tokens": len(self.scored),
            "perplexity": self.perplexity,
            "oov": self.oov,
            "group": None if self.line.group is None else str(self.line.group),
        }
        for name in ("line", "group"):
            if found[name] is None:
                del found[name]
        if per_token:
            units = [None if n is None else n / size for n in self.surprisals]
            found["surprisals"] = [
                list(p) for p in zip(self.tokens, units, strict=True)
            ]
        return found

"""What a run on sequences that follow a rule is made of."""

from dataclasses import dataclass, field
from typing import ClassVar

from data_pipeline.config import TEXT
from experiments.config import BOUND, RunConfig, check_dropout
from lm.config import ConfigError, ModelConfig, at_least, within


@dataclass(frozen=True)
class RuleConfig:
    """Which rule, and which lengths."""

    rule: str = field(default="progressions", metadata=TEXT)
    """A name in data_pipeline.rules.RULES: progressions, progressions_numbers, parity,
    running_parity, even_pairs, modular_sum, a_n_b_n."""
    lengths: tuple[int, int] = field(default=(0, 0), metadata=TEXT)
    """Least and largest length that is trained on (terms of a progression, symbols of
    the others); 0 0: the rule's own."""
    longer: tuple[int, int] = field(default=(0, 0), metadata=TEXT)
    """Lengths of the test beyond them; 0 0: the rule's own."""
    batch: int = 64
    """Sequences in a batch."""
    updates: int = 250
    """Batches that are called an epoch; each is drawn anew."""
    looked: int = 500
    """Sequences of an evaluation on the way, always the same ones."""
    examined: int = 2_000
    """Sequences of each part of the test."""
    enough: float = field(default=0.0, metadata=BOUND)
    """Share of an evaluation's sequences answered rightly at which training ends; 0: it
    goes on."""

    def __post_init__(self):
        for name in ("updates", "looked", "examined"):
            at_least(f"data.{name}", getattr(self, name), 1)
        within("data.batch", self.batch, 1, 2**16)
        within("data.enough", self.enough, 0.0, 1.0)
        for name in ("lengths", "longer"):
            low, high = getattr(self, name)
            if (low, high) != (0, 0) and not 1 <= low <= high <= 10_000:
                raise ConfigError(
                    f"data.{name} is {low} {high}: give the least and the largest, "
                    "from 1 to 10000, or 0 0"
                )


@dataclass(frozen=True)
class SequencesConfig(RunConfig):
    """A run on sequences that follow a rule."""

    application: ClassVar[str] = "sequences"

    data: RuleConfig = field(default_factory=RuleConfig)
    model: ModelConfig = field(
        default_factory=lambda: ModelConfig(cell="gru", hidden=128, embedding=0)
    )

    def __post_init__(self):
        super().__post_init__()
        check_dropout(self.optim, self.model)

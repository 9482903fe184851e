"""What a run that fills gaps is made of."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from data_pipeline.config import DataConfig
from experiments.config import RunConfig, check_dropout
from lm.checks import choice
from lm.config import ConfigError, ModelConfig

Sides = Literal["both", "left", "right"]


@dataclass(frozen=True)
class GapConfig(RunConfig):
    """A run of a network that fills gaps."""

    application: ClassVar[str] = "gap"

    data: DataConfig = field(
        default_factory=lambda: DataConfig(corpus="grammar", reading="sentences")
    )
    model: ModelConfig = field(default_factory=ModelConfig)
    sides: Sides = "both"
    """The words that are read: on both sides of the gap, or on its left or right
    alone; then the network has one stack."""

    def __post_init__(self):
        super().__post_init__()
        check_dropout(self.optim, self.model)
        choice("sides", self.sides, Sides)
        if self.data.reading != "sentences":
            raise ConfigError(
                f"data.reading is {self.data.reading!r}: a gap is a word of a "
                "sentence, so set it to 'sentences'"
            )
        if self.data.one_hot:
            raise ConfigError("data.one_hot: gaps are read as indices; leave it out")
        if self.model.embedding == 0:
            raise ConfigError(
                "model.embedding is 0: both stacks read word vectors; set it above 0"
            )

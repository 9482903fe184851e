"""What a run that describes pictures is made of."""

from dataclasses import dataclass, field
from typing import ClassVar

from data_pipeline.config import TEXT
from data_pipeline.grid import Grid, check_grid
from experiments.applications.decoding import DecoderConfig, SearchConfig
from experiments.config import RunConfig, check_dropout
from lm.config import at_least, within


@dataclass(frozen=True)
class ScenesConfig:
    """Which scenes, and how many."""

    rows: int = field(default=2, metadata=TEXT)
    """Cells from top to bottom."""
    columns: int = field(default=3, metadata=TEXT)
    """Cells from left to right."""
    most: int = field(default=2, metadata=TEXT)
    """Digits of a scene at most; there are 1 to so many."""
    jitter: int = field(default=1, metadata=TEXT)
    """Pixels that a digit may stand off the middle of its cell, each way."""
    noise: float = field(default=0.0, metadata=TEXT)
    """Standard deviation of what is added to each pixel; ink is 1."""
    updates: int = 200
    """Batches of fresh scenes that count as an epoch."""
    looked: int = field(default=500, metadata=TEXT)
    """Scenes of the validation split."""
    examined: int = field(default=1_000, metadata=TEXT)
    """Scenes of the test split."""
    batch: int = 64
    """Scenes in a batch."""

    def __post_init__(self):
        for name in ("rows", "columns", "most"):
            within(f"data.{name}", getattr(self, name), 1, 16)
        within("data.jitter", self.jitter, 0, 16)
        within("data.noise", self.noise, 0.0, 10.0)
        for name in ("updates", "looked", "examined"):
            at_least(f"data.{name}", getattr(self, name), 1)
        within("data.batch", self.batch, 1, 2**16)
        check_grid(self.grid)

    @property
    def grid(self) -> Grid:
        """What scenes are like."""
        return Grid(self.rows, self.columns, self.most, self.jitter, self.noise)


@dataclass(frozen=True)
class CaptionerConfig(DecoderConfig):
    """Convolutions, and a decoder that looks at their places."""

    channels: int = 24
    """Of the first convolution; the other two have twice as many."""

    def __post_init__(self):
        super().__post_init__()
        within("model.channels", self.channels, 1, 4096)


@dataclass(frozen=True)
class CaptionsConfig(RunConfig):
    """A run that describes pictures."""

    application: ClassVar[str] = "captions"

    data: ScenesConfig = field(default_factory=ScenesConfig)
    model: CaptionerConfig = field(
        default_factory=lambda: CaptionerConfig(cell="gru", hidden=64, embedding=32)
    )
    search: SearchConfig = field(default_factory=SearchConfig)

    def __post_init__(self):
        super().__post_init__()
        check_dropout(self.optim, self.model)

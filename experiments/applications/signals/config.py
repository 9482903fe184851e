"""What a run on signals is made of."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from data_pipeline.config import TEXT
from experiments.applications.recorded import RecordedData, VectorReader
from experiments.config import RunConfig, check_dropout
from lm.config import at_least, choice, within

Pooling = Literal["last", "mean", "max", "attention"]
TONES = "tones"


@dataclass(frozen=True)
class SignalsData(RecordedData):
    """Which signals, and how they are read."""

    made: ClassVar[str] = TONES
    slowest: ClassVar[int] = 1_000

    corpus: str = field(default=TONES, metadata=TEXT)
    """`tones`, made here; or a folder or a tar file of WAV files that are called
    LABEL_SPEAKER_INDEX.wav."""
    signals: int = field(default=60_000, metadata=TEXT)
    """`tones`: signals for training."""
    looked: int = field(default=1_000, metadata=TEXT)
    """`tones`: others for validation."""
    examined: int = field(default=4_000, metadata=TEXT)
    """`tones`: others for the test."""
    strength: float = field(default=1.25, metadata=TEXT)
    """`tones`: the tone's amplitude, in standard deviations of the noise."""

    def __post_init__(self):
        super().__post_init__()
        for name in ("signals", "looked", "examined"):
            at_least(f"data.{name}", getattr(self, name), 10)
        within("data.strength", self.strength, 0.0, 100.0)


@dataclass(frozen=True)
class SignalsModel(VectorReader):
    """The network that reads, and what is made of its states."""

    vectors: ClassVar[str] = "signals"

    pooling: Pooling = "last"
    """last: the state after the last vector; mean or max over the signal;
    attention."""
    both_ways: bool = False
    """Whether each layer reads from the right as well."""

    def __post_init__(self):
        super().__post_init__()
        choice("model.pooling", self.pooling, Pooling)


@dataclass(frozen=True)
class SignalsConfig(RunConfig):
    """A run on signals."""

    application: ClassVar[str] = "signals"

    data: SignalsData = field(default_factory=SignalsData)
    model: SignalsModel = field(default_factory=lambda: SignalsModel("gru", 1, 32))

    def __post_init__(self):
        super().__post_init__()
        check_dropout(self.optim, self.model)

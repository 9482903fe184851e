"""What a run on signals is made of."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from data_pipeline.config import TEXT
from experiments.config import RunConfig, check_dropout
from lm.config import ConfigError, ModelConfig, at_least, choice, within

Pooling = Literal["last", "mean", "max", "attention"]
TONES = "tones"


@dataclass(frozen=True)
class SignalsData:
    """Which signals, and how they are read."""

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
    rate: int = field(default=8_000, metadata=TEXT)
    """Samples per second that WAV files have to have."""
    bands: int = field(default=24, metadata=TEXT)
    """Bands of the mel scale that a frame of a sound consists of."""
    speaker: str = field(default="", metadata=TEXT)
    """Whose recordings are left out of training and are the test split; by default
    the test split is indices 0 to 4 of everyone."""
    batch: int = 50
    """Signals in a batch."""
    buckets: int = 4
    """Lengths that signals are padded to, at most."""

    def __post_init__(self):
        if not self.corpus.strip():
            raise ConfigError(
                "data.corpus is empty: give tones, or the path of a folder or a tar "
                "file of recordings"
            )
        for name in ("signals", "looked", "examined"):
            at_least(f"data.{name}", getattr(self, name), 10)
        within("data.strength", self.strength, 0.0, 100.0)
        within("data.rate", self.rate, 1_000, 200_000)
        within("data.bands", self.bands, 2, 80)
        within("data.batch", self.batch, 1, 2**16)
        within("data.buckets", self.buckets, 1, 64)
        if self.speaker and self.corpus == TONES:
            raise ConfigError(
                f"data.speaker is {self.speaker!r} but data.corpus is 'tones', which "
                "nobody speaks: give recordings, or leave data.speaker out"
            )


@dataclass(frozen=True)
class SignalsModel(ModelConfig):
    """The network that reads, and what is made of its states."""

    embedding: int = 0
    """0: the vectors go into the cell as they are."""
    pooling: Pooling = "last"
    """last: the state after the last vector; mean or max over the signal;
    attention."""
    both_ways: bool = False
    """Whether each layer reads from the right as well."""

    def __post_init__(self):
        super().__post_init__()
        choice("model.pooling", self.pooling, Pooling)
        if self.embedding:
            raise ConfigError(
                f"model.embedding is {self.embedding}: signals are vectors already, so "
                "set it to 0"
            )


@dataclass(frozen=True)
class SignalsConfig(RunConfig):
    """A run on signals."""

    application: ClassVar[str] = "signals"

    data: SignalsData = field(default_factory=SignalsData)
    model: SignalsModel = field(default_factory=lambda: SignalsModel("gru", 1, 32))

    def __post_init__(self):
        super().__post_init__()
        check_dropout(self.optim, self.model)

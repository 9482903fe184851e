"""What a run on speech is made of."""

import math
from dataclasses import dataclass, field
from typing import ClassVar

from data_pipeline.config import TEXT
from experiments.applications.recorded import RecordedData, VectorReader
from experiments.config import RunConfig, check_dropout
from lm.config import ConfigError, at_least, within

KEYPAD = "keypad"


@dataclass(frozen=True)
class SpeechData(RecordedData):
    """Which sounds, and how they are read."""

    made: ClassVar[str] = KEYPAD
    slowest: ClassVar[int] = 4_000

    corpus: str = field(default=KEYPAD, metadata=TEXT)
    """`keypad`, made here; or a folder or a tar file of WAV files that are called
    LABEL_SPEAKER_INDEX.wav and are joined to strings of 1, 3, 4 and 5."""
    strings: int = field(default=2_000, metadata=TEXT)
    """`keypad`: strings for training."""
    looked: int = field(default=300, metadata=TEXT)
    """`keypad`: others for validation."""
    examined: int = field(default=500, metadata=TEXT)
    """`keypad`: others for the test."""
    noise: float = field(default=1.0, metadata=TEXT)
    """`keypad`: standard deviation of the noise, in amplitudes of a sinusoid."""
    rounds: int = field(default=4, metadata=TEXT)
    """Recordings: in how many strings each one of the validation and test splits is."""
    bands: int = field(default=32, metadata=TEXT)
    """Bands of the mel scale that a frame of a sound consists of."""

    def __post_init__(self):
        super().__post_init__()
        for name in ("strings", "looked", "examined"):
            at_least(f"data.{name}", getattr(self, name), 2)
        within("data.noise", self.noise, 0.0, 3.0)
        within("data.rounds", self.rounds, 1, 1_000)


@dataclass(frozen=True)
class SpeechModel(VectorReader):
    """The network that reads."""

    vectors: ClassVar[str] = "frames"

    stacked: int = 2
    """Frames of 10 ms side by side in a step."""
    both_ways: bool = True
    """Whether each layer reads from the right as well."""

    def __post_init__(self):
        super().__post_init__()
        within("model.stacked", self.stacked, 1, 32)


@dataclass(frozen=True)
class PrefixSearchConfig:
    """How the best string is sought when training is over, beside the best path:
    score(y) = ln P(y | x) + weight·ln P(y) + bonus·|y|."""

    beam: int = 10
    """Prefixes that are kept."""
    order: int = 0
    """Longest n-gram of the prior P(y), counted over the strings of training; 0: there
    is no prior."""
    weight: float = 0.5
    """Weight of the prior."""
    bonus: float = 0.0
    """For each symbol."""

    def __post_init__(self):
        within("search.beam", self.beam, 1, 1_000)
        within("search.order", self.order, 0, 10)
        at_least("search.weight", self.weight, 0.0)
        if not math.isfinite(self.bonus):
            raise ConfigError(f"search.bonus is {self.bonus}: must be a number")


@dataclass(frozen=True)
class SpeechConfig(RunConfig):
    """A run on speech."""

    application: ClassVar[str] = "speech"

    data: SpeechData = field(default_factory=SpeechData)
    model: SpeechModel = field(default_factory=lambda: SpeechModel("gru", 1, 48))
    search: PrefixSearchConfig = field(default_factory=PrefixSearchConfig)

    def __post_init__(self):
        super().__post_init__()
        check_dropout(self.optim, self.model)

"""What a run on speech is made of."""

import math
from dataclasses import dataclass, field
from typing import ClassVar

from data_pipeline.config import TEXT
from experiments.config import RunConfig, check_dropout
from lm.config import ConfigError, ModelConfig, at_least, within

KEYPAD = "keypad"


@dataclass(frozen=True)
class SpeechData:
    """Which sounds, and how they are read."""

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
    rate: int = field(default=8_000, metadata=TEXT)
    """Samples per second that WAV files have to have."""
    bands: int = field(default=32, metadata=TEXT)
    """Bands of the mel scale that a frame consists of."""
    speaker: str = field(default="", metadata=TEXT)
    """Whose recordings are left out of training and are the test split; by default
    the test split is indices 0 to 4 of everyone."""
    batch: int = 50
    """Strings in a batch."""
    buckets: int = 4
    """Lengths that strings are padded to, at most."""

    def __post_init__(self):
        if not self.corpus.strip():
            raise ConfigError(
                "data.corpus is empty: give keypad, or the path of a folder or a tar "
                "file of recordings"
            )
        for name in ("strings", "looked", "examined"):
            at_least(f"data.{name}", getattr(self, name), 2)
        within("data.noise", self.noise, 0.0, 3.0)
        within("data.rounds", self.rounds, 1, 1_000)
        within("data.rate", self.rate, 4_000, 200_000)
        within("data.bands", self.bands, 2, 80)
        within("data.batch", self.batch, 1, 2**16)
        within("data.buckets", self.buckets, 1, 64)
        if self.speaker and self.corpus == KEYPAD:
            raise ConfigError(
                f"data.speaker is {self.speaker!r} but data.corpus is 'keypad', which "
                "nobody speaks: give recordings, or leave data.speaker out"
            )


@dataclass(frozen=True)
class SpeechModel(ModelConfig):
    """The network that reads."""

    embedding: int = 0
    """0: the frames go into the cell as they are."""
    stacked: int = 2
    """Frames of 10 ms side by side in a step."""
    both_ways: bool = True
    """Whether each layer reads from the right as well."""

    def __post_init__(self):
        super().__post_init__()
        within("model.stacked", self.stacked, 1, 32)
        if self.embedding:
            raise ConfigError(
                f"model.embedding is {self.embedding}: frames are vectors already, so "
                "set it to 0"
            )


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

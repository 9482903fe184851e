"""What applications on recorded sounds share of their configs; without JAX."""

from dataclasses import dataclass, field
from typing import ClassVar

from data_pipeline.config import TEXT
from lm.config import ConfigError, ModelConfig, within


@dataclass(frozen=True)
class RecordedData:
    """Recordings, or what is made here in their place.

    made     name of the corpus that is made here.
    slowest  samples per second at least.
    """

    made: ClassVar[str]
    slowest: ClassVar[int]

    corpus: str = field(default="", metadata=TEXT)
    rate: int = field(default=8_000, metadata=TEXT)
    """Samples per second that WAV files have to have."""
    bands: int = field(default=24, metadata=TEXT)
    """Bands of the mel scale that a frame of a sound consists of."""
    speaker: str = field(default="", metadata=TEXT)
    """Whose recordings are left out of training and are the test split; by default
    the test split is indices 0 to 4 of everyone."""
    batch: int = 50
    """Sequences in a batch."""
    buckets: int = 4
    """Lengths that they are padded to, at most."""

    def __post_init__(self):
        if not self.corpus.strip():
            raise ConfigError(
                f"data.corpus is empty: give {self.made}, or the path of a folder or a "
                "tar file of recordings"
            )
        within("data.rate", self.rate, self.slowest, 200_000)
        within("data.bands", self.bands, 2, 80)
        within("data.batch", self.batch, 1, 2**16)
        within("data.buckets", self.buckets, 1, 64)
        if self.speaker and self.corpus == self.made:
            raise ConfigError(
                f"data.speaker is {self.speaker!r} but data.corpus is {self.made!r}, "
                "which nobody speaks: give recordings, or leave data.speaker out"
            )


@dataclass(frozen=True)
class VectorReader(ModelConfig):
    """A network that reads vectors: nothing is looked up. vectors: what they are."""

    vectors: ClassVar[str]

    embedding: int = 0
    """0: the vectors go into the cell as they are."""

    def __post_init__(self):
        super().__post_init__()
        if self.embedding:
            raise ConfigError(
                f"model.embedding is {self.embedding}: {self.vectors} are vectors "
                "already, so set it to 0"
            )

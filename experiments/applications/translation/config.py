"""What a run that translates is made of."""

from dataclasses import dataclass, field
from typing import ClassVar

from data_pipeline.config import TEXT
from data_pipeline.tokenizers import TOKENIZERS
from experiments.applications.decoding import DecoderConfig, SearchConfig
from experiments.config import RunConfig, check_dropout
from lm.config import (
    ConfigError,
    at_least,
    unknown,
    within,
)


@dataclass(frozen=True)
class PairsConfig:
    """Which pairs of sentences, and how they are read."""

    corpus: str = field(default="bilingual", metadata=TEXT)
    """`bilingual`, English and German by one grammar, made here; `corrupted`, sentences
    of `grammar` with a mistake in each and as they were; or a folder with `train`,
    `valid` (or `val`) and `test` files, their endings the languages."""
    source: str = field(default="de", metadata=TEXT)
    """Of a folder: ending of the files that are read, .gz and the like behind it."""
    target: str = field(default="en", metadata=TEXT)
    """Of a folder: ending of the files that are to be written."""
    test: str = field(default="", metadata=TEXT)
    """Of a folder: name of the test files, such as `test_2016_flickr`; by default the
    first that begins with test."""
    sentences: int = field(default=20_000, metadata=TEXT)
    """Made here: pairs for training; a tenth as many, at most 1,000, for validation and
    for the test."""
    longest: int = field(default=0, metadata=TEXT)
    """Made here: words of a source at most, at least 4; 0: any number, but 30 where it
    is `corrupted`."""
    seed: int = field(default=0, metadata=TEXT)
    """Of what is made here."""
    tokenizer: str = "whitespace"
    """A name in data_pipeline.tokenizers.TOKENIZERS, of both sides; `bpe` learns
    subwords for each."""
    lower: bool = False
    """Lower-case the text first."""
    max_vocabulary: int = 0
    """Most tokens kept of each side, special marks included; 0 keeps all."""
    min_count: int = 1
    """Fewest occurrences in the training split for a token to be kept."""
    max_length: int = 100
    """Longest sentence in tokens; a longer one is refused."""
    batch: int = 64
    """Pairs in a batch."""
    buckets: int = 6
    """Pairs of lengths that batches are padded to."""
    own: float = 0.0
    """Scheduled sampling: the share of target words that the decoder reads in its own
    words at the end of training, rising from 0 epoch by epoch; 0: teacher forcing."""

    def __post_init__(self):
        if self.tokenizer not in TOKENIZERS:
            raise ConfigError(unknown("data.tokenizer", self.tokenizer, TOKENIZERS))
        at_least("data.sentences", self.sentences, 10)
        if self.longest:
            at_least("data.longest", self.longest, 4)
        at_least("data.max_vocabulary", self.max_vocabulary, 0)
        at_least("data.min_count", self.min_count, 1)
        at_least("data.max_length", self.max_length, 2)
        within("data.batch", self.batch, 1, 2**16)
        within("data.buckets", self.buckets, 1, 100)
        within("data.own", self.own, 0.0, 1.0)


@dataclass(frozen=True)
class TranslationConfig(RunConfig):
    """A run that translates."""

    application: ClassVar[str] = "translation"

    data: PairsConfig = field(default_factory=PairsConfig)
    model: DecoderConfig = field(
        default_factory=lambda: DecoderConfig(cell="gru", hidden=128, embedding=64)
    )
    search: SearchConfig = field(default_factory=SearchConfig)

    def __post_init__(self):
        super().__post_init__()
        check_dropout(self.optim, self.model)

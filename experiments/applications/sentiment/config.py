"""What a run on labelled sentences is made of."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from data_pipeline.config import TEXT
from data_pipeline.tokenizers import TOKENIZERS
from experiments.config import RunConfig, check_dropout
from lm.config import ConfigError, ModelConfig, at_least, choice, unknown, within

Pooling = Literal["last", "mean", "max", "attention"]


@dataclass(frozen=True)
class OpinionsConfig:
    """Which sentences, and how they are read."""

    corpus: str = field(default="opinions", metadata=TEXT)
    """`opinions`, made here; a folder with a file of lines per class; or a file of
    lines `label<TAB>text`."""
    labels: tuple[str, ...] = ()
    """The classes in order; by default those that are there, sorted."""
    sentences: int = field(default=6_000, metadata=TEXT)
    """`opinions`: training sentences; a tenth as many for validation, and a third for
    the test."""
    fold: int = field(default=0, metadata=TEXT)
    """Which fold is the test split; one in ten of the others is for validation."""
    folds: int = field(default=10, metadata=TEXT)
    """Of a corpus without splits of its own."""
    seed: int = field(default=0, metadata=TEXT)
    """Of the folds and of `opinions`."""
    tokenizer: str = "whitespace"
    """A name in data_pipeline.tokenizers.TOKENIZERS that needs no training."""
    lower: bool = False
    """Lower-case the text first."""
    max_vocabulary: int = 0
    """Most tokens kept, special marks included; 0 keeps all."""
    min_count: int = 1
    """Fewest occurrences in the training split for a token to be kept."""
    max_length: int = 200
    """Longest sentence in tokens; a longer one is refused."""
    batch: int = 50
    """Sentences in a batch."""

    def __post_init__(self):
        if self.tokenizer not in TOKENIZERS or self.tokenizer == "bpe":
            valid = [name for name in TOKENIZERS if name != "bpe"]
            raise ConfigError(unknown("data.tokenizer", self.tokenizer, valid))
        at_least("data.sentences", self.sentences, 10)
        within("data.folds", self.folds, 2, 1_000)
        within("data.fold", self.fold, 0, self.folds - 1)
        at_least("data.min_count", self.min_count, 1)
        at_least("data.max_length", self.max_length, 1)
        within("data.batch", self.batch, 1, 2**16)


@dataclass(frozen=True)
class ReaderConfig(ModelConfig):
    """The network that reads, and what is made of its states."""

    pooling: str = "last"
    """last: the state after the last word; mean or max over the sentence; attention."""
    both_ways: bool = False
    """Whether each layer reads from the right as well."""
    from_run: str = ""
    """Directory of a language model's run, whose embedding, layers and vocabulary the
    network starts with; none: drawn by `init`."""

    def __post_init__(self):
        super().__post_init__()
        choice("model.pooling", self.pooling, Pooling)
        if self.from_run and self.both_ways:
            raise ConfigError(
                f"model.both_ways is on and model.from_run is {self.from_run!r}: a "
                "language model reads one way; turn both_ways off"
            )


@dataclass(frozen=True)
class SentimentConfig(RunConfig):
    """A run on labelled sentences."""

    application: ClassVar[str] = "sentiment"

    data: OpinionsConfig = field(default_factory=OpinionsConfig)
    model: ReaderConfig = field(
        default_factory=lambda: ReaderConfig(cell="gru", hidden=64, embedding=32)
    )

    def __post_init__(self):
        super().__post_init__()
        check_dropout(self.optim, self.model)

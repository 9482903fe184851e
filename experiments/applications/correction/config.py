"""What a language model that corrects is made of."""

from dataclasses import dataclass, field
from typing import ClassVar

from experiments.config import Config
from lm.config import ConfigError, at_least, within


@dataclass(frozen=True)
class MistakesConfig:
    """Which mistakes sentences of the validation and test splits get, and how they are
    sought."""

    sentences: int = 300
    """Sentences of each split that are corrupted and corrected, when training is over;
    0: all. Those with a word that the vocabulary lacks, or that are longer than
    `longest`, are passed over."""
    intact: float = 0.2
    """Share of them that stays as it is."""
    frequent: int = 12
    """How many of the most frequent words may be missing."""
    longest: int = 30
    """Most words of a sentence."""
    seed: int = 0
    """Of the mistakes."""

    def __post_init__(self):
        at_least("mistakes.sentences", self.sentences, 0)
        at_least("mistakes.frequent", self.frequent, 0)
        at_least("mistakes.longest", self.longest, 1)
        within("mistakes.intact", self.intact, 0.0, 1.0)


@dataclass(frozen=True)
class CorrectionConfig(Config):
    """A run of a language model that corrects."""

    application: ClassVar[str] = "correction"

    mistakes: MistakesConfig = field(default_factory=MistakesConfig)

    def __post_init__(self):
        super().__post_init__()
        if self.by_text or self.ngram or self.cache:
            raise ConfigError(
                f"by_text is {self.by_text}, ngram {self.ngram} and cache "
                f"{self.cache}: they are for language models; leave them off for "
                "correction"
            )

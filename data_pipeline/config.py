"""What to read, how to cut it into tokens, and how to batch it."""

import math
from dataclasses import dataclass

from data_pipeline.errors import DataError, unknown_name
from data_pipeline.tokenizers import TOKENIZERS

READINGS = ("streams", "sentences")


@dataclass(frozen=True)
class DataConfig:
    """Settings of the data; checked when built (raises DataError)."""

    corpus: str = "stdlib_docs"
    """`stdlib_docs`, `grammar`, or the path of a text file or folder; a folder with
    `train`, `valid` and `test` files is read with these splits."""
    tokenizer: str = "words"
    """`words`, `whitespace` (text that is tokenised already) or `characters`."""
    lower: bool = False
    """Lower-case the text first."""
    max_vocabulary: int = 10_000
    """Most tokens kept, special marks included; 0 keeps all."""
    min_count: int = 1
    """Fewest occurrences in the training split for a token to be kept."""
    reading: str = "streams"
    """`streams` (contiguous text, carried state) or `sentences` (one by one)."""
    batch: int = 20
    """Lanes B read in parallel."""
    window: int = 20
    """Streams: tokens T in a window, the length of truncated backpropagation."""
    max_length: int = 100
    """Sentences: longest piece in tokens; longer sentences are cut into pieces."""
    one_hot: bool = False
    """Give the model one-hot rows (made on the device) in place of indices."""
    fractions: tuple[float, float, float] = (0.9, 0.05, 0.05)
    """Shares of train, valid and test for a source without splits of its own
    (`stdlib_docs` has its own rule, 80/10/10 by file)."""
    seed: int = 0
    """Seed of splits by document and of generated text."""
    grammar_sentences: int = 40_000
    """`grammar`: sentences generated for training; a tenth as many each for
    validation and test."""

    def __post_init__(self) -> None:
        if self.tokenizer not in TOKENIZERS:
            raise unknown_name("tokenizer", self.tokenizer, TOKENIZERS)
        if self.reading not in READINGS:
            raise unknown_name("reading", self.reading, READINGS)
        for name in ("batch", "window", "max_length", "min_count", "grammar_sentences"):
            if getattr(self, name) < 1:
                value = getattr(self, name)
                raise DataError(f"data.{name} is {value}; it must be 1 or more")
        if self.max_vocabulary != 0 and self.max_vocabulary < 3:
            raise DataError(
                f"data.max_vocabulary is {self.max_vocabulary}; give 3 or more "
                "(<eos>, <unk> and a word), or 0 for no limit"
            )
        _check_fractions(self.fractions)


def _check_fractions(fractions: tuple[float, float, float]) -> None:
    finite = all(math.isfinite(f) and f > 0 for f in fractions)
    if len(fractions) != 3 or not finite or abs(sum(fractions) - 1) > 1e-6:
        raise DataError(
            f"data.fractions is {fractions}; give three positive shares of train, "
            "valid and test that sum to 1, such as 0.9 0.05 0.05"
        )

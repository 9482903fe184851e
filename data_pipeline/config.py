"""What to read, how to cut it into tokens, and how to batch it."""

import math
from dataclasses import dataclass, field
from typing import Literal

from data_pipeline.errors import DataError
from data_pipeline.tokenizers import TOKENIZERS
from lm.checks import ConfigError, at_least, choice, unknown, within

READINGS = Literal["streams", "sentences"]
ERRORS = Literal["strict", "replace"]
MOST_SENTENCES = 10_000_000  # of `grammar` or `morphology`, all held in memory

# What a field is, in its metadata. TEXT: where the text lies, in which its fingerprint
# can stand for it. PLACE: how and where it is prepared, which changes no number.
TEXT, PLACE = {"kind": "text"}, {"kind": "place"}


@dataclass(frozen=True)
class DataConfig:
    """Settings of the data; checked when built (raises DataError)."""

    corpus: str = field(default="stdlib_docs", metadata=TEXT)
    """`stdlib_docs`, `grammar`, `morphology`, `tfds:NAME[/CONFIG][:FEATURE]`, `-` for
    standard input, or the path of a file (text, CSV, TSV, JSON lines; also .gz .bz2 .xz
    .zst) or of a folder; a folder with `train`, `valid` and `test` files is read with
    these."""
    tokenizer: str = "words"
    """`words`, `reversible` (words that remember what was joined: text is written as it
    stood), `whitespace` (text that is tokenised already), `characters`, `bytes`, or
    `bpe` (subwords learnt from the training split)."""
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
    window_spread: float = 0.0
    """Streams, training: draw the lengths of windows from N(window, window_spread²)
    tokens, and halve one in twenty (AWD-LSTM has 5 about 70); 0 keeps them fixed."""
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
    """`grammar`, `morphology`: sentences generated for training; a tenth as many each
    for validation and test."""
    column: str = ""
    """CSV, TSV, JSON lines: the column or field to read; by default the first of text,
    body, sentence, content that is there."""
    split_sentences: bool = False
    """Take sentences by rule in place of lines; blank lines end paragraphs, other line
    ends are spaces."""
    drop_containing: tuple[str, ...] = ()
    """Leave out lines (or sentences) that contain any of these, such as http."""
    min_length: int = 0
    """Leave out lines (or sentences) of fewer tokens than this."""
    deduplicate: bool = False
    """Leave out lines of train that stand in valid or test as well, and lines of valid
    that stand in test (documents and rows are de-duplicated in any case)."""
    errors: str = "strict"
    """Bytes that are not UTF-8, and NUL: `strict` (stop) or `replace` (by U+FFFD)."""
    in_memory: int = field(default=64, metadata=PLACE)
    """Megabytes of text above which a source is prepared on disk and mapped."""
    cache_dir: str = field(default="", metadata=PLACE)
    """Folder of what is prepared on disk; by default one in the user's cache."""
    workers: int = field(default=0, metadata=PLACE)
    """Processes that prepare on disk; 0 takes one per core."""
    tfds_dir: str = field(default="", metadata=TEXT)
    """`tfds:`: folder of prepared datasets; by default tensorflow-datasets' own."""

    def __post_init__(self) -> None:
        try:
            self._check()
        except ConfigError as error:
            raise DataError(str(error)) from None

    def _check(self) -> None:
        if not self.corpus.strip():
            raise DataError(
                "data.corpus is empty: give a name such as grammar, or the path of a "
                "file or a folder (. for this one)"
            )
        choice("data.reading", self.reading, READINGS)
        choice("data.errors", self.errors, ERRORS)
        if self.tokenizer not in TOKENIZERS:
            raise DataError(unknown("tokenizer", self.tokenizer, TOKENIZERS))
        for name in ("batch", "window", "max_length", "min_count"):
            at_least(f"data.{name}", getattr(self, name), 1)
        for name in ("window_spread", "min_length", "in_memory", "workers"):
            at_least(f"data.{name}", getattr(self, name), 0)
        within("data.grammar_sentences", self.grammar_sentences, 1, MOST_SENTENCES)
        if self.max_vocabulary != 0 and self.max_vocabulary < 3:
            raise DataError(
                f"data.max_vocabulary is {self.max_vocabulary}; give 3 or more "
                "(<eos>, <unk> and a word), or 0 for no limit"
            )
        if "" in self.drop_containing:
            raise DataError("data.drop_containing has an empty text: in every line")
        _check_fractions(self.fractions)


def _check_fractions(fractions: tuple[float, float, float]) -> None:
    finite = all(math.isfinite(f) and f > 0 for f in fractions)
    if len(fractions) != 3 or not finite or abs(sum(fractions) - 1) > 1e-6:
        raise DataError(
            f"data.fractions is {fractions}; give three positive shares of train, "
            "valid and test that sum to 1, such as 0.9 0.05 0.05"
        )

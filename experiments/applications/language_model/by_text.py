"""What a config leaves to its text: how it is cut, and how large a network learns it.

A text is surveyed once, by its words, and a table says what a text of that length is
learnt by. It is read at a constant rate until validation no longer improves or the time
is over, and the weights are averaged, so that it may end anywhere (sweep `averaging`).
A long text is cut into fewer pieces than would fit it best, since the softmax over them
takes most of the time, in which more of it can be read. All of it is a pure function of
the text, so a resumed run chooses the same.
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from data_pipeline import corpora
from data_pipeline.config import DataConfig
from data_pipeline.words import split_words
from experiments.config import Config

MOST_WORDS = 3_000_000  # of which a text is known to be long
HELD_OUT = 10  # one word in so many shows how many are new
NEW = 0.02  # share of new words above which words are cut into pieces
LONGEST = 24  # letters of a word, on average, above which it is no word
CHARACTERS_WINDOW = 100
LETTERS = 5  # of a word, in their place
LONG = 1_000_000  # words from which on a text is cut into
LONG_PIECES = 4_000  # pieces at most,
BETWEEN = 1_000_000  # and evaluated after so many words
READING = 2  # minutes after a training, for valid and test


class Survey(NamedTuple):
    """What is known of a training split.

    words    how many, up to MOST_WORDS.
    letters  characters a word, on average.
    new      share of the last tenth's words that the rest does not have.
    """

    words: int
    letters: float
    new: float


class Size(NamedTuple):
    """What learns a text of at least so many words."""

    words: int
    hidden: int
    input: float
    output: float
    embedding: float
    weight: float
    batch: int


SIZES = (
    Size(0, 500, 0.6, 0.6, 0.1, 0.5, 8),
    Size(40_000, 300, 0.5, 0.5, 0.1, 0.4, 16),
    Size(120_000, 300, 0.4, 0.4, 0.1, 0.3, 20),
    Size(400_000, 300, 0.3, 0.3, 0.0, 0.2, 32),
    Size(1_000_000, 300, 0.2, 0.2, 0.0, 0.0, 32),
    Size(2_500_000, 300, 0.1, 0.1, 0.0, 0.0, 64),
)


def choose(config: Config) -> tuple[Config, tuple[str, ...]]:
    """The config as its text has it, and what to tell of that; as it is where
    `by_text` is off.

    Raises:
      DataError: where the text cannot be read.
    """
    if not config.by_text:
        return config, ()
    if config.data.corpus == "-":
        return config, ("standard input is read once: the config stays as it is",)
    found = survey(config.data)
    tokenizer, why = cut_of(found)
    size = size_of(found)
    chosen = evaluated(sized(config, size, found, tokenizer), found.words)
    return chosen, tuple(_told(chosen, found, why))


def survey(config: DataConfig) -> Survey:
    """Of the training split."""
    words: list[str] = []
    for split, block in corpora.load(config).blocks():
        if split == "train":
            words += split_words(block)
        if len(words) >= MOST_WORDS:
            break
    held = words[len(words) - len(words) // HELD_OUT :]
    known = Counter(words[: len(words) - len(held)])
    new = sum(word not in known for word in held)
    letters = sum(map(len, words))
    return Survey(len(words), letters / max(len(words), 1), new / max(len(held), 1))


def cut_of(found: Survey) -> tuple[str, str]:
    """The tokenizer, and why."""
    if found.letters > LONGEST:
        return "characters", f"its words have {found.letters:.0f} letters on average"
    if found.new > NEW:
        return "bpe", f"{found.new:.1%} of the words of its last tenth are new there"
    return "reversible", f"{found.new:.1%} of the words of its last tenth are new there"


def size_of(found: Survey) -> Size:
    """The row of SIZES; where words are no words, so many letters count as one."""
    words = found.words
    if found.letters > LONGEST:
        words = int(words * found.letters / LETTERS)
    return [size for size in SIZES if size.words <= words][-1]


def sized(config: Config, size: Size, found: Survey, tokenizer: str) -> Config:
    """The config with all that the text chooses."""
    dropout = replace(
        config.model.dropout,
        input=size.input,
        output=size.output,
        embedding=size.embedding,
        weight=size.weight,
    )
    window = CHARACTERS_WINDOW if tokenizer == "characters" else config.data.window
    most = config.data.max_vocabulary
    if tokenizer == "bpe":
        most = min(most, pieces(found.words))
    data = replace(
        config.data,
        tokenizer=tokenizer,
        max_vocabulary=most,
        batch=size.batch,
        window=window,
    )
    return replace(
        config,
        data=data,
        model=replace(
            config.model, hidden=size.hidden, embedding=size.hidden, dropout=dropout
        ),
    )


def pieces(words: int) -> int:
    """Subwords of a text: fewer of a short one, so that each is seen often enough, and
    of a long one, for speed."""
    if words >= LONG:
        return LONG_PIECES
    return max(400, 100 * round(math.sqrt(words) / 10))


def evaluated(config: Config, words: int) -> Config:
    """The config, evaluated at the end of an epoch; a long text's is so long that it is
    evaluated on the way."""
    if words < LONG:
        return config
    tokens = BETWEEN * (LETTERS if config.data.tokenizer == "characters" else 1)
    between = tokens // (config.data.batch * config.data.window)
    return replace(config, train=replace(config.train, eval_every=between))


def _told(config: Config, found: Survey, why: str) -> Iterator[str]:
    at_least = "at least " if found.words >= MOST_WORDS else ""
    yield (
        f"chosen by the text ({at_least}{found.words:,} words of train; any flag "
        f"counts instead): data.tokenizer {config.data.tokenizer}, as {why}; "
        f"data.max_vocabulary {config.data.max_vocabulary}, model.hidden "
        f"{config.model.hidden}, model.dropout.input {config.model.dropout.input:g}, "
        f"data.batch {config.data.batch}"
    )
    if config.train.minutes:
        minutes = config.train.minutes
        yield (
            f"at most {minutes:g} minutes of training, {minutes + READING:g} in all "
            "(--train.minutes 0 lifts that)"
        )

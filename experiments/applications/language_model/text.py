"""Text as it stands in a file or on standard input, for scoring."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from data_pipeline.corpora.reading import lines_of, text_blocks
from data_pipeline.errors import DataError
from data_pipeline.tokenizers import tokenizer_named
from data_pipeline.tokens import EOS
from data_pipeline.vocabulary import Vocabulary


class Written(NamedTuple):
    """Text as it stands in a file: its tokens, and its lines where they are known."""

    tokens: list[str]
    lines: list[str]


def as_written(vocabulary: Vocabulary, lines: Sequence[str], marks: bool) -> Written:
    """The lines' tokens, `<eos>` after each line's; lines without any are left out."""
    split = tokenizer_named(vocabulary.tokenizer, vocabulary.model).split
    cased = [line.lower() for line in lines] if vocabulary.lower else lines
    if not marks:
        return Written(split("".join(cased)), [])
    tokens: list[str] = []
    kept: list[str] = []
    for line, text in zip(lines, cased, strict=True):
        if found := split(text.removesuffix("\n")):
            tokens += [*found, EOS]
            kept.append(line.removesuffix("\n"))
    return Written(tokens, kept)


def read_lines(path: str) -> Iterator[str]:
    """Lines of a file, or of standard input for `-`; DataError where it cannot be."""
    if path != "-" and not Path(path).is_file():
        raise DataError(f"--text: there is no file {path!r}")
    return lines_of(text_blocks(Path(path)))


def grouped(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(group, text) of each hypothesis: groups are parted by empty lines, or named as
    in `group ||| text` (what follows a second `|||` is left out)."""
    number, empty = 1, True
    for line in lines:
        line = line.rstrip("\n")
        name, bar, text = line.partition("|||")
        if not line.strip():
            number, empty = number + (not empty), True
        elif bar and text.strip():
            yield name.strip(), text.partition("|||")[0].strip()
        else:
            empty = False
            yield str(number), line

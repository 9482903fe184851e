"""Text as it stands in a file or on standard input: lines that keep their numbers."""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from data_pipeline.corpora.reading import ADVICE, lines_of, text_blocks
from data_pipeline.corpora.rows import Rows, is_rows, row_text
from data_pipeline.errors import DataError


class Line(NamedTuple):
    """A line without its newline.

    number  of the line in its file, or of the row in its table, from 1.
    ended   whether a newline stood after it.
    group   of an n-best list: a name, or a number where groups have none.
    source  the file that it is from.
    """

    text: str
    number: int | None = None
    ended: bool = True
    group: str | int | None = None
    source: str = ""

    @property
    def place(self) -> str:
        """File and number, for messages."""
        source = "standard input" if self.source == "-" else self.source
        return f"{source} line {self.number}".lstrip()


def lines_from(texts: Iterable[str], source: str = "") -> Iterator[Line]:
    """Lines out of strings, each with or without its newline."""
    for number, text in enumerate(texts, 1):
        ended = text.endswith("\n")
        yield Line(text.removesuffix("\n"), number, ended, source=source)


def read_lines(
    path: str, column: str = "", errors: str = "strict", option: str = "--text"
) -> list[Line]:
    """See `each_line`."""
    return list(each_line(path, column, errors, option))


def each_line(
    path: str, column: str = "", errors: str = "strict", option: str = "--text"
) -> Iterator[Line]:
    """Lines of a file, `-` being standard input, or the rows of CSV, TSV and JSON as
    training reads them; a row without text is an empty line, so that numbers hold.
    What is no regular file is read once.

    Raises:
      DataError: where it cannot be read as this.
    """
    given = Path(path)
    if path != "-" and not given.exists():
        raise DataError(f"{option}: there is no file {path!r}")
    if given.is_dir():
        raise DataError(f"{option}: {path!r} is a folder: give one file of it")
    try:
        if is_rows(given):
            with _readable_again(given) as file:
                rows = Rows(file, column, errors).each()
                for number, row in enumerate(rows, 1):
                    yield Line(text_of_row(row), number, source=path)
            return
        blocks = text_blocks(given, errors, advice=ADVICE)
        yield from lines_from(lines_of(blocks), path)
    except DataError as error:  # training's options have other names here
        said = str(error).replace("--data.", "--").replace("data.column", "--column")
        raise DataError(said) from None


def text_of_row(row: str | None) -> str:
    """A row's text without its newline; of an empty one ''."""
    return row_text(row or "", False).removesuffix("\n")


@contextmanager
def _readable_again(path: Path) -> Iterator[Path]:
    """The file, or a copy of what can be read once only."""
    if path.is_file():
        yield path
        return
    with TemporaryDirectory(prefix="score-") as folder:
        copy = Path(folder) / path.name
        with path.open("rb") as file, copy.open("wb") as kept:
            shutil.copyfileobj(file, kept)
        yield copy


def grouped(lines: Iterable[Line]) -> Iterator[Line]:
    """The hypotheses of an n-best list, empty ones too, each with its group.

    Groups are named, `group ||| text` (what follows a second `|||` is left out), or
    parted by empty lines and numbered.
    """
    number, empty = 1, True
    for line in lines:
        name, bar, rest = line.text.partition("|||")
        if bar:
            text = rest.partition("|||")[0].strip()
            yield line._replace(text=text, group=name.strip())
        elif line.text.strip():
            empty = False
            yield line._replace(group=number)
        else:
            number, empty = number + (not empty), True

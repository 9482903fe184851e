"""CSV and TSV as the world writes them: which delimiter, which column, what quotes.

A table's first line names its columns. The delimiter is the one of `, ; tab |` by
which these names hold the column that is wanted. Quotation marks enclose cells where
the whole file can be read so; where it cannot, or where a marked cell would swallow
lines that are rows by themselves, they are letters of the text. Rows neither vanish
nor merge: what cannot be read as a row is counted by its reason.
"""

import csv
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from data_pipeline.corpora.reading import Tally, bare_suffix
from data_pipeline.errors import DataError

DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
KNOWN = (",", ";", "\t", "|")
NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
USUAL_COLUMNS = ("text", "body", "sentence", "content")

SHORT = "rows left out: too short to reach the column"
LONG = "rows left out: more cells than columns"
REPEATED = "rows left out: the names of the columns again"
JOINED = "rows with delimiters in the last column, read as part of the text"
FEWER = "rows with fewer cells than columns, read all the same"
_SENTENCE = re.compile(r"\S\s+\S+\s+\S.*[.!?,]|[.!?]\s*$")

Lines = Callable[[], Iterator[str]]


class Dialect(NamedTuple):
    """How a table is written, and which of its columns is read.

    names   of the columns; `at` is the place of the one that is read.
    first   lines before the names (`sep=;`, which spreadsheets write).
    quotes  whether quotation marks enclose cells; else they are letters.
    escape  what stands before a quotation mark inside a cell, where it is not doubled.
    """

    delimiter: str
    names: list[str]
    at: int
    first: int = 0
    quotes: bool = True
    escape: str = ""

    def told(self) -> str:
        """In words."""
        quotes = "" if self.quotes else ", quotation marks read as letters"
        name = NAMES.get(self.delimiter, repr(self.delimiter))
        return f"column {self.names[self.at]!r}, delimiter {name}{quotes}"


def choose(path: Path | str, column: str, names: list[str]) -> str:
    """The column to read, out of those that there are."""
    usual = [n for u in USUAL_COLUMNS for n in names if n.casefold() == u]
    if column in names or (not column and (usual or len(names) == 1)):
        chosen = column or (usual or names)[0]
        if names.count(chosen) > 1:
            raise DataError(f"{path} has {names.count(chosen)} columns {chosen!r}")
        return chosen
    have = ", ".join(names) or "none (the file is empty)"
    what = f"no column {column!r}" if column else "no column with a usual name"
    raise DataError(f"{path} has {what}; its columns: {have}; set data.column")


def dialect_of(path: Path, lines: Lines, column: str) -> Dialect:
    """How the table in `lines` is written; reads them once where there are quotation
    marks. Raises DataError for a column that is not there, with those that are."""
    dialect = _by_names(path, lines, column)
    if len(dialect.names) == 1 and not column and _SENTENCE.search(dialect.names[0]):
        raise DataError(
            f"{path}: its first row reads like text ({dialect.names[0][:40]!r}), not "
            "like a column's name; give it a first row that names the column, or name "
            "the file .txt"
        )
    if not any('"' in line for line in lines()):
        return dialect
    return _with_quotes(path, lines, dialect)


def _by_names(path: Path, lines: Lines, column: str) -> Dialect:
    """The delimiter by which the first line holds the column."""
    usual = DELIMITERS[bare_suffix(path)]
    first, wanted = 0, [usual, *(d for d in KNOWN if d != usual)]
    found = next(lines(), "").rstrip("\n")
    if found.lower().startswith("sep=") and len(found) == 5:
        first, wanted = 1, [found[4]]
    read: list[Dialect] = []
    for delimiter in wanted:
        names = _names(path, lines, first, delimiter)
        read.append(Dialect(delimiter, names, 0, first))
    read.sort(key=lambda dialect: -len(dialect.names))
    for dialect in read:
        names = dialect.names
        held = column or next((n for n in names if n.casefold() in USUAL_COLUMNS), "")
        if held and held in names:
            return dialect._replace(at=names.index(choose(path, column, names)))
    names = read[0].names
    return read[0]._replace(at=names.index(choose(path, column, names)))


def _names(path: Path, lines: Lines, first: int, delimiter: str) -> list[str]:
    rest = lines()
    for _ in range(first):
        next(rest)
    try:
        names = next(csv.reader(rest, delimiter=delimiter, strict=True), [])
    except csv.Error:
        names = next(lines(), "").split(delimiter)
    return [name.strip() for name in names]


def _with_quotes(path: Path, lines: Lines, dialect: Dialect) -> Dialect:
    """What quotation marks mean: the first of three ways that reads the whole file."""
    try:
        plain = _swallows_rows(lines, dialect)
        return dialect._replace(quotes=not plain)
    except csv.Error as error:
        wrong = str(error)
    escaped = dialect._replace(escape="\\")
    try:
        if any('\\"' in line for line in lines()):
            if not _swallows_rows(lines, escaped):
                return escaped
    except csv.Error:
        pass
    number, swallowed, wide, count = _as_letters(lines, dialect)
    open_at_end = wrong == "unexpected end of data" and swallowed < 2
    if wide < 0.9 * count or (open_at_end and dialect.delimiter != "\t"):
        raise DataError(
            f"{path}, line {number}: {wrong}; inside a marked cell a quotation mark is "
            "doubled"
        )
    return dialect._replace(quotes=False)


def _swallows_rows(lines: Lines, dialect: Dialect) -> bool:
    """Whether cells of more than one line consist of lines that are whole rows by
    themselves; raises csv.Error where the file cannot be read with quotes."""
    width, inside, like_rows = len(dialect.names), 0, 0
    seen: list[str] = []
    for _ in _quoted(_kept(lines(), seen), dialect):
        if len(seen) > 1:
            inside += len(seen)
            like_rows += sum(_cells(line, dialect) == width for line in seen)
        seen.clear()
    return width > 1 and like_rows * 2 > inside


def _kept(lines: Iterator[str], seen: list[str]) -> Iterator[str]:
    for line in lines:
        seen.append(line)
        yield line


def _as_letters(lines: Lines, dialect: Dialect) -> tuple[int, int, int, int]:
    """(line of the first fault, lines swallowed there, lines of full width, lines)."""
    seen: list[str] = []
    number = 0
    try:
        for _ in _quoted(_kept(lines(), seen), dialect):
            number += len(seen)
            seen.clear()
    except csv.Error:
        pass
    swallowed = len(seen)
    width = len(dialect.names)
    widths = [_cells(line, dialect) for line in lines() if line.strip()]
    return number + swallowed, swallowed, sum(w == width for w in widths), len(widths)


def _cells(line: str, dialect: Dialect) -> int:
    if len(dialect.names) == 1:
        return 1
    return line.count(dialect.delimiter) + 1


def _quoted(lines: Iterator[str], dialect: Dialect) -> Iterator[list[str]]:
    csv.field_size_limit(1 << 30)
    return csv.reader(
        (line.replace("\r", " ") for line in lines),
        delimiter=dialect.delimiter,
        strict=True,
        escapechar=dialect.escape or None,
    )


def _unquoted(lines: Iterator[str], dialect: Dialect) -> Iterator[list[str]]:
    for line in lines:
        line = line.rstrip("\n")
        whole = len(dialect.names) == 1
        yield [line] if whole or not line else line.split(dialect.delimiter)


def cells(lines: Iterator[str], dialect: Dialect, tally: Tally) -> Iterator[str | None]:
    """The cell of each row in the dialect's column; None for a row without one, which
    is counted."""
    width, at = len(dialect.names), dialect.at
    rows = (_quoted if dialect.quotes else _unquoted)(lines, dialect)
    for _ in range(dialect.first + 1):
        next(rows, None)
    for row in rows:
        if len(row) == width and [name.strip() for name in row] == dialect.names:
            tally[REPEATED] += 1
            yield None
        elif len(row) > width and any(map(str.strip, row[width:])):
            if at == width - 1:
                tally[JOINED] += 1
                yield dialect.delimiter.join(row[at:])
            else:
                tally[LONG] += 1
                yield None
        elif at < len(row):
            tally[FEWER] += len(row) < width
            yield row[at]
        elif row:
            tally[SHORT] += 1
            yield None

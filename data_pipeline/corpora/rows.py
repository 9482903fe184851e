"""Rows of text: a column of CSV or TSV, a field of JSON lines or of a JSON array.

A row is a document. Read as lines, newlines inside it become spaces and it is one
sentence; where sentences are split, rows are paragraphs apart. A row without text (a
short one, `null`, a field that is not there) is left out and counted.
"""

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data_pipeline.corpora.reading import (
    ADVICE,
    MARK,
    NULS,
    REPLACEMENT,
    Tally,
    bare_suffix,
    lines_of,
    text_blocks,
)
from data_pipeline.corpora.tables import (
    DELIMITERS,
    Dialect,
    cells,
    choose,
    dialect_of,
)
from data_pipeline.errors import DataError

JSON = (".jsonl", ".ndjson", ".json")
LARGEST_ARRAY = 256 << 20  # characters of a JSON array, which is held whole
NULL = "rows left out: null in place of text"
NO_FIELD = "rows left out: without the field"
EMPTY = "rows left out: empty"
HALVES = "halves of surrogate pairs, replaced by U+FFFD"
_HALF = re.compile("[\ud800-\udfff]")


def is_rows(path: Path) -> bool:
    """Whether the file's ending says CSV, TSV, JSON lines or JSON."""
    return bare_suffix(path) in (*DELIMITERS, *JSON)


class Rows:
    """A file of rows, read any number of times; how it is written is found out once.

    Raises DataError, when it is made or read, for a column that is not there (with
    those that are), and for what is no table (with the line).
    """

    def __init__(self, path: Path, column: str, errors: str = "strict") -> None:
        self.path, self.column, self.errors = path, column, errors
        self.dialect: Dialect | None = None
        if bare_suffix(path) not in JSON:
            self.dialect = dialect_of(path, self._lines, column)

    def told(self) -> str:
        """How the rows are written, in words."""
        if self.dialect is not None:
            return self.dialect.told()
        return f"field {self.column!r} of JSON"

    def _lines(self, tally: Tally | None = None) -> Iterator[str]:
        return lines_of(text_blocks(self.path, self.errors, tally=tally, advice=ADVICE))

    def each(self, tally: Tally | None = None) -> Iterator[str | None]:
        """The text of each row, None where it has none; `tally` counts those."""
        tally = Counter() if tally is None else tally
        lines = self._lines(tally)
        if self.dialect is not None:
            return cells(lines, self.dialect, tally)
        return self._fields(lines, tally)

    def texts(self, tally: Tally | None = None) -> Iterator[str]:
        """The text of each row that has one; `tally` counts the others."""
        tally = Counter() if tally is None else tally
        for text in self.each(tally):
            if text is not None and text.strip():
                yield text
            elif text is not None:
                tally[EMPTY] += 1

    def _fields(self, lines: Iterator[str], tally: Tally) -> Iterator[str | None]:
        names: list[str] = []
        read = False
        for where, row in self._objects(lines):
            if not isinstance(row, dict):
                raise DataError(f"{where}: not a JSON object")
            names = names or list(row)
            self.column = self.column or choose(self.path, "", names)
            value = row.get(self.column, tally)
            if value is tally:
                tally[NO_FIELD] += 1
                yield None
            elif value is None:
                tally[NULL] += 1
                yield None
            elif isinstance(value, str):
                read = True
                yield self._sound(where, value, tally)
            else:
                raise DataError(f"{where}: {self.column!r} is not text")
        if not read and self.column not in names:
            choose(self.path, self.column, names)

    def _objects(self, lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
        """(place, value) of each row: of JSON lines, or of one array."""
        numbered = enumerate((line.lstrip(MARK) for line in lines), start=1)
        numbered = ((n, line) for n, line in numbered if line.strip())
        first = next(numbered, None)
        if first is None:
            return
        numbered = itertools.chain([first], numbered)
        if first[1].lstrip().startswith("["):
            yield from self._array(line for _, line in numbered)
            return
        for number, line in numbered:
            where = f"{self.path}, line {number}"
            yield where, self._value(where, line, number)

    def _value(self, where: str, line: str, number: int) -> Any:
        try:
            return json.loads(line)
        except (ValueError, RecursionError) as error:
            hint = ""
            if number == 1 and line.strip() == "{":
                hint = "; give an array of objects, or one object a line"
            raise DataError(f"{where}: not JSON: {error}{hint}") from None

    def _array(self, lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
        held, size = [], 0
        for line in lines:
            held.append(line)
            size += len(line)
            if size > LARGEST_ARRAY:
                raise DataError(
                    f"{self.path} is a JSON array of more than {LARGEST_ARRAY >> 20} "
                    "MB; make JSON lines of it: jq -c '.[]'"
                )
        for number, row in enumerate(self._value(str(self.path), "".join(held), 0), 1):
            yield f"{self.path}, row {number}", row

    def _sound(self, where: str, text: str, tally: Tally) -> str:
        """The text without what no text can hold: NUL and halves of pairs."""
        if "\0" not in text and not _HALF.search(text):
            return text
        if self.errors != "replace":
            what = "NUL" if "\0" in text else "half of a surrogate pair"
            raise DataError(f"{where}: {what} in {self.column!r}{ADVICE}")
        tally[NULS] += text.count("\0")
        text, halves = _HALF.subn(REPLACEMENT, text.replace("\0", REPLACEMENT))
        tally[HALVES] += halves
        return text


def row_text(row: str, split_sentences: bool) -> str:
    """A row as lines of a text; "" when there is nothing in it."""
    row = row.strip().replace("\r\n", "\n").replace("\r", "\n")
    if not row:
        return ""
    return f"{row}\n\n" if split_sentences else " ".join(row.split("\n")) + "\n"

"""Rows of text: a column of CSV or TSV, a field of JSON lines.

A row is a document. Read as lines, newlines inside it become spaces and it is one
sentence; where sentences are split, rows are paragraphs apart.
"""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

from data_pipeline.corpora.reading import bare_suffix, lines_of, text_blocks
from data_pipeline.errors import DataError

DELIMITERS = {".csv": ",", ".tsv": "\t"}
JSON_LINES = (".jsonl", ".ndjson")
USUAL_COLUMNS = ("text", "body", "sentence", "content")


def is_rows(path: Path) -> bool:
    """Whether the file's ending says CSV, TSV or JSON lines."""
    return bare_suffix(path) in (*DELIMITERS, *JSON_LINES)


def read_rows(path: Path, column: str, errors: str = "strict") -> Iterator[str]:
    """The text of each row; "" as `column` takes the first usual name that is there.

    Raises DataError for a column that is not there (with those that are), and for
    rows that cannot be read (with their line).
    """
    lines = lines_of(text_blocks(path, errors))
    if bare_suffix(path) in JSON_LINES:
        return _json_rows(path, lines, column)
    return _csv_rows(path, lines, column)


def _csv_rows(path: Path, lines: Iterator[str], column: str) -> Iterator[str]:
    csv.field_size_limit(1 << 30)
    rows = csv.reader(lines, delimiter=DELIMITERS[bare_suffix(path)], strict=True)
    try:
        names = next(rows, [])
        at = names.index(choose(path, column, names))
        for row in rows:
            if at < len(row):
                yield row[at]
    except csv.Error as error:
        raise DataError(f"{path}, line {rows.line_num}: {error}") from None


def _json_rows(path: Path, lines: Iterator[str], column: str) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise DataError(f"{path}, line {number}: not JSON: {error}") from None
        if not isinstance(row, dict):
            raise DataError(f"{path}, line {number}: not a JSON object")
        column = choose(path, column, list(row))
        if not isinstance(row[column], str):
            raise DataError(f"{path}, line {number}: {column!r} is not text")
        yield row[column]


def choose(path: Path | str, column: str, names: list[str]) -> str:
    """The column to read, out of those that there are."""
    usual = [name for name in USUAL_COLUMNS if name in names]
    if column in names or (not column and (usual or len(names) == 1)):
        return column or (usual or names)[0]
    have = ", ".join(names) or "none (the file is empty)"
    what = f"no column {column!r}" if column else "no column with a usual name"
    raise DataError(f"{path} has {what}; its columns: {have}; set data.column")


def row_text(row: str, split_sentences: bool) -> str:
    """A row as lines of a text; "" when there is nothing in it."""
    row = row.strip()
    if not row:
        return ""
    return f"{row}\n\n" if split_sentences else " ".join(row.split("\n")) + "\n"

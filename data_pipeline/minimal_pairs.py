"""Minimal pairs: two sentences, or two continuations of a prefix, one of them right.

A file is TSV whose first line names its columns (tabs only, no quotation marks), or
JSON lines (a name in .jsonl, .ndjson or .json, also compressed); of a folder all its
files of JSON lines in order of their names, as BLiMP is handed out (Warstadt et al.
2020). The columns are sentence_good and sentence_bad, or prefix, good and bad (Linzen,
Dupoux & Goldberg 2016: a sentence up to its verb, and two forms of it); others are
kept as what the pairs can be grouped by.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from data_pipeline.corpora.reading import bare_suffix, lines_of, text_blocks
from data_pipeline.corpora.rows import JSON
from data_pipeline.errors import DataError

SENTENCES = ("sentence_good", "sentence_bad")
CONTINUED = ("prefix", "good", "bad")


class MinimalPair(NamedTuple):
    """good is right and bad is wrong, after prefix ("": both are whole sentences).

    groups  names and values of the other columns.
    place   file and line.
    """

    good: str
    bad: str
    prefix: str
    groups: dict[str, str]
    place: str


def read_pairs(path: str, errors: str = "strict") -> list[MinimalPair]:
    """The pairs of a file, of a folder's files of JSON lines, or of standard input
    (`-`, TSV).

    Raises:
      DataError: in one line, with file and line.
    """
    given = Path(path)
    if path != "-" and not given.exists():
        raise DataError(f"--pairs: there is no file {path!r}")
    files = [given]
    if given.is_dir():
        files = sorted(p for p in given.iterdir() if bare_suffix(p) in JSON)
        if not files:
            raise DataError(f"--pairs: the folder {path!r} has no file of JSON lines")
    pairs = [pair for file in files for pair in _read(file, errors)]
    if not pairs:
        raise DataError(f"--pairs: {path!r} has no pair of sentences")
    return pairs


def _read(path: Path, errors: str) -> Iterator[MinimalPair]:
    name = "standard input" if str(path) == "-" else str(path)
    lines = enumerate(lines_of(text_blocks(path, errors)), 1)
    rows = _json(name, lines) if bare_suffix(path) in JSON else _tsv(name, lines)
    for place, row in rows:
        kind = CONTINUED if "prefix" in row and SENTENCES[0] not in row else SENTENCES
        if missing := [column for column in kind if column not in row]:
            raise DataError(
                f"{place}: no column {', '.join(map(repr, missing))} among "
                f"{', '.join(row) or 'none'}; pairs need {' and '.join(SENTENCES)}, or "
                f"{', '.join(CONTINUED)}"
            )
        good, bad = (row[column] for column in kind[-2:])
        if not (good.strip() and bad.strip()):
            raise DataError(f"{place}: a sentence of the pair is empty")
        prefix = row["prefix"] if kind is CONTINUED else ""
        if kind is CONTINUED and not prefix.strip():
            raise DataError(f"{place}: the prefix of the pair is empty")
        groups = {name: text for name, text in row.items() if name not in kind}
        yield MinimalPair(good, bad, prefix, groups, place)


Rows = Iterator[tuple[str, dict[str, str]]]


def _json(name: str, lines: Iterator[tuple[int, str]]) -> Rows:
    for number, line in lines:
        place = f"{name} line {number}"
        if not line.strip():
            raise DataError(f"{place} is empty: every line is a JSON object")
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            why = getattr(error, "msg", "it is nested too deeply")
            raise DataError(
                f"{place} is no JSON ({why}): every line is a JSON object"
            ) from None
        if not isinstance(row, dict):
            raise DataError(f"{place} is no JSON object")
        wrong = [
            c for c in (*SENTENCES, *CONTINUED) if not isinstance(row.get(c, ""), str)
        ]
        if wrong:
            raise DataError(f"{place}: {wrong[0]!r} is no text")
        yield place, {k: v if isinstance(v, str) else str(v) for k, v in row.items()}


def _tsv(name: str, lines: Iterator[tuple[int, str]]) -> Rows:
    columns: list[str] = []
    for number, line in lines:
        place, cells = f"{name} line {number}", line.rstrip("\n").split("\t")
        if not line.strip():
            raise DataError(f"{place} is empty: every line is a pair")
        if not columns:
            columns = [cell.strip() for cell in cells]
            if not ({*SENTENCES} <= {*columns} or {*CONTINUED} <= {*columns}):
                raise DataError(
                    f"{place} names the columns {', '.join(map(repr, columns))[:200]}; "
                    f"pairs need {' and '.join(SENTENCES)}, or {', '.join(CONTINUED)}, "
                    "parted by tabs"
                )
            if len(set(columns)) < len(columns):
                twice = next(c for c in columns if columns.count(c) > 1)
                raise DataError(f"{place} names the column {twice!r} twice")
        elif len(cells) != len(columns):
            raise DataError(
                f"{place} has {len(cells)} cells where the first line names "
                f"{len(columns)} columns"
            )
        else:
            yield place, dict(zip(columns, cells, strict=True))

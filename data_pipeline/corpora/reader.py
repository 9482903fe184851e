"""Files of any kind as text, with what reading each of them changed or left out."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from data_pipeline.config import DataConfig
from data_pipeline.corpora.notes import listed
from data_pipeline.corpora.reading import ADVICE, Tally, text_blocks
from data_pipeline.corpora.rows import Rows, is_rows, row_text
from data_pipeline.corpora.text import joined
from data_pipeline.errors import DataError
from data_pipeline.tokenizers import TOKENIZERS


class Survey(NamedTuple):
    """One reading of a file.

    characters  of its text.
    digest      SHA-256 of its text.
    longest     characters of its longest line, where lines are kept whole.
    rows        how many it has, if it has rows.
    tally       what was changed or left out.
    """

    characters: int
    digest: str
    longest: int
    rows: int
    tally: Tally


class Reader:
    """Reads files as a config says; each is surveyed once."""

    def __init__(self, config: DataConfig) -> None:
        self.config = config
        self.whole_lines = TOKENIZERS[config.tokenizer].marks
        self._rows: dict[Path, Rows] = {}
        self._surveys: dict[Path, Survey] = {}

    def rows(self, path: Path) -> Rows:
        """The rows of a file, and how they are written."""
        if path not in self._rows:
            self._rows[path] = Rows(path, self.config.column, self.config.errors)
        return self._rows[path]

    def row_texts(self, path: Path, tally: Tally | None = None) -> Iterator[str]:
        """Each row with text in it, as lines."""
        for row in self.rows(path).texts(tally):
            yield row_text(row, self.config.split_sentences)

    def blocks(self, path: Path, tally: Tally | None = None) -> Iterator[str]:
        """The text of any one file, rows or not."""
        if is_rows(path):
            return joined(self.row_texts(path, tally))
        errors = self.config.errors
        return text_blocks(path, errors, self.whole_lines, tally, ADVICE)

    def survey(self, path: Path) -> Survey:
        """Read a file through once; raises DataError where it has no text in it."""
        if path not in self._surveys:
            self._surveys[path] = self._survey(path)
        return self._surveys[path]

    def _survey(self, path: Path) -> Survey:
        digest, characters, visible = hashlib.sha256(), 0, False
        longest = rows = 0
        tally: Tally = Counter()
        for block in self.blocks(path, tally):
            digest.update(block.encode())
            characters += len(block)
            visible = visible or not block.isspace()
            if is_rows(path):
                rows += block.count("\n\n" if self.config.split_sentences else "\n")
            elif self.whole_lines:
                longest = max(longest, *map(len, block.split("\n")))
        if not visible:
            lost = "; ".join(_told(tally))
            raise DataError(
                f"{path} is empty; give a file with text in it"
                + (f" ({lost})" if lost else "")
            )
        return Survey(characters, digest.hexdigest(), longest, rows, +tally)

    def notes(self, paths: Sequence[Path]) -> list[str]:
        """What was read, changed and left out in these files, with counts."""
        notes = []
        for path in paths:
            if is_rows(path):
                told, rows = self.rows(path).told(), self.survey(path).rows
                notes.append(f"{path.name}: {told}: {rows:,} rows read")
        total: Tally = Counter()
        for path in paths:
            total.update(self.survey(path).tally)
        for told in _told(total):
            what = told.split(" ", 1)[1]
            where = [p.name for p in paths if self.survey(p).tally[what]]
            notes.append(told + (f" (in {listed(where)})" if len(paths) > 1 else ""))
        return notes


def _told(tally: Tally) -> list[str]:
    return [f"{count:,} {what}" for what, count in tally.items() if count]

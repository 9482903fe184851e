"""The probability of every token by each of several models, as a table of tabs.

Its head is `split`, `token`, and a name for each column; a line is a token of valid or
of test, in the order of the text. In tokens, tab, newline, carriage return and
backslash stand as \\t \\n \\r \\\\.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.console.printable import tsv_cell
from experiments.run.files import RunError, reading, write_text_atomic

SPLITS = ("valid", "test")


class Column(NamedTuple):
    """A column of a file: its name, and nats (N,) by split."""

    name: str
    nats: dict[str, np.ndarray]


def write(
    path: Path,
    tokens: Mapping[str, Sequence[str]],
    columns: Mapping[str, Mapping[str, np.ndarray]],
) -> None:
    """A file of the splits in `tokens`; columns {name: {split: nats (N,)}}.

    Raises:
      RunError: where it cannot be written.
    """
    lines = ["\t".join(["split", "token", *map(tsv_cell, columns)])]
    for split, words in tokens.items():
        nats_NK = np.stack([nats[split] for nats in columns.values()], axis=1)
        p_NK = np.exp(-nats_NK.astype(np.float64))
        for word, p_K in zip(words, p_NK, strict=True):
            numbers = [f"{p:.9g}" for p in p_K]
            lines.append("\t".join([split, tsv_cell(word), *numbers]))
    write_text_atomic(path, "\n".join(lines) + "\n")


def read(given: str, tokens: Mapping[str, Sequence[str]]) -> Column:
    """A column of a file: FILE, its last, or FILE:COLUMN.

    Raises:
      RunError: naming file and line, where it is no such file, a probability is none,
        or its tokens are not those of these splits.
    """
    path, wanted = _file_and_column(given)
    with reading(path):
        text = path.read_bytes().decode("utf-8").replace("\r\n", "\n")
    lines = text.removesuffix("\n").split("\n")
    head = lines[0].split("\t")
    if head[:2] != ["split", "token"] or len(head) < 3:
        raise RunError(
            f"{path}:1: not a file of probabilities, whose first line is split, token "
            "and names of columns, with tabs between: make one with --out"
        )
    name = wanted or head[-1]
    if name not in head[2:]:
        raise RunError(
            f"{path}:1: there is no column {name!r}, but {', '.join(head[2:])}"
        )
    at = head.index(name, 2)
    rows = [line.split("\t") for line in lines[1:]]
    for number, row in enumerate(rows, 2):
        if len(row) != len(head) or row[0] not in SPLITS:
            raise RunError(
                f"{path}:{number}: {tsv_cell(lines[number - 1])[:60]!r} is no line of "
                f"{', '.join(SPLITS)} with {len(head)} cells, as the first line has"
            )
    found = {s: _split(path, rows, s, words, at) for s, words in tokens.items()}
    return Column(f"{path.name}:{name}", found)


def _file_and_column(given: str) -> tuple[Path, str]:
    """FILE:COLUMN at the first colon before which there is a file."""
    for at, letter in enumerate(given):
        if letter == ":" and Path(given[:at]).is_file():
            return Path(given[:at]), given[at + 1 :]
    return Path(given), ""


def _split(path, rows, split: str, words: Sequence[str], at: int) -> np.ndarray:
    own = [(number, row) for number, row in enumerate(rows, 2) if row[0] == split]
    if len(own) != len(words):
        raise RunError(
            f"{path} has {len(own):,} tokens of {split}, and the run's text "
            f"{len(words):,}: it is of another text, or of tokens cut otherwise"
        )
    p_N = np.zeros(len(own))
    for place, ((number, row), word) in enumerate(zip(own, words, strict=True)):
        if row[1] != tsv_cell(word):
            raise RunError(
                f"{path}:{number}: {row[1]!r} stands where the run's {split} has "
                f"{tsv_cell(word)!r}: it is of another text, or of tokens cut otherwise"
            )
        p_N[place] = _probability(path, number, row[at])
    return -np.log(p_N, out=np.full(len(p_N), -np.inf), where=p_N > 0)


def _probability(path: Path, number: int, word: str) -> float:
    try:
        p = float(word)
    except ValueError:
        p = np.nan
    if not 0 <= p <= 1 + 1e-6:
        raise RunError(f"{path}:{number}: {word!r} is not a probability, 0 to 1")
    return p

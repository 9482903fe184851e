"""Parallel text: files of which line n of one says the same as line n of the other."""

from pathlib import Path
from typing import NamedTuple

from data_pipeline.corpora.reading import ADVICE, lines_of, text_blocks
from data_pipeline.corpora.text import SPLITS
from data_pipeline.errors import DataError

STEMS = {"train": ("train",), "valid": ("valid", "val", "dev"), "test": ("test",)}
ENDINGS = ("", ".gz", ".bz2", ".xz", ".zst")


class Bitext(NamedTuple):
    """N pairs of lines, without newlines.

    places  where each stands, for messages: `FILE line 3`; empty where it was made.
    """

    sources: list[str]
    targets: list[str]
    places: tuple[str, str] = ("", "")


def read_parallel(
    folder: str, source: str, target: str, test: str = "", errors: str = "strict"
) -> dict[str, Bitext]:
    """The splits of a folder with files such as `train.de` and `train.en`, packed or
    not; `val` or `dev` may stand for `valid`.

    Args:
      source, target: endings of the two languages.
      test: name of the test files without ending; by default `test`, or else the first
        whose name begins so.
    Raises:
      DataError: where a file is missing, two have unequal numbers of lines, or a line
        is empty.
    """
    given = Path(folder)
    if not given.is_dir():
        raise DataError(f"data.corpus: there is no folder {folder!r}")
    if source == target:
        raise DataError(
            f"data.source and data.target are both {source!r}: give two languages"
        )
    found = {}
    for split in SPLITS:
        stem = _stem(given, split, source, test if split == "test" else "")
        pair = _file(given, stem, source), _file(given, stem, target)
        found[split] = _lines(*pair, errors)
    return found


def _stem(folder: Path, split: str, language: str, wanted: str) -> str:
    stems = [wanted] if wanted else list(STEMS[split])
    if split == "test" and not wanted:
        stems += sorted({path.name.split(".")[0] for path in folder.glob("test*")})
    for stem in stems:
        if any((folder / f"{stem}.{language}{end}").is_file() for end in ENDINGS):
            return stem
    raise DataError(
        f"{folder} has no file {' or '.join(f'{s}.{language}' for s in stems)} (packed "
        "or not): data.source and data.target are the endings of its files, data.test "
        "the name of the test files"
    )


def _file(folder: Path, stem: str, language: str) -> Path:
    for end in ENDINGS:
        path = folder / f"{stem}.{language}{end}"
        if path.is_file():
            return path
    raise DataError(f"{folder} has no file {stem}.{language}, packed or not")


def _lines(first: Path, second: Path, errors: str) -> Bitext:
    sides = []
    for path in (first, second):
        lines = [
            line.strip() for line in lines_of(text_blocks(path, errors, advice=ADVICE))
        ]
        for number, line in enumerate(lines, 1):
            if not line:
                raise DataError(
                    f"{path} line {number} is empty: every line needs its translation; "
                    "leave the pair out of both files"
                )
        sides.append(lines)
    counts = [len(lines) for lines in sides]
    if counts[0] != counts[1]:
        raise DataError(
            f"{first} has {counts[0]:,} lines and {second} {counts[1]:,}: line n of "
            "one must say the same as line n of the other"
        )
    if not counts[0]:
        raise DataError(f"{first} has no line")
    return Bitext(sides[0], sides[1], (str(first), str(second)))

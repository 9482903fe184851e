"""Texts with a label each: a file per class, or lines `label<TAB>text`; and folds."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from data_pipeline.corpora.reading import ADVICE, lines_of, text_blocks
from data_pipeline.errors import DataError
from data_pipeline.order import shuffled


class LabelledTexts(NamedTuple):
    """N texts in the order of their source.

    texts   without newlines.
    labels  (N,) numbers into `names`.
    names   of the classes.
    places  where each stands, for messages: `FILE line 3`.
    """

    texts: list[str]
    labels: np.ndarray
    names: tuple[str, ...]
    places: list[str]


def read_labelled(
    path: str, names: tuple[str, ...] = (), errors: str = "strict"
) -> LabelledTexts:
    """A folder with a file of lines per class, which is named after it (`pos.txt`, or
    `reviews.pos`), or one file of lines `label<TAB>text`; empty lines are left out.

    Args:
      names: the classes in the order of their numbers; by default all that are there,
        sorted.
    Raises:
      DataError: where it cannot be read so, a class is empty or a label is none of
        `names`.
    """
    given = Path(path)
    if not given.exists():
        raise DataError(f"data.corpus: there is no file or folder {path!r}")
    pairs = list(_of_folder(given, errors) if given.is_dir() else _of(given, errors))
    found = tuple(sorted({label for label, _, _ in pairs}))
    for label, _, place in pairs:
        if names and label not in names:
            raise DataError(
                f"{place}: its label is {label!r}, none of {', '.join(names)} "
                "(data.labels)"
            )
    if missing := [name for name in names if name not in found]:
        raise DataError(f"{path}: no text has the label {missing[0]!r} (data.labels)")
    names = names or found
    if not names:
        raise DataError(f"{path} is empty: give a text a line, with its label")
    if len(names) < 2:
        raise DataError(f"{path} has texts of the class {found[0]!r} alone")
    index = {name: number for number, name in enumerate(names)}
    return LabelledTexts(
        [text for _, text, _ in pairs],
        np.array([index[label] for label, _, _ in pairs], np.int32),
        names,
        [place for _, _, place in pairs],
    )


def _lines(path: Path, errors: str):
    """(text, place) of the lines that are not empty."""
    blocks = text_blocks(path, errors, advice=ADVICE)
    for number, line in enumerate(lines_of(blocks), 1):
        if line.strip():
            yield line.strip(), f"{path} line {number}"


def _of_folder(folder: Path, errors: str):
    paths = [p for p in sorted(folder.iterdir()) if p.is_file() and p.name[0] != "."]
    by_ending = len({path.stem for path in paths}) < len(paths)
    for path in paths:
        name = path.suffix[1:] if by_ending else path.stem
        lines = list(_lines(path, errors))
        if not lines:
            raise DataError(f"{path}: the class {name!r} has no text")
        for text, place in lines:
            yield name, text, place


def _of(path: Path, errors: str):
    for line, place in _lines(path, errors):
        label, tab, text = line.partition("\t")
        if not tab or not text.strip():
            raise DataError(f"{place} is {line[:40]!r}: must be label, tab, text")
        yield label.strip(), text.strip(), place


def folds_of(labels: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """(N,) the fold of each text, classes spread evenly over them: the texts of a class
    are dealt out in turn, in an order drawn by `seed`."""
    fold_N = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        fold_N[own[shuffled(len(own), seed, int(label))]] = np.arange(len(own)) % folds
    return fold_N


def split_by_fold(
    labels: np.ndarray, fold: int, folds: int, seed: int
) -> dict[str, np.ndarray]:
    """{split: numbers of its texts}: fold `fold` is the test split; of the others one
    in ten is for validation, drawn alike.

    Raises:
      DataError: where a class has too few texts for that.
    """
    least = min(np.bincount(labels))
    if least < folds:
        raise DataError(
            f"the smallest class has {least} texts, too few for {folds} folds "
            "(data.folds)"
        )
    fold_N = folds_of(labels, folds, seed)
    rest = np.flatnonzero(fold_N != fold)
    tenth_N = folds_of(labels[rest], min(10, least - 1), seed + 1)
    return {
        "train": rest[tenth_N > 0],
        "valid": rest[tenth_N == 0],
        "test": np.flatnonzero(fold_N == fold),
    }

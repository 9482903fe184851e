"""Series of numbers: by name or from a CSV file, in three splits, as batches.

A series is cut in its own order: train, then valid, then test. What stands before a
split may be read in order to forecast it, but does not count there.
"""

import csv
import hashlib
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data_pipeline import sunspots
from data_pipeline.dynamics import PERIOD, Truth, lorenz, mackey_glass, seasonal_ar
from data_pipeline.errors import DataError
from data_pipeline.order import random_uniform
from data_pipeline.paths import user_path
from data_pipeline.streams import check_step
from lm.types import Batch

MADE = ("seasonal_ar", "mackey_glass", "lorenz")
NAMES = (*MADE, "sunspots")
LEAST = 30  # values to learn from
Range = tuple[int, int]


class Series(NamedTuple):
    """Numbers in the order of time.

    values   (N,) float64.
    splits   {"train", "valid", "test": (first, end)}, positions.
    ranges   {name: (first, end)}: stretches that are scored apart.
    period   of its season, in steps; 1: it has none.
    start    what the first position is called: a year.
    truth    what the values were drawn from, where that is known.
    """

    name: str
    values: np.ndarray
    splits: dict[str, Range]
    ranges: dict[str, Range]
    period: int = 1
    start: int = 0
    truth: Truth | None = None

    @property
    def fingerprint(self) -> str:
        """A digest of the values and of how they are cut."""
        known = hashlib.sha256(repr(sorted(self.splits.items())).encode())
        known.update(np.ascontiguousarray(self.values, "<f8").tobytes())
        return known.hexdigest()

    def of(self, split: str) -> np.ndarray:
        """The values of a split."""
        first, end = self.splits[split]
        return self.values[first:end]


def made(name: str, length: int) -> Series:
    """One of `MADE`: 80 % to learn from, 10 % each for validation and for the test."""
    truth = None
    if name == "seasonal_ar":
        values, truth = seasonal_ar(length, 0)
    else:
        values = {"mackey_glass": mackey_glass, "lorenz": lorenz}[name](length, 0)
    period = PERIOD if name == "seasonal_ar" else 1
    splits = cut(len(values), 0.1, 0.1, name)
    return Series(name, values, splits, {}, period, truth=truth)


def sunspot_series() -> Series:
    """Yearly sunspot numbers, see `data_pipeline.sunspots`."""

    def positions(years: tuple[int, int]) -> Range:
        first, last = years
        return first - sunspots.FIRST_YEAR, last + 1 - sunspots.FIRST_YEAR

    return Series(
        "sunspots",
        np.array(sunspots.SUNSPOTS, float),
        {
            "train": positions(sunspots.TRAIN),
            "valid": positions(sunspots.VALID),
            "test": positions(sunspots.TEST),
        },
        {f"{years[0]}_{years[1]}": positions(years) for years in sunspots.SCORED},
        sunspots.PERIOD,
        sunspots.FIRST_YEAR,
    )


def from_csv(path: str, column: str, period: int, valid: float, test: float) -> Series:
    """A column of a file, cut by these shares of its length.

    Raises:
      DataError: where it cannot be read, see `read_column`, or is too short.
    """
    values = read_column(path, column, "data.csv")
    name = Path(path).name
    splits = cut(len(values), valid, test, name)
    first, end = splits["train"]
    if np.ptp(values[first:end]) == 0:
        raise DataError(
            f"{name}: all {end} values to learn from are {values[0]:g}: there is "
            "nothing to forecast"
        )
    return Series(name, values, splits, {}, period)


def cut(length: int, valid: float, test: float, name: str) -> dict[str, Range]:
    """Positions of the splits: the shares of valid and test from the end.

    Raises:
      DataError: where a split gets too few values.
    """
    tests, valids = int(length * test), int(length * valid)
    second = length - tests
    first = second - valids
    if first < LEAST or not tests or not valids:
        raise DataError(
            f"{name} has {length} values, which gives {first} to learn from, {valids} "
            f"for validation and {tests} for the test: at least {LEAST}, 1 and 1 are "
            "needed"
        )
    return {"train": (0, first), "valid": (first, second), "test": (second, length)}


def read_column(path: str, column: str = "", option: str = "--input") -> np.ndarray:
    """(N,) numbers from a column of a CSV or TSV file, or from a file of one number a
    line; the first row may name the columns.

    Raises:
      DataError: for a file or column that is not there, and for a gap: a row without a
        finite number in the column.
    """
    given = user_path(path, option)
    if not given.is_file():
        raise DataError(f"{option}: there is no file {path!r}")
    try:
        lines = given.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise DataError(f"{path} is no text in UTF-8: give a CSV file") from None
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise DataError(f"{path} is empty")
    delimiter = max(",;\t", key=lines[0].count)
    rows = list(csv.reader(lines, delimiter=delimiter))
    names = [cell.strip() for cell in rows[0]]
    headed = any(_number(name) is None for name in names)
    at = _column_at(path, column, names if headed else [], len(names))
    values = []
    for line, row in enumerate(rows[headed:], 1 + headed):
        cell = row[at].strip() if at < len(row) else ""
        value = _number(cell)
        if value is None:
            what = f"{cell!r} is no number" if cell else "there is no value"
            raise DataError(
                f"{path}, line {line}: {what}; a series must have no gaps, so fill "
                "them in or give a stretch without any"
            )
        values.append(value)
    return np.array(values, float)


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _column_at(path: str, column: str, names: list[str], count: int) -> int:
    if column and column in names:
        return names.index(column)
    if not column and count == 1:
        return 0
    have = ", ".join(names) or f"{count}, without names in its first row"
    lack = f"no column {column!r}" if column else f"{count} columns"
    raise DataError(f"{path} has {lack}; its columns: {have}; set data.column")


class SeriesWindows:
    """For training: windows at random places of a stretch, B a batch; the first
    `burn_in` forecasts of a window do not count, since little was read before them.

    An epoch is `steps` batches; each is a function of (seed, epoch, step).
    """

    def __init__(
        self,
        values: np.ndarray,
        batch: int,
        window: int,
        burn_in: int,
        steps: int,
    ) -> None:
        self.values, self.batch, self.steps = values, batch, steps
        self.window = min(window, len(values) - 1)
        self.burn_in = min(burn_in, self.window - 1)

    def batch_at(self, seed: int, epoch: int, step: int) -> Batch:
        """Batch `step` < `steps`: inputs (T, B, 1), targets and mask (T, B)."""
        check_step(step, self.steps)
        places = len(self.values) - self.window
        drawn_B = random_uniform(self.batch, seed, epoch, step)
        mask_T = np.arange(self.window) >= self.burn_in
        return windows_at(
            self.values, (drawn_B * places).astype(int), self.window, mask_T
        )


class WholeStretch:
    """For an evaluation: a stretch in one lane, with up to `context` values before it
    (0: all that there are) that are read first."""

    batch = steps = 1

    def __init__(self, values: np.ndarray, stretch: Range, context: int = 0) -> None:
        first, end = stretch
        self.values, self.first, self.end = values, first, end
        before = first - 1 if not context else min(first - 1, context)
        self.begin = first - 1 - before

    def batch_at(self, seed: int, epoch: int, step: int) -> Batch:
        """The one batch."""
        check_step(step, self.steps)
        steps = self.end - 1 - self.begin
        mask_T = np.arange(steps) >= self.first - 1 - self.begin
        return windows_at(self.values, np.array([self.begin]), steps, mask_T)


def windows_at(
    values: np.ndarray, start_B: np.ndarray, steps: int, mask_T: np.ndarray
) -> Batch:
    """Windows of T values from start_B on, and the value after each."""
    at_TB = start_B + np.arange(steps)[:, None]
    mask_TB = np.broadcast_to(mask_T[:, None], at_TB.shape).astype(np.float32)
    return Batch(
        values[at_TB][..., None].astype(np.float32),
        values[at_TB + 1].astype(np.float32),
        mask_TB,
        np.ones(len(start_B), bool),
    )

"""Pictures of handwritten digits beside and below each other, and what they show.

A scene has 1 to `most` digits, each in a cell of a grid, from scikit-learn's 1,797 of
8 by 8 (Alpaydin & Kaynak 1998). It is told in reading order, each digit by where it
stands to the next: `a seven left of a two above and right of an eight`. Digits of the
validation and test splits are in no scene that is trained on.
"""

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from sklearn.datasets import load_digits

from data_pipeline.grid import SIDE, Grid
from data_pipeline.order import random_uniform
from data_pipeline.pairs import encode_lines, padded
from data_pipeline.vocabulary import EOS_ID, Vocabulary, build_vocabulary
from lm.types import Pairs

NUMBERS = "zero one two three four five six seven eight nine".split()
WORDS = (*NUMBERS, "a", "an", "left", "right", "above", "and", "of")
FIRST = {"train": 0, "valid": 1_257, "test": 1_437}  # of 1,797, in their own order
STREAMS = {"train": 0, "valid": 1, "test": 2}


class Scene(NamedTuple):
    """A picture, its digits as (row, column, digit) in reading order, and its text."""

    picture: np.ndarray
    digits: list[tuple[int, int, int]]
    text: str


@cache
def digits(split: str) -> tuple[np.ndarray, np.ndarray]:
    """(pictures (N, 8, 8) in [0, 1], digits (N,)) of a split."""
    found: Any = load_digits()
    ends = [*FIRST.values(), len(found.target)]
    own = slice(FIRST[split], ends[list(FIRST).index(split) + 1])
    return found.images[own].astype(np.float32) / 16, found.target[own]


def describe(placed: list[tuple[int, int, int]]) -> str:
    """The text of digits (row, column, digit) in reading order."""
    words: list[str] = []
    for number, (row, column, digit) in enumerate(placed):
        if number:
            row_before, column_before, _ = placed[number - 1]
            words += ["above"] if row > row_before else []
            if column != column_before:
                words += ["and"] if row > row_before else []
                words += ["left", "of"] if column > column_before else ["right", "of"]
        name = NUMBERS[digit]
        words += ["an" if name == "eight" else "a", name]
    return " ".join(words)


def make_scene(grid: Grid, split: str, *key: int) -> Scene:
    """The scene of a key: the same for the same key, wherever it is made."""
    pictures, labels = digits(split)
    cells = grid.rows * grid.columns
    chance = random_uniform(1 + cells + 3 * grid.most, STREAMS[split], *key)
    count = 1 + int(chance[0] * grid.most)
    chosen = np.sort(np.argsort(chance[1 : 1 + cells], kind="stable")[:count])
    picture, placed = np.zeros(grid.shape, np.float32), []
    for cell, draw in zip(chosen, chance[1 + cells :].reshape(-1, 3), strict=False):
        number = int(draw[0] * len(labels))
        row, column = divmod(int(cell), grid.columns)
        down, right = (int(x * (2 * grid.jitter + 1)) for x in draw[1:])
        top, left = row * grid.cell + down, column * grid.cell + right
        picture[top : top + SIDE, left : left + SIDE] = pictures[number]
        placed.append((row, column, int(labels[number])))
    if grid.noise:
        pair = random_uniform(2 * picture.size, 7, STREAMS[split], *key).reshape(2, -1)
        normal = np.sqrt(-2 * np.log(pair[0])) * np.cos(2 * np.pi * pair[1])
        picture += (grid.noise * normal).reshape(picture.shape).astype(np.float32)
    return Scene(picture, placed, describe(placed))


def vocabulary() -> Vocabulary:
    """The words that scenes are told in."""
    return build_vocabulary(dict.fromkeys(WORDS, 1), 1, tokenizer="whitespace")


def longest(grid: Grid) -> int:
    """Most words of a text, its `<eos>` included."""
    return 2 * grid.most + 4 * (grid.most - 1) + 1


class Scenes:
    """A reading of scenes, drawn anew in each epoch of training; an evaluation's, so
    many, are the same each time.

    Args:
      count: scenes of an evaluation; 0: of training, `steps` batches an epoch.
    """

    def __init__(
        self, grid: Grid, split: str, batch: int, steps: int = 0, count: int = 0
    ) -> None:
        self.grid, self.split, self.batch, self.count = grid, split, batch, count
        self.steps = -(-count // batch) if count else steps
        self._words = vocabulary()

    def batch_at(self, seed: int, epoch: int, step: int) -> Pairs:
        """Batch `step` < `steps` of an epoch."""
        key = (0, 0) if self.count else (seed, epoch + 1)
        first = step * self.batch
        lanes = min(self.batch, self.count - first) if self.count else self.batch
        scenes = [
            make_scene(self.grid, self.split, *key, first + n) for n in range(lanes)
        ]
        return told(scenes, self.grid, self._words, self.batch)


def told(scenes: list[Scene], grid: Grid, words: Vocabulary, lanes: int) -> Pairs:
    """Scenes in the first of so many lanes, rows of pixels in place of steps; the
    others are empty."""
    tokens = encode_lines([scene.text for scene in scenes], words)
    targets_TB, mask_TB = padded(tokens, np.arange(len(scenes)), longest(grid), lanes)
    source = np.zeros((grid.shape[0], lanes, grid.shape[1]), np.float32)
    for lane, scene in enumerate(scenes):
        source[:, lane] = scene.picture
    first_1B = np.full((1, lanes), EOS_ID, np.int32)
    return Pairs(
        source=source,
        source_mask=np.ones(source.shape[:2], np.float32),
        inputs=np.concatenate([first_1B, targets_TB[:-1]]),
        targets=targets_TB,
        mask=mask_TB,
        own=np.zeros_like(mask_TB),
    )

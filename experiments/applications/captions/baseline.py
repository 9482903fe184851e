"""Reading scenes without a neural network: the ceiling of who must read each digit.

A support vector machine reads each cell that has ink in it, moved so that the middle of
its ink is the middle of the picture; the text follows by rule. It is told the grid,
which the network has to find.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from sklearn.svm import SVC

from data_pipeline.grid import SIDE, Grid
from data_pipeline.scenes import Scene, describe, digits

INK = 8.0  # in a digit at least; the emptiest of all has 14
FAINT = 0.25  # what is less counts as no ink


@cache
def reader() -> SVC:
    """A machine with a Gaussian kernel, trained on the training split's digits."""
    pictures, labels = digits("train")
    middled_ND = np.array([middled(picture).ravel() for picture in pictures])
    return SVC(C=10, gamma="scale").fit(middled_ND, labels)


def middled(picture: np.ndarray) -> np.ndarray:
    """(SIDE, SIDE) around the middle of the ink."""
    ink = np.where(picture > FAINT, picture, 0)
    sums = ink.sum(axis=1), ink.sum(axis=0)
    around = np.pad(ink, SIDE)
    top, left = (
        round(float(side @ np.arange(len(side)) / side.sum())) + SIDE // 2
        for side in sums
    )
    return around[top : top + SIDE, left : left + SIDE]


def read(picture: np.ndarray, grid: Grid) -> str:
    """The text of a scene."""
    placed, found, side = [], [], grid.cell
    for row in range(grid.rows):
        for column in range(grid.columns):
            cell = picture[row * side :, column * side :][:side, :side]
            if cell[cell > FAINT].sum() > INK:
                placed.append((row, column))
                found.append(middled(cell).ravel())
    if not found:
        return ""
    answers = reader().predict(np.array(found))
    return describe(
        [(*place, int(d)) for place, d in zip(placed, answers, strict=True)]
    )


def read_all(scenes: Sequence[Scene], grid: Grid) -> list[str]:
    """The texts of scenes."""
    return [read(scene.picture, grid) for scene in scenes]

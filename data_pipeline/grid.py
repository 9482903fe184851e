"""What scenes are like (data_pipeline.scenes), as plain numbers."""

from typing import NamedTuple

from data_pipeline.errors import DataError

SIDE = 8  # pixels of a digit


class Grid(NamedTuple):
    """What scenes are like.

    rows, columns  of cells.
    most           digits in a scene at most.
    jitter         pixels that a digit may stand off the middle of its cell, each way.
    noise          standard deviation of what is added to each pixel; ink is 1.
    """

    rows: int
    columns: int
    most: int
    jitter: int = 0
    noise: float = 0.0

    @property
    def cell(self) -> int:
        """Pixels of a cell's side."""
        return SIDE + 2 * self.jitter

    @property
    def shape(self) -> tuple[int, int]:
        """Pixels of a scene, rows and columns."""
        return self.rows * self.cell, self.columns * self.cell


def check_grid(grid: Grid) -> None:
    """Raises DataError where a scene has fewer cells than digits."""
    cells = grid.rows * grid.columns
    if grid.most > cells:
        raise DataError(
            f"data.most is {grid.most}, but a grid of {grid.rows} by {grid.columns} "
            f"has {cells} cells: raise data.rows or data.columns, or lower data.most"
        )

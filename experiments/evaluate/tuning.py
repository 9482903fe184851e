"""What is chosen on validation text: numbers from grids, weights by EM."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple


class Found(NamedTuple):
    """The values chosen, their loss, and all that were tried: [(values, loss)]."""

    values: dict[Any, float]
    loss: float
    tried: list[tuple[dict[Any, float], float]]


def climb(
    grids: Mapping[Any, Sequence[float]],
    begin: Mapping[Any, float],
    loss: Callable[[dict[Any, float]], float],
) -> Found:
    """From grid value to neighbouring grid value, one name at a time, for as long as
    the loss falls: at its end no neighbour is better. A loss of nan counts as inf, and
    none is computed twice.

    grids  {name: its values in ascending order}.
    """
    known: dict[tuple[float, ...], float] = {}
    names = list(grids)

    def loss_at(values: dict[Any, float]) -> float:
        key = tuple(values[name] for name in names)
        if key not in known:
            value = loss(values)
            known[key] = math.inf if math.isnan(value) else value
        return known[key]

    now = {name: begin[name] for name in names}
    best, moved = loss_at(now), True
    while moved:
        moved = False
        for name in names:
            for way in (1, -1):
                while (value := _neighbour(grids[name], now[name], way)) is not None:
                    there = now | {name: value}
                    if not loss_at(there) < best:
                        break
                    now, best, moved = there, loss_at(there), True
    tried = [
        (dict(zip(names, key, strict=True)), value) for key, value in known.items()
    ]
    return Found(now, best, tried)


def edges(grids: Mapping[Any, Sequence[float]], values: Mapping) -> list[Any]:
    """The names whose value is the first or last of a grid of several, but for 0, below
    which there is nothing."""
    return [
        name
        for name, grid in grids.items()
        if len(grid) > 1 and values[name] in {grid[0], grid[-1]} - {0}
    ]


def _neighbour(grid: Sequence[float], value: float, way: int) -> float | None:
    at = grid.index(value) + way
    return grid[at] if 0 <= at < len(grid) else None

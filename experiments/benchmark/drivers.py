"""The driver of each cell against the plain scan: value and gradient of the recurrence
alone, at five shapes; of factored cells also with gates kept for the backward pass
against gates made anew in it (`Cell.recompute`)."""

from collections.abc import Callable, Sequence
from statistics import geometric_mean
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from experiments.benchmark import Benchmark
from experiments.benchmark.common import work_space
from experiments.results.markdown import markdown, measured
from experiments.results.rows import Row
from experiments.results.timing import interleaved, milliseconds
from experiments.run.files import plain
from lm.cells import CELLS, make_cell
from lm.types import Cell
from lm.unroll import (
    Driver,
    StepEvents,
    default_driver,
    deferred,
    scanned,
    unroll_projected,
)

ROUNDS = 7


class Shape(NamedTuple):
    """One layer's: units H, lanes B, steps T."""

    hidden: int
    lanes: int
    steps: int

    def __str__(self) -> str:
        return "H {}, B {}, T {}".format(*self)


# Zaremba's small and medium models, two of characters, and a narrow one: under 128
# units some cells keep their gates (`lm.cells.forms.WIDE`).
SHAPES = (
    Shape(200, 20, 20),
    Shape(650, 20, 35),
    Shape(128, 50, 50),
    Shape(512, 50, 50),
    Shape(84, 32, 50),
)


def measure() -> dict[str, Any]:
    """{"cells": {cell: {shape: see `compared`}}}."""
    found: dict[str, Any] = {}
    for name in driven_cells():
        found[name] = {}
        for shape in SHAPES:
            found[name][str(shape)] = told = compared(name, shape, ROUNDS)
            print(name, shape, told, flush=True)
    return {"cells": found}


def driven_cells() -> list[str]:
    """The names of the cells that go by another driver than the plain scan."""
    steps = SHAPES[0].steps
    cells = {name: make_cell(name, 4) for name in CELLS}
    drivers = {n: default_driver(c, StepEvents(), steps) for n, c in cells.items()}
    return [name for name, driver in drivers.items() if driver is not scanned]


def ways_of(cell: Cell, steps: int) -> dict[str, tuple[Cell, Driver]]:
    """{way: the cell and its driver}: "ours", the default, and "scan"; of a factored
    cell "kept" or "anew" as well, whichever is not the default."""
    ways = {
        "ours": (cell, default_driver(cell, StepEvents(), steps)),
        "scan": (cell, scanned),
    }
    if cell.pointwise:
        other = "kept" if cell.recompute else "anew"
        ways[other] = (cell._replace(recompute=not cell.recompute), deferred)
    return ways


def compared(name: str, shape: Shape, rounds: int) -> dict[str, Any]:
    """All ways taking turns: {way: {"median", "minimum" in ms, "megabytes" of work
    space, "over_ours": by minima, "difference": the largest of a gradient from ours
    over its largest entry}}."""
    cell = make_cell(name, shape.hidden)
    made = {
        way: gradient_of(*given, shape)
        for way, given in ways_of(cell, shape.steps).items()
    }
    calls = {way: call for way, (call, _) in made.items()}
    ours = jax.tree.leaves(calls["ours"]())
    found: dict[str, Any] = {}
    for way, (call, space) in made.items():
        pairs = zip(ours, jax.tree.leaves(call()), strict=True)
        apart = max(float(jnp.abs(a - b).max() / jnp.abs(a).max()) for a, b in pairs)
        found[way] = {
            "megabytes": plain(space / 1e6, 3),
            "difference": plain(apart, 2),
        }
    seconds = interleaved(calls, rounds)
    least = float(seconds["ours"].min())
    for way, taken in seconds.items():
        ratio = round(float(taken.min()) / least, 3)
        found[way] |= milliseconds(taken) | {"over_ours": ratio}
    return found


def gradient_of(
    cell: Cell, driver: Driver, shape: Shape
) -> tuple[Callable[[], Any], int]:
    """(a call that waits for value and gradient, XLA's work space in bytes): in the
    parameters, zs and the first state. Of the mean cube: where a cell's output is
    normed, that of squares depends on nothing."""
    H, B, T = shape
    params = cell.init(jax.random.key(0), H)
    xs_TBH = jax.random.normal(jax.random.key(1), (T, B, H))
    given = params, cell.project(params, xs_TBH), cell.initial_state(params, B)

    def loss(params, zs, state):
        state, hs = unroll_projected(cell, params, zs, state, driver=driver)
        return jnp.mean(hs**3)

    gradient = jax.jit(jax.value_and_grad(loss, (0, 1, 2))).lower(*given).compile()
    return lambda: jax.block_until_ready(gradient(*given)), work_space(gradient)


def table(rows: Sequence[Row]) -> str:
    """How many times as long the others take, a line a cell."""
    (row,) = rows
    cells, lines = row["metrics"]["cells"], []
    for name, by_shape in cells.items():
        gains = [own["scan"]["over_ours"] for own in by_shape.values()]
        told = (ratios(own) for own in by_shape.values())
        lines.append(
            (f"`{name}`", gates_of(name), *told, f"{geometric_mean(gains):.2f}×")
        )
    shapes = next(iter(cells.values()))
    head = ("cell", "gates", *shapes, "scan, geometric mean")
    return f"{markdown(head, lines)}\n{measured(row)}\n"


def gates_of(name: str) -> str:
    """What becomes of a factored cell's gates until the backward pass."""
    cells = {shape.hidden: make_cell(name, shape.hidden) for shape in SHAPES}
    anew = [hidden for hidden, cell in cells.items() if cell.recompute]
    if not any(cell.pointwise for cell in cells.values()):
        return "–"
    if not anew or len(anew) == len(cells):
        return "anew" if anew else "kept"
    return f"anew from H {min(anew)}"


def ratios(found: dict[str, Any]) -> str:
    """That of the plain scan, and of the other way with gates."""
    others = ("scan", "kept", "anew")
    return ", ".join(f"{found[w]['over_ours']:.2f}×" for w in others if w in found)


BENCHMARK = Benchmark(measure, table)

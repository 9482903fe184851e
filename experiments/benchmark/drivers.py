"""Gates kept for the backward pass against gates made anew in it (`Cell.recompute`):
value and gradient of the recurrence alone, for every factored cell and four shapes."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from experiments.benchmark import Benchmark
from experiments.benchmark.common import work_space
from experiments.results.markdown import markdown, measured
from experiments.results.rows import Row
from experiments.results.timing import interleaved, milliseconds
from lm.cells import CELLS, make_cell
from lm.types import Cell
from lm.unroll import deferred, unroll_projected

ROUNDS = 11


class Shape(NamedTuple):
    """One layer's: units H, lanes B, steps T."""

    hidden: int
    lanes: int
    steps: int

    def __str__(self) -> str:
        return "H {}, B {}, T {}".format(*self)


# Zaremba's small and medium models, and two of characters.
SHAPES = (
    Shape(200, 20, 20),
    Shape(650, 20, 35),
    Shape(128, 50, 50),
    Shape(512, 50, 50),
)


def measure() -> dict[str, Any]:
    """{"cells": {cell: {shape: see `compared`}}}."""
    found: dict[str, Any] = {}
    for name in factored_cells():
        found[name] = {}
        for shape in SHAPES:
            found[name][str(shape)] = told = compared(name, shape, ROUNDS)
            print(name, shape, told, flush=True)
    return {"cells": found}


def factored_cells() -> list[str]:
    """The names of the cells that have the choice."""
    return [name for name in CELLS if make_cell(name, 4).pointwise]


def compared(name: str, shape: Shape, rounds: int) -> dict[str, Any]:
    """Both ways taking turns: ms of "kept" and "anew", "gain" (minimum kept / minimum
    anew: above 1 anew is faster), "megabytes" of work space of both, and "difference",
    the largest of a gradient between the two over its largest entry."""
    cell = make_cell(name, shape.hidden)
    calls, megabytes = {}, {}
    for way, recompute in {"kept": False, "anew": True}.items():
        calls[way], size = gradient_of(cell._replace(recompute=recompute), shape)
        megabytes[way] = round(size / 1e6, 2)
    kept, anew = (jax.tree.leaves(call()) for call in calls.values())
    pairs = zip(kept, anew, strict=True)
    difference = max(float(jnp.abs(k - a).max() / jnp.abs(k).max()) for k, a in pairs)
    seconds = interleaved(calls, rounds)
    fastest = {way: float(s.min()) for way, s in seconds.items()}
    return {
        **{way: milliseconds(s) for way, s in seconds.items()},
        "gain": round(fastest["kept"] / fastest["anew"], 3),
        "megabytes": megabytes,
        "difference": float(f"{difference:.1e}"),
    }


def gradient_of(cell: Cell, shape: Shape) -> tuple[Callable[[], Any], int]:
    """(a call that waits for value and gradient, XLA's work space in bytes): in the
    parameters, zs and the first state."""
    H, B, T = shape
    params = cell.init(jax.random.key(0), H)
    xs_TBH = jax.random.normal(jax.random.key(1), (T, B, H))
    given = params, cell.project(params, xs_TBH), cell.initial_state(params, B)

    def loss(params, zs, state):
        state, hs = unroll_projected(cell, params, zs, state, driver=deferred)
        return jnp.mean(hs**2)

    gradient = jax.jit(jax.value_and_grad(loss, (0, 1, 2))).lower(*given).compile()
    return lambda: jax.block_until_ready(gradient(*given)), work_space(gradient)


def table(rows: Sequence[Row]) -> str:
    """How many times as long kept gates take, a line a cell."""
    (row,) = rows
    cells, lines = row["metrics"]["cells"], []
    for name, by_shape in cells.items():
        gains = [own["gain"] for own in by_shape.values()]
        mean = math.exp(sum(map(math.log, gains)) / len(gains))
        now = "anew" if make_cell(name, 4).recompute else "kept"
        lines.append((f"`{name}`", now, *(f"{gain:.2f}×" for gain in (*gains, mean))))
    shapes = next(iter(cells.values()))
    head = ("kept / anew", "the code", *shapes, "geometric mean")
    return f"{markdown(head, lines)}\n{measured(row)}\n"


BENCHMARK = Benchmark(measure, table)

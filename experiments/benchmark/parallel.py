"""All steps at once against one after another: time by T, for a cell of each kind.

Value and gradient of one layer (H = 64, 4 lanes) by the step-by-step driver and by the
parallel one, the two taking turns. `lm.linear.AT_ONCE_FROM` is the rows' `fastest`.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from experiments.benchmark import Benchmark
from experiments.results.markdown import markdown
from experiments.results.rows import Row
from experiments.results.timing import interleaved, milliseconds, ratio
from lm.cells import make_cell
from lm.linear import ELEMENTWISE, PRODUCTS, associated, sequential
from lm.unroll import Driver, chunked, scanned, unroll

STEPS = (64, 256, 1024, 4096, 16_384)
HIDDEN, LANES = 64, 4

# cell: step by step, many or all at once.
CASES: dict[str, tuple[Driver, Driver]] = {
    "min_gru": (sequential, associated),
    "lru": (sequential, associated),
    "mlstm": (scanned, chunked),
    "hgrn2": (scanned, chunked),
    "gated_delta_net": (scanned, chunked),
}


def measure() -> dict[str, Any]:
    """{cell: {T: both ways' ms, and how many times as long the first takes}}."""
    found: dict[str, Any] = {}
    for name, (one_by_one, at_once) in CASES.items():
        found[name] = {}
        for steps in STEPS:
            sides = {
                "one_by_one": gradient_of(name, steps, one_by_one),
                "at_once": gradient_of(name, steps, at_once),
            }
            seconds = interleaved(sides, rounds=11 if steps <= 1024 else 5)
            told: dict[str, Any] = {
                side: milliseconds(s) for side, s in seconds.items()
            }
            told["gain"] = ratio(seconds["one_by_one"], seconds["at_once"])
            found[name][str(steps)] = told
            print(name, steps, told, flush=True)
    return found


def gradient_of(name: str, steps: int, driver: Driver):
    """A call that computes value and gradient once, by this driver."""
    cell = make_cell(name, HIDDEN)
    params = cell.init(jax.random.key(0), HIDDEN)
    xs = jax.random.normal(jax.random.key(1), (steps, LANES, HIDDEN))

    def loss(params, xs):
        state = cell.initial_state(params, LANES)
        return jnp.mean(unroll(cell, params, xs, state, driver=driver)[1] ** 2)

    both = jax.jit(jax.value_and_grad(loss, (0, 1)))
    return lambda: jax.block_until_ready(both(params, xs))


def fastest(rows: Sequence[Row]) -> dict[str, dict[str, int]]:
    """{device: {what ∘ is: the least T from which on all steps at once took less time,
    at every T measured}}, of what `lm.unroll.default_driver` chooses between."""
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        least = found.setdefault(device_of(row), {})
        for name, by_steps in row["metrics"].items():
            if CASES[name] != (sequential, associated):
                continue
            slower = [int(T) for T, told in by_steps.items() if told["gain"] <= 1]
            faster = [int(T) for T in by_steps if int(T) > max(slower, default=0)]
            if faster:
                least[product_of(name)] = min(faster)
    return found


def product_of(cell: str) -> str:
    """What ∘ of a linear cell is called."""
    own = make_cell(cell, HIDDEN).product or ELEMENTWISE
    return next(name for name, product in PRODUCTS.items() if product is own)


def device_of(row: Row) -> str:
    """Where a row was measured: "cpu", "gpu"."""
    return row["name"].removeprefix("benchmark_parallel").strip("_") or "cpu"


def table(rows: Sequence[Row]) -> str:
    """ms one by one / at once, by T."""
    lines = []
    for row in rows:
        for name, by_steps in row["metrics"].items():
            told = [name, device_of(row)]
            for steps in STEPS:
                one = by_steps.get(str(steps))
                told.append("–" if one is None else cut(one))
            lines.append(told)
    return markdown(("cell", "device", *(f"T = {steps:,}" for steps in STEPS)), lines)


def cut(told: dict[str, Any]) -> str:
    """ "12 / 3.4 (3.5×)": ms of both ways, and the gain."""
    one, other = (told[side]["median"] for side in ("one_by_one", "at_once"))
    return f"{one:.3g} / {other:.3g} ({told['gain']:.2f}×)"


BENCHMARK = Benchmark(measure, table, row="benchmark_{name}{on}")

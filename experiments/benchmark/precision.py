"""A training step with the products of its gradient in float32 and in bfloat16
(`--optim.precision`), taking turns, and how far the two gradients are apart.

The models of the suite `lm`, with LSTMs, GRUs and tanh cells. What becomes of
perplexities, and of gradients many steps back, asks the study `precision`.
"""

from collections.abc import Sequence
from statistics import geometric_mean
from typing import Any

import jax
import jax.numpy as jnp

from experiments.benchmark import Benchmark
from experiments.benchmark.common import batch_for
from experiments.benchmark.peers import product_peak
from experiments.peers.case import Case, in_bfloat16
from experiments.peers.ours import trainer
from experiments.peers.suites import lm_cases, of_each_cell
from experiments.results.markdown import markdown, measured
from experiments.results.rows import Row
from experiments.results.timing import interleaved, milliseconds, ratio
from experiments.run.files import plain
from lm.models.language_model import build
from lm.train import make_gradient
from lm.types import Params

ROUNDS = 9


def measure() -> dict[str, Any]:
    """{"peak_gflops": {precision: of one large product}, "cases": see `compared`}."""
    found: dict[str, Any] = {
        "peak_gflops": {
            precision: round(product_peak(precision) / 1e9, 1)
            for precision in ("float32", "bfloat16")
        },
        "cases": {},
    }
    print(found["peak_gflops"], flush=True)
    for name, case in of_each_cell(lm_cases).items():
        found["cases"][name] = compared(case)
        print(name, found["cases"][name], flush=True)
    return found


def compared(case: Case) -> dict[str, Any]:
    """{"float32", "bfloat16": {"median", "minimum"} in ms, "gain", "distance": |a − b|
    over |b| of the gradients of the first batch}."""
    batch, half = batch_for(case), in_bfloat16(case)
    sides = {
        own.optim.precision: trainer(own, batch, None, norms=True)
        for own in (case, half)
    }
    seconds = interleaved(sides, ROUNDS)
    told: dict[str, Any] = {name: milliseconds(s) for name, s in seconds.items()}
    told["gain"] = ratio(seconds["float32"], seconds["bfloat16"])
    ours, theirs = gradient_of(half), gradient_of(case)
    apart = jax.tree.map(jnp.subtract, ours, theirs)
    return told | {"distance": plain(length(apart) / length(theirs), 3)}


def gradient_of(case: Case) -> Params:
    """That of a case's batch at the initial parameters."""
    problem = build(case.model, case.vocabulary).problem
    params, batch = problem.init(jax.random.key(0), None), batch_for(case)
    gradient = jax.jit(make_gradient(problem, case.optim))
    carry = problem.carry(params, case.lanes)
    return gradient(params, carry, batch, None, None)[0]


def length(tree: Params) -> float:
    """The norm over all leaves."""
    return sum(float(jnp.sum(leaf**2)) for leaf in jax.tree.leaves(tree)) ** 0.5


def table(rows: Sequence[Row]) -> str:
    """Both times, the gain, and how far gradients are apart."""
    (row,) = rows
    found = row["metrics"]
    cases, peak = found["cases"], found["peak_gflops"]
    lines = [
        (
            name.replace("_", " "),
            *(f"{case[side]['median']:.3g}" for side in ("float32", "bfloat16")),
            f"{case['gain']:.2f}×",
            f"{case['distance']:.1%}",
        )
        for name, case in cases.items()
    ]
    mean = geometric_mean(case["gain"] for case in cases.values())
    speeds = (f"{peak[side]:.0f} GFLOP/s" for side in ("float32", "bfloat16"))
    gain = f"{peak['bfloat16'] / peak['float32']:.2f}×"
    lines += [
        ("geometric mean", "", "", f"{mean:.2f}×", ""),
        ("one product of 2,048 × 2,048", *speeds, gain, ""),
    ]
    head = ("ms a step", "float32", "bfloat16", "gain", "gradients apart")
    return f"{markdown(head, lines)}\n{measured(row)}\n"


BENCHMARK = Benchmark(measure, table)

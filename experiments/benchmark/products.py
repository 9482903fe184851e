"""The products of a recurrence, one after another: h·W, and wᵀ·hᵀ, which
`lm.products.product_in_loop` takes for large weights on a CPU.

Beside the times the FLOP/s of h·W as a share of one large product's: what a recurrence
of that shape can come to at most, whatever is done to all the rest of a step.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from experiments.benchmark import Benchmark
from experiments.benchmark.peers import product_peak
from experiments.results.markdown import markdown, measured
from experiments.results.rows import Row
from experiments.results.timing import interleaved, milliseconds, ratio
from lm.products import (
    as_left_factor,
    as_right_factor,
    left_pays,
    left_pays_back,
)
from lm.types import Array

STEPS, ROUNDS = 35, 7
SIZES = ((128, 512), (200, 800), (512, 2048), (1024, 4096), (1500, 6000), (2048, 8192))
LANES = (1, 8, 20, 32, 64)


def measure() -> dict[str, Any]:
    """{"peak_gflops", "cases": {"H G B": see `times`}}."""
    peak = product_peak()
    cases = {}
    for hidden, gates in SIZES:
        for lanes in LANES:
            name = f"{hidden} {gates} {lanes}"
            cases[name] = times(hidden, gates, lanes, peak)
            print(name, cases[name], flush=True)
    return {"peak_gflops": round(peak / 1e9, 1), "cases": cases}


def times(hidden: int, gates: int, lanes: int, peak: float) -> dict[str, Any]:
    """{"forward", "backward"}: {"right", "left"} in ms a product, "right_over_left" and
    "share" of the peak; forward (B, H)·(H, G), backward (B, G)·(H, G)ᵀ."""
    w_HG = jax.random.normal(jax.random.key(0), (hidden, gates)) / hidden**0.5
    found = {}
    for name, transposed in {"forward": False, "backward": True}.items():
        sides = {
            "right": repeated(as_right_factor, w_HG, lanes, transposed),
            "left": repeated(as_left_factor, w_HG, lanes, transposed),
        }
        seconds = {n: s / STEPS for n, s in interleaved(sides, ROUNDS).items()}
        told: dict[str, Any] = {n: milliseconds(s) for n, s in seconds.items()}
        told["right_over_left"] = ratio(seconds["right"], seconds["left"])
        flops = 2.0 * lanes * hidden * gates / float(seconds["right"].min())
        found[name] = told | {"share": round(flops / peak, 3)}
    return found


def repeated(
    way: Callable[..., Any], w_HG: Array, lanes: int, transposed: bool
) -> Callable[[], Any]:
    """What waits for STEPS products, each of a tanh of the one before, and for what
    comes before the first: the weights' transpose, where the way wants it."""
    rows, columns = w_HG.shape[::-1] if transposed else w_HG.shape

    @jax.jit
    def steps(w_HG: Array, x: Array) -> Array:
        by_w = way(w_HG.T if transposed else w_HG)

        def body(x: Array, _: None) -> tuple[Array, None]:
            y = jnp.tanh(by_w(x))
            wide = jnp.concatenate([y] * max(1, rows // columns), axis=1)
            return wide[:, :rows], None

        return lax.scan(body, x, length=STEPS)[0]

    x = jax.random.normal(jax.random.key(1), (lanes, rows))
    return lambda: jax.block_until_ready(steps(w_HG, x))


def sizes_of(name: str) -> tuple[int, int, int]:
    """H, G and B of a case."""
    hidden, gates, lanes = map(int, name.split())
    return hidden, gates, lanes


def chosen(name: str) -> dict[str, bool]:
    """Whether `lm.products` takes wᵀ·hᵀ in a case: {"forward", "backward"}."""
    hidden, gates, lanes = sizes_of(name)
    size = 4 * hidden * gates
    return {
        "forward": left_pays(size, STEPS, lanes),
        "backward": left_pays_back(size, lanes),
    }


def table(rows: Sequence[Row]) -> str:
    """Times of h·W, and how many times as long it takes as wᵀ·hᵀ; bold where taken."""
    (row,) = rows
    lines = []
    for name, case in row["metrics"]["cases"].items():
        hidden, gates, lanes = sizes_of(name)
        cells = [f"{hidden} × {gates}", f"{4e-6 * hidden * gates:.3g}", str(lanes)]
        for side, left in chosen(name).items():
            told = case[side]
            gain = f"{told['right_over_left']:.2f}×"
            ms, share = f"{told['right']['minimum']:.3g}", f"{told['share']:.0%}"
            cells += [ms, share, f"**{gain}**" if left else gain]
        lines.append(cells)
    head = ("W", "MB", "B", "h·W, ms", "of peak", "over wᵀ·hᵀ")
    head += ("δ·wᵀ, ms", "of peak", "over w·δᵀ")
    return f"{markdown(head, lines)}\n{measured(row)}\n"


BENCHMARK = Benchmark(measure, table)

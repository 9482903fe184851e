"""Whether a training step takes as much longer as there is more to do: its time against
steps T, lanes B, units H, vocabulary V and layers L, one of them at a time."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.benchmark import Benchmark
from experiments.benchmark.common import batch_for, work_space
from experiments.figures.style import line_style, new_figure, styled
from experiments.peers.case import Case
from experiments.peers.ours import NORMS, own_sides
from experiments.peers.suites import flop
from experiments.results.markdown import markdown, measured
from experiments.results.rows import Row
from experiments.results.timing import interleaved, milliseconds
from experiments.run.files import plain
from lm.config import ModelConfig, OptimConfig

BASE = Case(64, 64, 16, ModelConfig(hidden=256, embedding=256), OptimConfig("sgd", 0.1))
ALONG = {
    "T": (64, 256, 1_024, 10_000, 100_000),
    "B": (16, 64, 256, 1_024),
    "H": (256, 512, 1_024, 2_048),
    "V": (64, 1_000, 10_000, 100_000),
    "L": (1, 2, 4, 8),
}
LONG = 4  # lanes while T grows: the largest has to fit into memory
ROUNDS = 5


def case_of(along: str, size: int) -> Case:
    """The base with one of its sizes changed."""
    change = {"T": "steps", "B": "lanes", "V": "vocabulary"}
    lanes = LONG if along == "T" else BASE.lanes
    if along in change:
        return BASE._replace(**{"lanes": lanes, change[along]: size})
    given = {"layers": size} if along == "L" else {"hidden": size, "embedding": size}
    return BASE._replace(model=dataclasses.replace(BASE.model, **given))


def measure() -> dict[str, Any]:
    """{along: {size: {"median", "minimum" in ms, "gflop", "work_space_mb",
    "over_work": how many times as long a step takes as the size before, over how many
    times as much there is to do}}}."""
    return {name: along(name, sizes) for name, sizes in ALONG.items()}


def along(name: str, sizes: Sequence[int]) -> dict[str, Any]:
    """One of the sizes growing."""
    found: dict[str, Any] = {}
    before = None
    for size in sizes:
        case = case_of(name, size)
        side = own_sides(case, batch_for(case))[NORMS]()
        compiled = side.compile()
        told: dict[str, Any] = milliseconds(interleaved({NORMS: side}, ROUNDS)[NORMS])
        told["gflop"] = plain(flop(case) / 1e9, 4)
        told["work_space_mb"] = plain(work_space(compiled) / 1e6, 3)
        if before is not None:
            longer = told["minimum"] / before["minimum"]
            more = told["gflop"] / before["gflop"]
            told["over_work"] = round(longer / more, 3)
        found[str(size)] = before = told
        print(name, size, told, flush=True)
    return found


def table(rows: Sequence[Row]) -> str:
    """A line a size."""
    (row,) = rows
    lines = [
        (
            f"{name} = {int(size):,}",
            f"{told['minimum']:.3g}",
            f"{told['gflop']:.3g}",
            f"{told['gflop'] / told['minimum'] * 1e3:.0f}",
            f"{told['over_work']:.2f}" if "over_work" in told else "–",
            f"{told['work_space_mb']:,.0f}",
        )
        for name, sizes in row["metrics"].items()
        for size, told in sizes.items()
    ]
    head = ("one size", "ms a step", "GFLOP", "GFLOP/s", "time over work", "MB")
    return f"{markdown(head, lines)}\n{measured(row)}\n"


def figure(found: dict[str, Any]) -> Figure:
    """Time against work, a curve for each size that grows."""
    reading = (
        "The time of a training step against the floating-point operations of its "
        "products, as steps T, lanes B, units H, words V or layers L grow. Along a "
        "line parallel to the dashed one, time grows as work does."
    )
    with styled():
        figure, axes = new_figure(reading, 6.4, 4.4)
        for number, (name, sizes) in enumerate(found.items()):
            work = [told["gflop"] for told in sizes.values()]
            time = [told["minimum"] for told in sizes.values()]
            axes.plot(work, time, label=name, **line_style(number, len(work)))
        every = [told for sizes in found.values() for told in sizes.values()]
        work = np.array(sorted(told["gflop"] for told in every))
        rate = max(told["gflop"] / told["minimum"] for told in every)
        axes.plot(work, work / rate, "--", color="0.6", linewidth=0.8)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("GFLOP of a step's products")
        axes.set_ylabel("ms a step")
        axes.legend()
    return figure


BENCHMARK = Benchmark(measure, table, figure=figure)

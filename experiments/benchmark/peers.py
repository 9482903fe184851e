"""Training steps, and reading and writing, beside the plain scan and beside other
libraries, all taking turns.

`--suite lm`: whole steps of the tutorial's, Zaremba's and character models, with LSTM,
GRU and tanh cells. `--suite recurrence`: DeepBench's and FlashRNN's shapes, as models
of 16 words, so that all but the recurrence is next to nothing. `bfloat16`: the models
of `lm`, the products of their gradients in bfloat16, by the same rewriting on JAX, by
autocast in PyTorch. `score`: the models of
`lm` that read a window; `generate`: a small one that writes; `gradflow`: gradients in
every state, which of the peers PyTorch alone gives; `data`: batches of a million
tokens, made on the host. Peers are those of `experiments/peers` that are installed
(`experiments/peers/requirements.txt`).
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from statistics import geometric_mean
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from matplotlib.figure import Figure

from experiments.benchmark import Benchmark
from experiments.benchmark.common import batch_for, work_space
from experiments.benchmark.one_batch import plan_of_case, stepper
from experiments.config import Config
from experiments.figures.style import line_style, new_figure, styled
from experiments.peers import PEERS, installed
from experiments.peers.apart import Apart
from experiments.peers.case import Absent, Case
from experiments.peers.ours import NORMS, OURS, SCAN, own_sides
from experiments.peers.suites import CASES, flop
from experiments.results.markdown import markdown, measured
from experiments.results.rows import Row
from experiments.results.timing import Stepper, interleaved, milliseconds, ratio
from experiments.run.files import plain
from experiments.train import devices
from experiments.train.shared import Shared
from lm.config import Precision
from lm.precision import in_precision

SHARED = "shared"  # the side of `shared_side`
PAUSE = 0.02  # seconds; threads of OpenMP, PyTorch's, wait busily for a while
LEAD = 0.1  # seconds of steps that do not count
PRODUCT = 2048  # rows and columns of the product whose speed is the measured peak


def measure(suite: str) -> dict[str, Any]:
    """{"peers": {name: version}, "absent": names, "cases": {name: see `compared`, the
    "peak_gflops" measured before it and "share_of_peak", if it has products}}."""
    devices.prepare(Config())  # before JAX starts
    peers = installed()
    found: dict[str, Any] = {
        "peers": {name: peer.version for name, peer in peers.items()},
        "absent": [name for name in PEERS if name not in peers],
        "cases": {},
    }
    for name, case in CASES[suite]().items():
        peak = product_peak(case.optim.precision) / 1e9 if flop(case) else 0.0
        told = compared(case, [*peers])
        if peak:
            reached = told["gflop"] / told[OURS]["minimum"] * 1e3
            told["peak_gflops"] = round(peak, 1)
            told["share_of_peak"] = round(reached / peak, 3)
        found["cases"][name] = told
        print(name, told, flush=True)
    return found


class Side(NamedTuple):
    """One that takes turns: its step, the seconds until the first is done or compiled,
    and bytes of work space where XLA tells them."""

    call: Callable[[], Any]
    first: float
    space: int | None


def compared(case: Case, peers: Sequence[str], rounds: int = 0) -> dict[str, Any]:
    """{"gflop" of a step, "tokens_per_second", side: {"median", "minimum" in ms,
    "first_s", "work_space_mb"?, "over_ours"?}}: ours, the plain scan, the peers named
    that have the cell. Rounds: by how much there is to do, where not given."""
    batch, makers = batch_for(case), installed()
    own = own_sides(case, batch) | shared_side(case)
    sides = {name: ready(make) for name, make in own.items()}
    for name in peers:
        try:
            sides[name] = ready(partial(makers[name].make, case, batch))
        except Absent:
            continue
    work = flop(case)
    rounds = rounds or (15 if work < 2e10 else 9 if work < 1e11 else 3)
    try:
        calls = {name: side.call for name, side in sides.items()}
        seconds = interleaved(calls, rounds, pause=PAUSE, lead=LEAD)
    finally:
        for side in sides.values():
            if isinstance(side.call, Apart):
                side.call.close()
    found: dict[str, Any] = {
        "gflop": plain(work / 1e9, 4),
        "tokens_per_second": round(case.tokens / float(seconds[OURS].min())),
    }
    for name, side in sides.items():
        told: dict[str, Any] = milliseconds(seconds[name])
        told["first_s"] = round(side.first, 2)
        if side.space is not None:
            told["work_space_mb"] = plain(side.space / 1e6, 3)
        if name != OURS:
            told["over_ours"] = ratio(seconds[name], seconds[OURS])
        found[name] = told
    return found


def shared_side(case: Case) -> dict[str, Callable[[], Any]]:
    """{SHARED: what makes it} where `train` has several cores share the lanes by itself
    (`train.devices auto`): a step as it is taken there, norms measured."""
    if case.does != "train":
        return {}
    plan = plan_of_case(case)
    number = devices.number_by_table(plan)
    if number == 1:
        return {}
    chosen = jax.local_devices()[:number]
    return {SHARED: lambda: stepper(plan, Shared(plan, chosen))}


def ready(make: Callable[[], Any]) -> Side:
    """A side, compiled where it is JAX's, else after its first step."""
    call = make()
    began = time.perf_counter()
    if not isinstance(call, Stepper):
        call()
        return Side(call, time.perf_counter() - began, None)
    compiled = call.compile()
    return Side(call, time.perf_counter() - began, work_space(compiled))


def product_peak(precision: Precision = "float32") -> float:
    """FLOP/s of one large product of matrices: the most of seven."""
    a = jax.random.normal(jax.random.key(0), (PRODUCT, PRODUCT))
    product = jax.jit(in_precision(precision, jnp.matmul))
    call = {"product": lambda: jax.block_until_ready(product(a, a))}
    return 2.0 * PRODUCT**3 / float(interleaved(call, rounds=7)["product"].min())


def sides_in(found: dict[str, Any]) -> list[str]:
    """Those that some case was compared with, in their order."""
    cases = found["cases"].values()
    return [
        s for s in (NORMS, SHARED, SCAN, *PEERS) if any(s in case for case in cases)
    ]


def gains(found: dict[str, Any], side: str) -> list[float]:
    """How many times as long a side takes, in each case that it has."""
    cases = found["cases"].values()
    return [case[side]["over_ours"] for case in cases if side in case]


def table(rows: Sequence[Row]) -> str:
    """A table for each suite: how many times as long the others take."""
    return "\n".join(table_of(row) for row in rows)


def table_of(row: Row) -> str:
    """That of one suite."""
    found = row["metrics"]
    sides = sides_in(found)
    head = ("times our time", "ms", "tokens/s", "of peak")
    body = []
    for name, case in found["cases"].items():
        others = (
            f"{case[side]['over_ours']:.2f}×" if side in case else "–" for side in sides
        )
        share = case.get("share_of_peak")
        own = (
            f"{case[OURS]['median']:.3g}",
            f"{case['tokens_per_second']:,}",
            "–" if share is None else f"{share:.0%}",
        )
        body.append((name.replace("_", " "), *own, *others))
    means = (
        f"{geometric_mean(g):.2f}×" for g in (gains(found, side) for side in sides)
    )
    body.append(("geometric mean", "", "", "", *means))
    names = [
        f"{s.replace('_', ' ')} {found['peers'].get(s, '')}".strip() for s in sides
    ]
    absent = ", ".join(found["absent"])
    note = f"\nNot installed, so not measured: {absent}.\n" if absent else ""
    return f"{markdown((*head, *names), body)}\n{note}\n{measured(row)}\n"


def figure(found: dict[str, Any]) -> Figure:
    """How many times as long each side takes, a line a case."""
    reading = (
        "The time that other implementations take, ours being 1: right of the line "
        "they are slower; shared is ours where a run has its cores share each batch. "
        "Sides took turns, those on JAX in one process."
    )
    cases = found["cases"]
    with styled():
        figure, axes = new_figure(reading, 7.0, 1.2 + 0.24 * len(cases))
        for number, side in enumerate(sides_in(found)):
            have = [at for at, case in enumerate(cases.values()) if side in case]
            style = line_style(number) | {"linestyle": "none"}
            axes.plot(gains(found, side), have, label=side.replace("_", " "), **style)
        axes.set_xscale("log", base=2)
        most = max(max(gains(found, side)) for side in sides_in(found))
        ticks = [tick for tick in (0.5, 1, 2, 4, 8, 16, 32, 64) if tick < 2 * most]
        axes.set_xticks(ticks, [f"{tick:g}×" for tick in ticks])
        axes.axvline(1.0, color="0.7", linewidth=0.8)
        axes.set_yticks(range(len(cases)), [name.replace("_", " ") for name in cases])
        axes.invert_yaxis()
        axes.set_xlabel("time, ours being 1")
        figure.legend(loc="outside upper center", ncols=4)
    return figure


BENCHMARK = Benchmark(
    measure, table, ("suite",), "benchmark_{name}_{suite}{on}", figure
)

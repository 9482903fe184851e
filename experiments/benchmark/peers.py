"""Training steps beside the plain scan and beside other libraries, all taking turns.

`--suite lm`: whole steps of the tutorial's, Zaremba's and character models, with LSTM,
GRU and tanh cells. `--suite recurrence`: DeepBench's and FlashRNN's shapes, as models
of 16 words, so that all but the recurrence is next to nothing. Peers are those of
`experiments/peers` that are installed (`experiments/peers/requirements.txt`).
"""

import dataclasses
import time
from collections.abc import Callable, Sequence
from functools import partial
from statistics import geometric_mean
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from matplotlib.figure import Figure

from experiments.benchmark import Benchmark
from experiments.benchmark.common import random_batch, work_space
from experiments.config import Config, load_named
from experiments.figures.style import line_style, new_figure, styled
from experiments.peers import PEERS, installed
from experiments.peers.apart import Apart
from experiments.peers.case import Absent, Case
from experiments.results.markdown import markdown, measured
from experiments.results.rows import Row
from experiments.results.timing import Stepper, interleaved, milliseconds, ratio
from lm.cells import make_cell
from lm.config import DropoutConfig, ModelConfig, OptimConfig
from lm.models.language_model import build
from lm.train import init_state, make_loss, make_train_step, numbers_of
from lm.types import Context
from lm.unroll import scanned

CELLS = ("lstm", "gru", "tanh")
OURS, SCAN = "ours", "plain_scan"
WORDS = 16  # of a model that is nearly all recurrence
PAUSE = 0.02  # seconds; threads of OpenMP, PyTorch's, wait busily for a while
LEAD = 0.1  # seconds of steps that do not count
PRODUCT = 2048  # rows and columns of the product whose speed is the measured peak


def lm_cases() -> dict[str, Case]:
    """name: case, of whole language models; LSTMs."""
    cases = {}
    for size in ("small", "medium", "large"):
        config = load_named(f"zaremba_{size}")
        data, model = config.data, config.model
        model = dataclasses.replace(model, dropout=DropoutConfig())
        cases[f"zaremba_{size}"] = Case(
            10_000, data.window, data.batch, model, config.optim
        )
    for hidden in (128, 512):
        model = ModelConfig(layers=2, hidden=hidden, embedding=0)
        cases[f"characters_2x{hidden}"] = Case(65, 50, 50, model, OptimConfig())
    sgd = OptimConfig("sgd", 0.005, reduction="time_sum", clip="none")
    part2 = ModelConfig(hidden=100, embedding=0)
    part4 = ModelConfig(layers=2, hidden=128, embedding=128)
    cases["tutorial_part2"] = Case(8_000, 20, 1, part2, sgd)
    cases["tutorial_part4"] = Case(8_000, 20, 1, part4, sgd)
    return cases


def recurrence_cases() -> dict[str, Case]:
    """name: case, (H, B, T) of DeepBench (Narang 2017) and FlashRNN (Pöppel 2024: one
    head of 768); LSTMs."""
    shapes = {
        "deepbench_512": (512, 16, 25),
        "deepbench_1024": (1024, 16, 25),
        "deepbench_1536": (1536, 8, 50),
        "deepbench_256": (256, 16, 150),
        "flashrnn_768": (768, 16, 1024),
    }
    optim = OptimConfig("sgd", 0.1)
    return {
        name: Case(WORDS, T, B, ModelConfig(hidden=H, embedding=H), optim)
        for name, (H, B, T) in shapes.items()
    }


SUITES: dict[str, Callable[[], dict[str, Case]]] = {
    "lm": lm_cases,
    "recurrence": recurrence_cases,
}


def measure(suite: str) -> dict[str, Any]:
    """{"peers": {name: version}, "absent": names, "peak_gflops", "cases"}."""
    peers = installed()
    found: dict[str, Any] = {
        "peers": {name: peer.version for name, peer in peers.items()},
        "absent": [name for name in PEERS if name not in peers],
        "peak_gflops": round(product_peak() / 1e9, 1),
        "cases": {},
    }
    for name, lstm in SUITES[suite]().items():
        for cell in CELLS:
            case = lstm._replace(model=dataclasses.replace(lstm.model, cell=cell))
            told = compared(case, [*peers])
            told["share_of_peak"] = round(
                told["gflop"] / told[OURS]["minimum"] * 1e3 / found["peak_gflops"], 3
            )
            found["cases"][f"{name} {cell}"] = told
            print(name, cell, told, flush=True)
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
    sides = {name: ready(make) for name, make in own_sides(case).items()}
    batch, makers = random_batch(case.vocabulary, case.steps, case.lanes), installed()
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
        "gflop": float(f"{work / 1e9:.4g}"),
        "tokens_per_second": round(
            case.steps * case.lanes / float(seconds[OURS].min())
        ),
    }
    for name, side in sides.items():
        told: dict[str, Any] = milliseconds(seconds[name])
        told["first_s"] = round(side.first, 2)
        if side.space is not None:
            told["work_space_mb"] = float(f"{side.space / 1e6:.3g}")
        if name != OURS:
            told["over_ours"] = ratio(seconds[name], seconds[OURS])
        found[name] = told
    return found


def own_sides(case: Case) -> dict[str, Callable[[], Stepper]]:
    """{"ours", "plain_scan"}: what makes their training steps, on random text."""
    numbers = numbers_of(Config(model=case.model, optim=case.optim))
    problem = build(case.model, case.vocabulary).problem
    plain = partial(make_loss(problem, case.optim), context=Context(driver=scanned))

    def make(gradient) -> Stepper:
        key = jax.random.key(0)
        batch = random_batch(case.vocabulary, case.steps, case.lanes)
        state = init_state(problem, case.optim, numbers, key, case.lanes)
        step = make_train_step(problem, case.optim, gradient)
        given = jax.device_put(batch), key, numbers
        state = jax.tree.map(jnp.copy, state)
        return Stepper(state, jax.jit(step, donate_argnums=0), *given)

    return {
        OURS: partial(make, None),
        SCAN: partial(make, jax.grad(plain, has_aux=True)),
    }


def ready(make: Callable[[], Any]) -> Side:
    """A side, compiled where it is JAX's, else after its first step."""
    call = make()
    began = time.perf_counter()
    if not isinstance(call, Stepper):
        call()
        return Side(call, time.perf_counter() - began, None)
    compiled = call.compile()
    return Side(call, time.perf_counter() - began, work_space(compiled))


def flop(case: Case) -> float:
    """Floating-point operations of the products of a training step: two a weight and
    token forward, four backward; a one-hot layer looks rows up and has none."""
    blocks = {name: len(make_cell(name, 4).blocks) for name in CELLS}[case.model.cell]
    weights = case.model.hidden * case.vocabulary
    for number, (d_in, hidden) in enumerate(case.widths):
        looked_up = number == 0 and not case.model.embedding
        weights += blocks * hidden * (hidden + (0 if looked_up else d_in))
    return 6.0 * weights * case.steps * case.lanes


def product_peak() -> float:
    """FLOP/s of one large product of float32 matrices: the most of seven."""
    a = jax.random.normal(jax.random.key(0), (PRODUCT, PRODUCT))
    product = jax.jit(jnp.matmul)
    call = {"product": lambda: jax.block_until_ready(product(a, a))}
    return 2.0 * PRODUCT**3 / float(interleaved(call, rounds=7)["product"].min())


def sides_in(found: dict[str, Any]) -> list[str]:
    """Those that some case was compared with, in their order."""
    cases = found["cases"].values()
    return [s for s in (SCAN, *PEERS) if any(s in case for case in cases)]


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
    head = ("times our time", "ms a step", "tokens/s", "of peak")
    body = []
    for name, case in found["cases"].items():
        others = (
            f"{case[side]['over_ours']:.2f}×" if side in case else "–" for side in sides
        )
        ms, share = case[OURS]["median"], case["share_of_peak"]
        rate = f"{case['tokens_per_second']:,}"
        body.append(
            (name.replace("_", " "), f"{ms:.3g}", rate, f"{share:.0%}", *others)
        )
    means = (
        f"{geometric_mean(g):.2f}×" for g in (gains(found, side) for side in sides)
    )
    body.append(("geometric mean", "", "", "", *means))
    names = [
        side.replace("_", " ") + f" {found['peers'].get(side, '')}" for side in sides
    ]
    absent = ", ".join(found["absent"])
    note = f"\nNot installed, so not measured: {absent}.\n" if absent else ""
    return f"{markdown((*head, *names), body)}\n{note}\n{measured(row)}\n"


def figure(found: dict[str, Any]) -> Figure:
    """How many times as long each side takes, a line a case."""
    reading = (
        "The time of a training step of other implementations, ours being 1: right of "
        "the line they are slower. Sides took turns, those on JAX in one process."
    )
    cases = found["cases"]
    with styled():
        figure, axes = new_figure(reading, 7.0, 1.2 + 0.24 * len(cases))
        for number, side in enumerate(sides_in(found)):
            have = [at for at, case in enumerate(cases.values()) if side in case]
            style = line_style(number) | {"linestyle": "none"}
            axes.plot(gains(found, side), have, label=side.replace("_", " "), **style)
        axes.set_xscale("log", base=2)
        ticks = (0.5, 1, 2, 4, 8)
        axes.set_xticks(ticks, [f"{tick:g}×" for tick in ticks])
        axes.axvline(1.0, color="0.7", linewidth=0.8)
        axes.set_yticks(range(len(cases)), [name.replace("_", " ") for name in cases])
        axes.invert_yaxis()
        axes.set_xlabel("time of a training step, ours being 1")
        figure.legend(loc="outside upper center", ncols=4)
    return figure


BENCHMARK = Benchmark(
    measure, table, ("suite",), "benchmark_{name}_{suite}{on}", figure
)

"""Where the time of a training step goes: its products beside all the rest.

A step is run under JAX's profiler, which tells how long each operation of the compiled
program takes; what an operation does is read off the program's text. Products are set
against the same floating-point operations at the speed of one large product, the
measured peak. Operations that do not need each other run side by side, so that all may
come to more than the step. Of CPUs: elsewhere the profiler's names are other ones.
"""

import gzip
import json
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from experiments.benchmark import Benchmark
from experiments.benchmark.common import batch_for
from experiments.benchmark.peers import product_peak
from experiments.peers.case import Case
from experiments.peers.ours import NORMS, own_sides
from experiments.peers.suites import flop, lm_cases
from experiments.results.markdown import markdown, measured
from experiments.results.rows import Row
from experiments.results.timing import Stepper, interleaved
from experiments.run.files import plain

CASES = (
    "zaremba_small",
    "zaremba_medium",
    "characters_2x128",
    "characters_2x512",
)
STEPS = 5  # under the profiler
# kind: operations that make one of it, the first kind that fits.
KINDS = {
    "products": ("dot(",),
    "look-ups": ("gather(", "scatter("),
    "pointwise functions": ("tanh(", "exponential(", "log(", "logistic("),
    "sums": ("reduce(", "reduce-window("),
    "storing steps": ("dynamic-update-slice(",),
    "copies": ("copy(", "transpose(", "broadcast(", "concatenate(", "slice("),
    "other arithmetic": ("add(", "multiply(", "subtract(", "divide(", "select("),
}


def measure() -> dict[str, Any]:
    """{"peak_gflops", "cases": {case: see `accounted`}}."""
    peak = product_peak()
    cases = {}
    for name in CASES:
        cases[name] = accounted(lm_cases()[name], peak)
        print(name, cases[name], flush=True)
    return {"peak_gflops": round(peak / 1e9, 1), "cases": cases}


def accounted(case: Case, peak: float) -> dict[str, float]:
    """ms of a step: "step", by the clock; "at_peak", its products' at `peak` FLOP/s;
    each of KINDS and what is none of them, as the profiler has it; "waiting", the rest
    of the clock's."""
    side = own_sides(case, batch_for(case))[NORMS]()
    compiled = side.compile()
    step = float(interleaved({NORMS: side}, 9)[NORMS].min()) * 1e3
    found = dict.fromkeys(KINDS, 0.0)
    kinds = kinds_in(compiled.as_text())
    for name, ms in profiled(side).items():
        if name in kinds:
            kind = kinds[name]
            found[kind] = found.get(kind, 0.0) + ms
    rest = {"waiting": max(0.0, step - sum(found.values()))}
    told = {"step": step, "at_peak": flop(case) / peak * 1e3, **found, **rest}
    return plain(told, 4)


def profiled(side: Stepper) -> dict[str, float]:
    """{operation: ms in one step}."""
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            for _ in range(STEPS):
                side()
        (path,) = Path(folder).rglob("*.trace.json.gz")
        events = json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]
    found: dict[str, float] = {}
    for event in events:
        if event.get("ph") == "X":
            ms = event["dur"] / STEPS / 1e3
            found[event["name"]] = found.get(event["name"], 0.0) + ms
    return found


def kinds_in(text: str) -> dict[str, str]:
    """{operation: its kind} of a compiled program, loops and calls aside, whose time is
    that of what they hold."""
    bodies: dict[str, list[str]] = {}
    body: list[str] = []
    for line in text.splitlines():
        if begun := re.match(r"(?:ENTRY )?%(\S+) .*\{$", line):
            body = bodies.setdefault(begun[1], [])
        body.append(line)
    found = {}
    for line in (line for lines in bodies.values() for line in lines):
        given = re.match(r"\s+(?:ROOT )?%(\S+) = (.*)", line)
        if given and not re.search(r" (while|call|conditional)\(", given[2]):
            called = re.search(r"calls=%(\S+?)[,\s]", f"{given[2]} ")
            inside = "\n".join(bodies.get(called[1], ())) if called else given[2]
            found[given[1]] = kind_of(inside)
    return found


def kind_of(text: str) -> str:
    """The first kind that one of the operations makes it."""
    for kind, operations in KINDS.items():
        if any(f" {operation}" in text for operation in operations):
            return kind
    return "others"


def table(rows: Sequence[Row]) -> str:
    """ms of each kind, a column a case."""
    (row,) = rows
    cases = row["metrics"]["cases"]
    names = list(dict.fromkeys(name for case in cases.values() for name in case))
    lines = [
        (name.replace("_", " "), *(cell_of(name, case) for case in cases.values()))
        for name in names
    ]
    head = ("ms a step, LSTM", *(name.replace("_", " ") for name in cases))
    return f"{markdown(head, lines)}\n{measured(row)}\n"


def cell_of(name: str, case: dict[str, float]) -> str:
    """ms, and the share of the step."""
    ms = case.get(name, 0.0)
    return f"{ms:.3g}" + ("" if name == "step" else f" ({ms / case['step']:.0%})")


BENCHMARK = Benchmark(measure, table)

"""Training steps of one CPU shared by two devices, or by two processes.

`python -m experiments.benchmark devices` measures; the processes that it starts run
this file. One and two devices take turns in one process; two processes are timed after
that, by themselves, with half of the cores' threads each, as `experiments.launch` has
them.
"""

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax

from experiments.benchmark import Benchmark
from experiments.benchmark.one_batch import plan_of_case, stepper
from experiments.config import load_named
from experiments.console.command_line import Distributed
from experiments.launch import free_port
from experiments.peers.case import Case
from experiments.peers.suites import lm_cases
from experiments.results.markdown import markdown, measured
from experiments.results.rows import Row
from experiments.results.timing import interleaved, milliseconds, ratio
from experiments.run.provenance import cores
from experiments.train.allocator import keep_memory
from experiments.train.devices import cores_as_devices, positions
from experiments.train.executor import One
from experiments.train.group import group_of
from experiments.train.plan import Plan, plan
from experiments.train.shared import Shared
from lm.train import count_parameters

ROUNDS = 15
SMALL = "characters_2x128"
APPLICATIONS = ("sequences", "speech", "captions", "translation", "correction")


def cases() -> dict[str, Callable[[], Plan]]:
    """name: what makes the plan. Language models around the sizes where two devices
    begin and cease to be faster, and other applications as their configs have them."""
    known, found = lm_cases(), {}
    small, lanes = known[SMALL], 20
    for cell in ("lstm", "gru", "tanh", "min_lstm"):
        found[f"{SMALL}_{cell}"] = with_model(small, cell=cell)
    found[f"{SMALL}_{lanes}_lanes"] = small._replace(lanes=lanes)
    for hidden in (32, 64, 128):
        found[f"characters_1x{hidden}"] = with_model(small, layers=1, hidden=hidden)
    found["characters_2x256"] = with_model(small, hidden=256)
    found |= {n: known[n] for n in ("characters_2x512", "zaremba_small")}
    models = {name: partial(plan_of_case, case) for name, case in found.items()}
    return models | {n: lambda n=n: plan(load_named(n)) for n in APPLICATIONS}


def with_model(case: Case, **changes: Any) -> Case:
    """The case with another model."""
    return case._replace(model=dataclasses.replace(case.model, **changes))


def measure() -> dict[str, Any]:
    """{case: {"parameters", "positions", "1_device", "2_devices", "2_devices_speedup",
    "2_processes": ms}}."""
    cores_as_devices(2)
    found: dict[str, Any] = {}
    for name, make in cases().items():
        planned = make()
        sides = {
            "1_device": stepper(planned, One(planned)),
            "2_devices": stepper(planned, Shared(planned, jax.devices()[:2])),
        }
        seconds = interleaved(sides, ROUNDS)
        found[name] = {
            "parameters": count_parameters(planned.shapes.params),
            "positions": positions(planned),
        }
        found[name] |= {side: milliseconds(s) for side, s in seconds.items()}
        found[name]["2_devices_speedup"] = ratio(
            seconds["1_device"], seconds["2_devices"]
        )
        found[name]["2_processes"] = by_processes(name)
        print(name, found[name], flush=True)
    return found


def by_processes(name: str, processes: int = 2) -> dict[str, float]:
    """{"median", "minimum"} in ms of a step that processes share."""
    threads = max(1, cores() // processes)
    given = [name, f"127.0.0.1:{free_port()}", f"{processes}"]
    children = [
        subprocess.Popen(
            [
                sys.executable,
                "-m",
                "experiments.benchmark.devices",
                *given,
                f"{process}",
            ],
            env={"NPROC": f"{threads}", **os.environ},
            stdout=subprocess.PIPE,
            text=True,
        )
        for process in range(processes)
    ]
    told = [child.communicate()[0] for child in children]
    assert not any(child.returncode for child in children)
    return json.loads(told[0].splitlines()[-1])


def table(rows: Sequence[Row]) -> str:
    """One step on one CPU device, on two, and by two processes."""
    (row,) = rows
    lines = [
        (
            name.replace("_", " "),
            f"{found['parameters']:,}",
            f"{found['positions']:,}",
            *(f"{found[side]['median']:.3g}" for side in ("1_device", "2_devices")),
            f"{found['2_devices_speedup']:.2f}×",
            f"{found['2_processes']['median']:.3g}",
        )
        for name, found in row["metrics"].items()
    ]
    two = "two, `--train.devices 2`"
    sizes = ("ms a step", "parameters", "positions")
    head = (*sizes, "one device", two, "gain", "two processes")
    return f"{markdown(head, lines)}\n{measured(row)}\n"


BENCHMARK = Benchmark(measure, table)


def main() -> None:
    """As one of the processes of `by_processes`."""
    name, coordinator, processes, process = sys.argv[1:]
    keep_memory()
    given = Distributed(False, coordinator, int(processes), int(process))
    with group_of(given) as group:
        planned = cases()[name]()
        sides = {"ours": stepper(planned, Shared(planned, jax.devices(), group))}
        print(json.dumps(milliseconds(interleaved(sides, ROUNDS)["ours"])))


if __name__ == "__main__":
    main()

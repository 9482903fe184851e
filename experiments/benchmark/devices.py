"""Training steps of one CPU shared by two devices, or by two processes.

`python -m experiments.benchmark devices` measures; the processes that it starts run
this file. One and two devices take turns in one process; two processes are timed after
that, by themselves, with half of the cores' threads each, as `experiments.launch` has
them.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from experiments.benchmark import Benchmark
from experiments.benchmark.steps import step_cases
from experiments.benchmark.timing import (
    Stepper,
    by_model,
    interleaved,
    milliseconds,
    random_batch,
    ratio,
)
from experiments.config import Config
from experiments.console.command_line import Distributed
from experiments.launch import free_port
from experiments.results.rows import Row
from experiments.train.allocator import keep_memory
from experiments.train.engine import Engine, Shared, cores_as_devices
from experiments.train.group import group_of
from lm.model import build
from lm.train import init_state, numbers_of

CASES = ("characters_2x128", "characters_2x512", "zaremba_small")
ROUNDS = 15


def measure() -> dict[str, Any]:
    """Steps by 1 and 2 CPU devices, and by 2 processes."""
    cores_as_devices(2)
    found: dict[str, Any] = {}
    for name in CASES:
        engines = {"1_device": Engine(), "2_devices": Shared(jax.devices()[:2])}
        sides = {side: stepper(name, engine) for side, engine in engines.items()}
        seconds = interleaved(sides, ROUNDS)
        found[name] = {side: milliseconds(s) for side, s in seconds.items()}
        found[name]["2_devices_speedup"] = ratio(
            seconds["1_device"], seconds["2_devices"]
        )
        found[name]["2_processes"] = by_processes(name)
        print(name, found[name], flush=True)
    return found


def stepper(name: str, engine: Any):
    """One step of a case, on an engine, as something to call and time."""
    vocabulary, window, lanes, config, optim = step_cases()[name]
    model, key = build(config, vocabulary), jax.random.key(0)
    numbers = jax.tree.map(np.float32, numbers_of(Config(model=config, optim=optim)))
    here = engine.reading(Once(random_batch(vocabulary, window, lanes)))
    return Stepper(
        engine.state(init_state(model, optim, numbers, key, lanes)),
        engine.train_step(model, optim),
        engine.batch(here.batch_at(0, 0, 0)),
        engine.everywhere(key),
        engine.everywhere(numbers),
    )


class Once:
    """A reading of one batch."""

    steps = 1

    def __init__(self, batch: Any):
        self._batch, self.batch = batch, batch.targets.shape[1]

    def batch_at(self, seed: int, epoch: int, step: int) -> Any:
        """The batch."""
        return self._batch


def by_processes(name: str, processes: int = 2) -> dict[str, float]:
    """{"median", "minimum"} in ms of a step that processes share."""
    threads = max(1, len(os.sched_getaffinity(0)) // processes)
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
    two = "two, `--train.devices 2`"
    return by_model(
        rows,
        ("ms a step", "one device", two, "gain", "two processes"),
        lambda found: (
            f"{found['1_device']['median']:.0f}",
            f"{found['2_devices']['median']:.0f}",
            f"{found['2_devices_speedup']:.2f}×",
            f"{found['2_processes']['median']:.0f}",
        ),
    )


BENCHMARK = Benchmark(measure, table)


def main() -> None:
    """As one of the processes of `by_processes`."""
    name, coordinator, processes, process = sys.argv[1:]
    keep_memory()
    given = Distributed(False, coordinator, int(processes), int(process))
    with group_of(given) as group:
        sides = {"ours": stepper(name, Shared(jax.devices(), group))}
        print(json.dumps(milliseconds(interleaved(sides, ROUNDS)["ours"])))


if __name__ == "__main__":
    main()

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

from experiments.applications.application import Prepared
from experiments.applications.language_model.application import APPLICATION
from experiments.benchmark import Benchmark
from experiments.benchmark.common import by_model, random_batch
from experiments.benchmark.peers import lm_cases
from experiments.config import Config
from experiments.console.command_line import Distributed
from experiments.launch import free_port
from experiments.results.rows import Row
from experiments.results.timing import interleaved, milliseconds, ratio
from experiments.run.record import Text
from experiments.train.allocator import keep_memory
from experiments.train.executor import One
from experiments.train.group import group_of
from experiments.train.plan import Plan
from experiments.train.shared import Shared, cores_as_devices
from lm.models.language_model import build
from lm.train import numbers_of

CASES = ("characters_2x128", "characters_2x512", "zaremba_small")
ROUNDS = 15


def measure() -> dict[str, Any]:
    """Steps by 1 and 2 CPU devices, and by 2 processes."""
    cores_as_devices(2)
    found: dict[str, Any] = {}
    for name in CASES:
        plan = plan_of_case(name)
        sides = {
            "1_device": stepper(plan, One(plan)),
            "2_devices": stepper(plan, Shared(plan, jax.devices()[:2])),
        }
        seconds = interleaved(sides, ROUNDS)
        found[name] = {side: milliseconds(s) for side, s in seconds.items()}
        found[name]["2_devices_speedup"] = ratio(
            seconds["1_device"], seconds["2_devices"]
        )
        found[name]["2_processes"] = by_processes(name)
        print(name, found[name], flush=True)
    return found


def stepper(plan: Plan, executor: One):
    """One step of a case, on an executor, as something to call and time."""
    executor.restart([0], [plan.config])
    (block,) = executor.fetch((((0, 0, 0),),))
    numbers = executor.place([[numbers_of(plan.config)]])
    return lambda: jax.block_until_ready(executor.step(block, numbers))


def plan_of_case(name: str) -> Plan:
    """A case as something to train, on one batch of random text."""
    vocabulary, window, lanes, config, optim = lm_cases()[name]
    reading = Once(random_batch(vocabulary, window, lanes))
    application = APPLICATION._replace(
        problem=lambda *_: build(config, vocabulary).problem,
        reading=lambda *_: reading,
        probed=lambda *_: None,
    )
    prepared = Prepared(Text(name, "", ""), {})
    return Plan(Config(model=config, optim=optim), application, prepared)


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
        plan = plan_of_case(name)
        sides = {"ours": stepper(plan, Shared(plan, jax.devices(), group))}
        print(json.dumps(milliseconds(interleaved(sides, ROUNDS)["ours"])))


if __name__ == "__main__":
    main()

"""Seconds until something happens: `--help`, the module, a first training step.

A child process does what a run does up to its first step, from the words of the config
on; with an empty folder of compiled programs (cold) and with one that has them (warm:
`JAX_COMPILATION_CACHE_DIR`).
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import psutil

from data_pipeline.dataset import prepare
from experiments.applications.language_model.application import (
    APPLICATION,
    prepared_of,
)
from experiments.benchmark import Benchmark
from experiments.config import load_named
from experiments.results.markdown import markdown, measured
from experiments.results.rows import Row
from experiments.train.allocator import keep_memory
from experiments.train.executor import One
from experiments.train.plan import Plan
from lm.train import numbers_of

CONFIGS = ("characters", "tour", "zaremba_small")
COMMANDS = ("train", "score", "generate", "sweep", "gradients")
TIMES = 5


def measure() -> dict[str, Any]:
    """{"help": {command: s}, "first_step": {config: {"cold", "warm"}}}; the least of
    some times."""
    helps = {name: least(partial(asked, name)) for name in COMMANDS}
    print(helps, flush=True)
    steps: dict[str, Any] = {}
    for name in CONFIGS:
        with tempfile.TemporaryDirectory() as folder:
            cold = stepped(name, folder)
            warm = least(partial(stepped, name, folder))
            steps[name] = {"cold": cold, "warm": warm}
        print(name, steps[name], flush=True)
    return {"help": helps, "first_step": steps}


def least(call: Callable[[], float]) -> float:
    """Of some times."""
    return min(call() for _ in range(TIMES))


def asked(command: str) -> float:
    """Seconds that a command's --help takes."""
    began = time.perf_counter()
    words = [sys.executable, "-m", f"experiments.{command}", "--help"]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    return round(time.perf_counter() - began, 3)


def stepped(config: str, folder: str) -> float:
    """Seconds from the start of a process to the end of its first training step."""
    words = [sys.executable, "-m", "experiments.benchmark.startup", config]
    env = os.environ | {
        "JAX_COMPILATION_CACHE_DIR": folder,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0",
    }
    told = subprocess.run(words, env=env, check=True, capture_output=True, text=True)
    return float(told.stdout.split()[-1])


def first_step(name: str) -> None:
    """A run of an embedded config up to its first step."""
    config = load_named(name)
    plan = Plan(config, APPLICATION, prepared_of(prepare(config.data), config.data))
    executor = One(plan)
    executor.restart([config.seed], [config])
    (block,) = executor.fetch((((0, 0, 0),),))
    executor.step(block, executor.place([[numbers_of(config)]]))
    jax.block_until_ready(executor.state)


def table(rows: Sequence[Row]) -> str:
    """A line a command, and a config."""
    (row,) = rows
    found, lines = row["metrics"], []
    for name, seconds in found["help"].items():
        lines.append((f"`python -m experiments.{name} --help`", f"{seconds:.2f}", "–"))
    for name, taken in found["first_step"].items():
        what = f"first step of the config `{name}`"
        lines.append((what, f"{taken['cold']:.1f}", f"{taken['warm']:.1f}"))
    head = ("what", "seconds", "with compiled programs kept")
    return f"{markdown(head, lines)}\n{measured(row)}\n"


BENCHMARK = Benchmark(measure, table)


if __name__ == "__main__":
    keep_memory()
    first_step(sys.argv[1])
    print(round(time.time() - psutil.Process().create_time(), 2))

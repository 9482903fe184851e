"""A tiny run for groups of processes, and how to start them in tests."""

import os
import subprocess
import sys
from pathlib import Path

from experiments.launch import free_port

ROOT = Path(__file__).parents[1]
# Dropout, averaging, uneven evaluation lanes, epochs of 5 steps; quick to compile.
TINY = (
    "--config tour --data.corpus grammar --data.grammar-sentences 60 "
    "--data.batch 8 --data.window 16 "
    "--model.cell tanh --model.layers 1 --model.hidden 6 --model.embedding 6 "
    "--model.softmax full --model.dropout.kind locked --model.dropout.output 0.2 "
    "--optim.schedule constant --optim.average ema "
    "--train.epochs 0 --train.minutes 0 --train.eval-every 3 --train.eval-batch 3 "
    "--train.samples 1 --train.checkpoint-every 0 --gradflow.every 3"
).split()


def environment(compile_cache: Path, **more: str) -> dict[str, str]:
    """That of a process which compiles nothing that the cache holds."""
    return os.environ | {
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": str(compile_cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        **more,
    }


def launch(processes: int, words: list[str], compile_cache: Path, *own: str):
    """`experiments.launch` under way."""
    return subprocess.Popen(
        [sys.executable, "-m", "experiments.launch", f"--processes={processes}"]
        + [*own, "--", *words],
        cwd=ROOT,
        env=environment(compile_cache),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def members(words: list[list[str]], compile_cache: Path) -> list[tuple[int, str, str]]:
    """Starts one process for each list of words, by the three flags; of each: its exit
    code, output and errors."""
    coordinator = f"localhost:{free_port()}"
    children = [
        subprocess.Popen(
            [sys.executable, "-m", "experiments.train", *own]
            + ["--distributed.coordinator", coordinator]
            + ["--distributed.processes", f"{len(words)}"]
            + ["--distributed.process", f"{number}"],
            cwd=ROOT,
            env=environment(compile_cache),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number, own in enumerate(words)
    ]
    told = [child.communicate(timeout=300) for child in children]
    return [(c.returncode, *t) for c, t in zip(children, told, strict=True)]

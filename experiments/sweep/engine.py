"""Which engine trains the runs of a sweep, and why."""

import importlib.util
import os
import subprocess
import sys

ACCELERATORS = ("jax_cuda12_plugin", "jax_cuda13_plugin", "jax_rocm7_plugin", "libtpu")


def choose_engine(asked: str) -> tuple[str, str]:
    """(processes or population, the reason). `auto` takes populations on an
    accelerator, where many runs in one step cost little more than one, and processes on
    a CPU, where they cost as many times as much."""
    if asked != "auto":
        return asked, "as asked"
    backend = backend_name()
    return ("processes" if backend == "cpu" else "population"), f"auto, on {backend}"


def backend_name() -> str:
    """cpu, gpu or tpu: what JAX would compute on. Asked of another process, since JAX
    takes a device's memory for the process that asks."""
    platforms = os.environ.get("JAX_PLATFORMS", "")
    if platforms == "cpu" or not any(map(_installed, ACCELERATORS)):
        return "cpu"
    ask = "import jax; print(jax.default_backend())"
    answer = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True)
    return answer.stdout.strip() or "cpu"


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None

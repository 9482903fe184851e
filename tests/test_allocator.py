"""Memory that a step frees stays in the process."""

import subprocess
import sys

import pytest

from experiments.gradients import __main__ as studies
from tests.source import ROOT

# A step whose work space is over 64 MiB, the most that one of glibc's further arenas
# holds; XLA runs it on a thread of its own, which would have such an arena.
STEPS = """
import resource
from experiments.train.allocator import keep_memory
assert keep_memory()
import jax, jax.numpy as jnp
kept = jax.lax.optimization_barrier
step = jax.jit(lambda x: kept(x * jnp.arange(20_000_000.0))[::-1].sum())
def faults(times):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        step(1.0).block_until_ready()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults(10)
print(step.lower(1.0).compile().memory_analysis().temp_size_in_bytes, faults(10))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_a_large_step_does_not_fault_its_memory_in_again():
    told = subprocess.run(
        [sys.executable, "-c", STEPS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    size, faults = map(int, told.stdout.split())
    assert size > 64 * 2**20
    # Every step faults its pages in where nothing is kept. The heap may grow once more
    # among the ten: a step can begin before the last one's work space is free.
    assert faults < 3 * size / 4096


def test_a_study_s_own_process_keeps_memory(monkeypatch, capsys):
    """Which measures step times, and trains where it has no workers."""
    asked = []
    monkeypatch.setattr(studies, "keep_memory", lambda: asked.append(True))
    with pytest.raises(SystemExit):
        studies.main(["zoo", "--help"])
    assert asked == [True] and "--times" in capsys.readouterr().out

"""Memory that a step frees stays in the process."""

import os
import subprocess
import sys

import pytest

from experiments.gradients import __main__ as studies
from experiments.train.allocator import (
    BEHIND,
    MADV_HUGEPAGE,
    OVERCOMMIT,
    STRICT,
    grow_heap,
)
from tests.source import ROOT


def printed(script: str) -> list[int]:
    """The numbers that a script prints, in a process of its own."""
    told = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [int(word) for word in told.stdout.split()]


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
    size, faults = printed(STEPS)
    assert size > 64 * 2**20
    # Every step faults its pages in where nothing is kept. The heap may grow once more
    # among the ten: a step can begin before the last one's work space is free.
    assert faults < 3 * size / 4096


# Of the heap's free end glibc gives back what is over 2 GiB.
BLOCKS = """
import resource
import numpy as np
from experiments.train.allocator import keep_memory
assert keep_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.empty(int(2.2 * 2**30), np.uint8)[::4096] = 1
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults(), faults())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
@pytest.mark.skipif(
    OVERCOMMIT.exists() and OVERCOMMIT.read_text().strip() == STRICT,
    reason="no region is taken ahead where each has to be there",
)
def test_blocks_of_gibibytes_do_not_fault_their_memory_in_again():
    if os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES") < 4 * 2**30:
        pytest.skip("too little memory is free")
    first, second = printed(BLOCKS)
    assert second < first / 10


class Heap:
    """glibc with only so many addresses left."""

    def __init__(self, left: int):
        self.asked, self.freed, self.advised = [], [], []

        class Function:
            def __init__(self, call):
                self.call = call

            def __call__(self, *given):
                return self.call(*given)

        def malloc(size):
            self.asked.append(size)
            return 1000 if size <= left else None

        self.malloc = Function(malloc)
        self.free = Function(self.freed.append)
        self.madvise = Function(lambda *given: self.advised.append(given))


def test_the_region_is_as_large_as_there_are_addresses():
    """It begins at a huge page, something stays behind it, and none is no error."""
    heap = Heap(left=40 << 20)
    grow_heap(heap, 128 << 20)
    assert heap.asked == [128 << 20, 64 << 20, 32 << 20, BEHIND]
    assert heap.freed == [1000]
    assert heap.advised == [(2 << 20, 1000 + (30 << 20), MADV_HUGEPAGE)]
    heap = Heap(left=0)
    grow_heap(heap, 32 << 20)
    assert not heap.freed


def test_a_study_s_own_process_keeps_memory(monkeypatch, capsys):
    """Which measures step times, and trains where it has no workers."""
    asked = []
    monkeypatch.setattr(studies, "keep_memory", lambda: asked.append(True))
    with pytest.raises(SystemExit):
        studies.main(["zoo", "--help"])
    assert asked == [True] and "--times" in capsys.readouterr().out

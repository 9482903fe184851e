"""`experiments.train --dry-run`: what a run would be, without running it."""

import json
import time

import jax

from experiments.config import RunConfig, to_dict
from experiments.train import devices
from experiments.train.plan import Again, chosen, plan
from experiments.train.position import planned_steps
from experiments.train.shared import make_executor
from lm.train import count_parameters


def dry_run(config: RunConfig, again: Again = None) -> None:
    """Prints config, data, parameters and memory; compiles one step; leaves."""
    config, notes = chosen(config, again)
    devices.prepare(config)  # before JAX starts
    planned, shared = devices.settled(plan(config))
    config = planned.config
    print(json.dumps(to_dict(config), indent=2))
    executor = make_executor(planned)
    started = time.perf_counter()
    memory = executor.lower().compile().memory_analysis()
    seconds = time.perf_counter() - started
    prepared, shapes = planned.prepared, planned.shapes
    per_epoch = planned.reading.steps
    steps = planned_steps(config, per_epoch)
    rows = {
        "corpus": f"{prepared.text.name}, {prepared.text.fingerprint[:12]}",
        "data": prepared.told,
        "steps": f"{per_epoch:,} an epoch, at most {steps:,}",
        "parameters": f"{count_parameters(shapes.params):,}",
        "state": f"{_bytes(shapes) / 2**20:.1f} MiB (parameters, optimizer, carry)",
        "work space": f"{memory.temp_size_in_bytes / 2**20:.1f} MiB a step"
        if memory
        else "unknown",
        "device": f"{executor.devices} × {jax.devices()[0].device_kind}",
        "compiled": f"in {seconds:.1f} s",
    }
    for line in (*notes, *shared, *prepared.notes):
        print(line)
    for name, value in rows.items():
        print(f"{name:12}{value}")


def _bytes(tree) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))

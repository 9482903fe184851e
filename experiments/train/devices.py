"""Which devices share the lanes of a run's batches.

`train.devices` says how many, 0 meaning all; or `AUTO`: as was measured for a model of
this size on so many cores. What was chosen is told and goes into config.json, and the
run keeps to it wherever it goes on, since two devices give the numbers of one only up
to rounding.
"""

import copy
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax

from experiments.config import AUTO, RunConfig
from experiments.run import record
from experiments.run.files import read_json
from experiments.run.provenance import cores
from experiments.train.group import ALONE, Group
from experiments.train.plan import Plan
from lm.config import ConfigError
from lm.lanes import extent
from lm.train import count_parameters

SHARED = {2: (80_000_000, 1_000_000)}
"""{cores: the least work of a step, parameters × steps × lanes, and the most parameters
of a model of factored cells whose batch has at least `LANES` lanes a core, where they
are faster as devices in a row}, as measured by experiments/benchmark, `devices`; a test
holds it to the row. Whatever else, and other counts of cores, were not measured or not
faster: one device."""
LANES = 16


def kept(config: RunConfig, run_dir: Path | None) -> RunConfig:
    """The config with as many devices as the run in that directory began with, where
    none are asked for and there is such a run.

    Raises:
      RunError: where what is there is another application's, or cannot be read.
    """
    path = None if run_dir is None else run_dir / record.FILE
    if path is None or config.train.devices != AUTO or not path.exists():
        return config
    old = record.config_of(read_json(path), path.parent, type(config)).train.devices
    return with_devices(config, 1 if old == AUTO else old)


def with_devices(config: RunConfig, number: Any) -> RunConfig:
    """The config with another `train.devices`."""
    return replace(config, train=replace(config.train, devices=number))


def prepare(config: RunConfig) -> None:
    """Lets JAX see the cores as devices, where that is or may be asked for. Before JAX
    starts."""
    wanted = config.train.devices
    if wanted == AUTO:
        wanted = 0 if cores() in SHARED else 1
    if wanted != 1:
        cores_as_devices(wanted)


def settled(plan: Plan, group: Group = ALONE) -> tuple[Plan, tuple[str, ...]]:
    """(the plan with a number of devices, lines that tell what was chosen)."""
    if plan.config.train.devices != AUTO:
        return plan, ()
    number = number_by_table(plan) if group.processes == 1 else 1
    plan = copy.copy(plan)
    plan.config = with_devices(plan.config, number)
    if number == 1:
        return plan, ()
    told = f"{number} cores share each batch, which was faster for models of this size"
    return plan, (f"{told} (--train.devices 1: one does)",)


def number_by_table(plan: Plan) -> int:
    """How many devices take the least time, by the table."""
    local, lanes = jax.local_devices(), plan.reading.batch
    least, most = SHARED.get(len(local), (0, 0))
    parameters = count_parameters(plan.shapes.params)
    possible = lanes % len(local) == 0 and not plan.config.optim.omega
    faster = (
        local[0].platform == "cpu"
        and parameters <= most
        and all(part.cell.pointwise for part in plan.problem.parts)
        and lanes >= LANES * len(local)
        and parameters * positions(plan) >= least
    )
    return len(local) if faster and possible else 1


def positions(plan: Plan) -> int:
    """Steps × lanes of the first batch, padding counted."""
    return math.prod(extent(plan.reading.batch_at(plan.config.seed, 0, 0)))


def devices_of(config: RunConfig, group: Group = ALONE) -> list[Any]:
    """The devices that share the lanes; one where nothing is settled.

    Raises:
      ConfigError: where there are fewer.
    """
    wanted = 1 if config.train.devices == AUTO else config.train.devices
    local = jax.local_devices()
    count = wanted or len(local)
    if count > len(local):
        raise ConfigError(
            f"train.devices is {wanted} but this process has {len(local)} "
            f"({local[0].platform}): give at most that, or 0 for all"
        )
    chosen = [
        device
        for process in range(group.processes)
        for device in jax.local_devices(process)[:count]
    ]
    if len(chosen) != count * group.processes:
        raise ConfigError(
            f"train.devices is {wanted} but the processes have different numbers of "
            "devices: give the smallest of them"
        )
    return chosen


def cores_as_devices(wanted: int) -> None:
    """Lets JAX see so many CPU devices (0: one per core). Only before JAX starts; if
    it runs already, what it has is what there is."""
    try:
        jax.config.update("jax_num_cpu_devices", wanted or cores())
    except RuntimeError:
        pass

"""What the command line says of a sweep; light, so that `--help` answers at once."""

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from lm.config import at_least

Sampler = Literal["", "grid", "random", "tpe", "cma-es", "qmc"]
Pruner = Literal["", "none", "median", "hyperband"]
Engine = Literal["auto", "processes", "population"]


@dataclass(frozen=True)
class Sweep:
    """What is swept, how, by whom and where."""

    space: Annotated[str, tyro.conf.Positional]
    """A ready space, or a .json or .py file; the latter is a program that is run."""
    small: bool = False
    """The small form that a ready space has beside its full one."""
    trials: int = 0
    """Trials in all; 0: what the space says, else all points of a grid, or 30."""
    seeds: int = 0
    """Runs of each trial, with successive seeds; 0: what the space says, or 1."""
    sampler: Sampler = ""
    """grid, random, tpe, cma-es or qmc; by default what the space says, else grid where
    every field has a list of values, or random."""
    sampler_seed: int = 0
    """Seed of the sampler."""
    pruner: Pruner = ""
    """Ends unpromising trials early: none (the default), median or hyperband. It judges
    by the evaluations of a trial's first seed."""
    engine: Engine = "auto"
    """processes: a worker process a run; population: many runs in one compiled step;
    auto: populations on a GPU or TPU, processes on a CPU."""
    workers: int = 0
    """Worker processes on this machine; 0: one a core."""
    storage: str = ""
    """sqlite:///PATH or postgresql://…; by default study.db in the sweep's directory.
    PostgreSQL serves any number of machines."""
    study: str = ""
    """The study's name in the storage; by default the space's."""
    sweep_dir: str = ""
    """Directory of runs, table and page; by default sweeps/STUDY. Machines that share
    it take up each other's unfinished runs; others begin them anew."""
    resume: bool = False
    """Go on with the sweep that is there; what failed is tried again."""
    dry_run: bool = False
    """List the configs, and leave."""
    record: str = ""
    """Write a result row to experiments/results/, with one of the sweep's figures:
    importance, "response FIELD", parallel, curves or reach."""
    heartbeat: int = 15
    """Seconds between signs of life of a trial; after four without, it is taken up."""

    def __post_init__(self):
        for name in ("trials", "seeds", "workers", "sampler_seed"):
            at_least(f"--{name.replace('_', '-')}", getattr(self, name), 0)
        at_least("--heartbeat", self.heartbeat, 1)

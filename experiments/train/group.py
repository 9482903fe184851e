"""Many processes, on one machine or on many, that train one run together.

Every process runs the same loop on its own share of the lanes; the gradients are
summed by XLA's collectives (gloo on CPUs, NCCL on GPUs). Process 0, the leader, alone
writes the run's files and talks to the user. What could differ between processes is
settled here: an error of one is told once and ends all; the leader reads a checkpoint
and hands it to the others, which need no common file system.

If a process is lost, the others cannot go on. They notice within seconds where the
connection breaks, or after `--distributed.heartbeat` seconds of silence, and end with a
line and exit code 4 (or JAX ends them, with its own words and SIGABRT). The run
directory is whole up to its last checkpoint; the same command resumes it, on any
number of processes.
"""

import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np
from jax.experimental.multihost_utils import broadcast_one_to_all, process_allgather

from data_pipeline.errors import DataError
from data_pipeline.vocabulary import Vocabulary
from experiments.config import RunConfig, to_dict
from experiments.console.command_line import Distributed
from experiments.run.checkpoint import Check, Checkpoints
from experiments.run.directory import Run, open_run
from experiments.run.files import RunError
from experiments.run.record import Text
from lm.config import ConfigError

LOST = 4  # the exit code
T = TypeVar("T")


class Agreed(RunError):
    """An error of one process that every process of the group knows of."""

    everywhere = True


class Group(NamedTuple):
    """Which process this is, of how many."""

    process: int = 0
    processes: int = 1

    @property
    def leader(self) -> bool:
        """Whether this process writes the run's files and talks to the user."""
        return self.process == 0

    def exchange(self, text: str) -> list[str]:
        """What each process gave, in every process; all have to call it."""
        if self.processes == 1:
            return [text]
        data = np.frombuffer(text.encode(), np.uint8)
        lengths = np.ravel(process_allgather(np.array([data.size], np.int32)))
        room = np.zeros(1 << int(lengths.max()).bit_length(), np.uint8)
        room[: data.size] = data
        rows = np.reshape(process_allgather(room), (self.processes, -1))
        pairs = zip(rows, lengths, strict=True)
        return [row[:length].tobytes().decode() for row, length in pairs]

    def from_leader(self, value: T) -> T:
        """The leader's `value`, JSON, in every process."""
        text = json.dumps(value) if self.leader else ""
        return value if self.processes == 1 else json.loads(self.exchange(text)[0])

    def arrays_from_leader(self, tree: Any) -> Any:
        """The leader's arrays in every process, as NumPy; the others give a tree of
        the same shapes."""
        if self.processes == 1:
            return tree
        return broadcast_one_to_all(jax.tree.map(np.asarray, tree))

    def gather(self, tree: Any) -> Any:
        """Arrays that are split over the processes, whole in each of them."""
        if self.processes == 1:
            return tree
        return process_allgather(tree, tiled=True)

    @contextmanager
    def together(self) -> Iterator[None]:
        """What the processes do here succeeds in all of them or fails in all."""
        error = None
        try:
            yield
        except (ConfigError, DataError, RunError, OSError) as found:
            error = found
        if self.processes == 1:
            if error is not None:
                raise error
            return
        told = self.exchange("" if error is None else f"{error}" or repr(error))
        failed = [number for number, text in enumerate(told) if text]
        if failed:
            first = failed[0]
            raise Agreed(f"process {first}: {told[first]}" if first else told[first])


ALONE = Group()


@contextmanager
def group_of(given: Distributed) -> Iterator[Group]:
    """The group of processes that the command line asks for, left at the end.

    An error that all come upon is raised in the leader; the others leave with its exit
    code, silently. Any other ends this process at once: it could not wait for the
    others, which may be waiting for it.
    """
    if not given.asked:
        yield ALONE
        return
    group = join(given)
    try:
        yield group
        jax.distributed.shutdown()
    except SystemExit:
        jax.distributed.shutdown()
        raise
    except jax.errors.JaxRuntimeError as error:
        _leave_at_once(lost(group, error), LOST)
    except (ConfigError, DataError, RunError) as error:
        if not getattr(error, "everywhere", False):
            _leave_at_once(f"error: {error}", 2)
        jax.distributed.shutdown()
        if group.leader:
            raise
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        _leave_at_once("interrupted", 130)
    except BaseException:
        _leave_at_once(traceback.format_exc(), 1)


def join(given: Distributed) -> Group:
    """Starts JAX in this process as one of a group."""
    options: dict[str, Any] = {"heartbeat_timeout_seconds": given.heartbeat}
    options["shutdown_timeout_seconds"] = given.heartbeat
    if not given.detect:
        options |= {
            "coordinator_address": given.coordinator,
            "num_processes": given.processes,
            "process_id": given.process,
            "cluster_detection_method": "deactivate",
        }
    # JAX's own handler of SIGTERM would keep the signal from ours.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(**options)
    except ValueError:
        raise ConfigError(
            "--distributed.detect found no job of Slurm, Kubernetes or Open MPI: start "
            "it with srun or mpirun, or give --distributed.coordinator, .processes and "
            ".process"
        ) from None
    except jax.errors.JaxRuntimeError as error:
        raise ConfigError(
            f"the processes did not come together: {_first_line(error)}; process 0 has "
            "to run where --distributed.coordinator says, with the port open"
        ) from None
    return Group(jax.process_index(), jax.process_count())


def lost(group: Group, error: Exception) -> str:
    """A line for when the others are gone."""
    return (
        f"error: process {group.process} cannot go on with the others "
        f"({_first_line(error)}); the run is whole up to its last checkpoint: start it "
        "again with the same command, on any number of processes"
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:160]


def _leave_at_once(line: str, code: int) -> None:
    print(line.rstrip(), file=sys.stderr, flush=True)
    sys.stdout.flush()
    os._exit(code)


def alike(group: Group, config: RunConfig, fingerprint: str) -> None:
    """Raises Agreed where the processes were given different configs or texts."""
    for what, own in (("config", json.dumps(to_dict(config))), ("corpus", fingerprint)):
        given = group.exchange(own)
        other = [number for number, text in enumerate(given) if text != given[0]]
        if other:
            raise Agreed(
                f"process {other[0]} has another {what} than process 0: start all "
                "processes with the same command, over the same files"
            )


def open_shared(
    group: Group, run_dir: Path | None, config: RunConfig, text: Text
) -> Run:
    """The run, opened by the leader; an `Onlooker` in the other processes."""
    run = None
    with group.together():
        if group.leader:
            run = open_run(run_dir, config, text)
    directory = group.from_leader("" if run is None else str(run.directory))
    resumed = group.from_leader(run is not None and run.resumed)
    return run or Onlooker(Path(directory), quiet(config), resumed, lock=-1)


def quiet(config: RunConfig) -> RunConfig:
    """The config without what only shows or writes something."""
    return replace(
        config,
        train=replace(config.train, samples=0, tensorboard=False),
        gradflow=replace(config.gradflow, every=0),
    )


class Onlooker(Run):
    """A run as the processes see it that do not write it."""

    def log(self, **row: Any) -> None:
        pass

    def keep_vocabulary(self, vocabulary: Vocabulary) -> None:
        pass

    def keep(self, values: Any) -> None:
        pass

    def sample(self, step: int, texts: list[str]) -> None:
        pass

    def summary(self, result: dict[str, Any], examples: Any = None) -> None:
        pass

    def rewind(self, step: int) -> None:
        pass


class SharedCheckpoints(Checkpoints):
    """Checkpoints that the leader writes and reads for all.

    A tree to save has to be whole (`Engine.whole`). What is read is NumPy.
    """

    def __init__(self, own: Checkpoints, group: Group):
        super().__init__(own.folder, own.keep, own.warn, own.origin)
        self.group = group

    def save(self, step: int, tree: Any, meta: dict, best: bool = False):
        """As it is of `Checkpoints`, in the leader; nothing elsewhere."""
        if self.group.leader:
            super().save(step, tree, meta, best)
        return self.folder / str(step)

    def latest(
        self, template: Any, check: Check | None = None
    ) -> tuple[Any, dict] | None:
        return self._read(partial(super().latest, check=check), template)

    def best(self, template: Any) -> tuple[Any, dict] | None:
        return self._read(super().best, template)

    def _read(self, read: Callable, template: Any) -> tuple[Any, dict] | None:
        found = None
        with self.group.together():
            if self.group.leader:
                found = read(template)
        meta = self.group.from_leader(None if found is None else found[1])
        if meta is None:
            return None
        if found is None:
            found = (jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), template),)
        return self.group.arrays_from_leader(found[0]), meta

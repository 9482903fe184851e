"""Worker processes, and how far the study is that they work on.

The process that watches over them trains nothing. It starts them, shows how far the
study is, passes Ctrl-C on, and puts a new worker in the place of one that died, as long
as trials wait.
"""

import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import optuna
from optuna.trial import FrozenTrial

from experiments.console.interrupts import Interrupt
from experiments.run.files import RunError
from experiments.run.provenance import ROOT
from experiments.sweep.open_study import WorkerOrders
from experiments.sweep.trials import all_trials, finals, origin_of, recover

POLL_SECONDS = 0.25
LOOK_SECONDS = 1.0
STILLBORN = 3


class Death(NamedTuple):
    """A worker that ended with a code that is no end of work."""

    process: int
    code: int
    log: Path

    def told(self) -> str:
        """What it ended with, and the last line that it said."""
        how = f"signal {-self.code}" if self.code < 0 else f"code {self.code}"
        lines = self.log.read_text(errors="replace").splitlines()
        said = lines[-1] if lines else "it said nothing"
        return f"worker {self.process} ended with {how}; see {self.log}: {said}"


class Workers:
    """Worker processes of one sweep on this machine.

    orders   what they work on.
    size     how many there are to be.
    threads  XLA's threads in each.
    """

    def __init__(self, orders: WorkerOrders, size: int, threads: int):
        self.orders, self.size, self.threads = orders, size, threads
        self.logs = Path(orders.sweep_dir) / "workers"
        self.logs.mkdir(parents=True, exist_ok=True)
        self.running: dict[subprocess.Popen, Path] = {}
        self.started = 0
        self.died: list[Death] = []

    def start(self) -> None:
        """One more worker, in a session of its own: Ctrl-C comes to it once, from
        here, and not from the terminal too."""
        self.started += 1
        name = f"{socket.gethostname()}-{os.getpid()}-{self.started}.log"
        log = self.logs / name
        with open(log, "ab") as output:
            worker = subprocess.Popen(
                [sys.executable, "-m", "experiments.sweep.worker"],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=environment(self.threads, self.orders.engine),
                text=True,
            )
        assert worker.stdin is not None
        worker.stdin.write(f"{self.orders.text()}\n")
        worker.stdin.close()
        self.running[worker] = log

    def reap(self) -> None:
        """Notices those that have ended."""
        for worker, log in list(self.running.items()):
            code = worker.poll()
            if code is None:
                continue
            del self.running[worker]
            if code not in (0, 3):
                self.died.append(Death(worker.pid, code, log))

    def signal(self, number: int) -> None:
        """Passes a signal on."""
        for worker in self.running:
            worker.send_signal(number)

    def wait(self) -> None:
        """Until all have ended."""
        while self.running:
            self.reap()
            time.sleep(POLL_SECONDS)


def environment(threads: int, engine: str) -> dict[str, str]:
    """What workers see: as many threads as are theirs, so that a trial has the same
    bits whoever trains it; several on one device take of its memory as they need."""
    shared = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "NPROC": str(threads),
        "OMP_NUM_THREADS": str(threads),
        **(shared if engine == "processes" else {}),
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
    }


class StudyState:
    """How far a study is.

    done     origins with a result; `pruned`, pruned and diverged, are among them.
    running, waiting   trials.
    failed   origins that came to nothing, with their reasons.
    best     the smallest value so far.
    """

    def __init__(self, trials: list[FrozenTrial]):
        ended = finals(trials)
        states = [trial.state.name for trial in trials]
        self.done = len(ended)
        self.running, self.waiting = states.count("RUNNING"), states.count("WAITING")
        values = [t.value for t in ended.values() if t.state.name == "COMPLETE"]
        self.pruned = self.done - len(values)
        self.best = min((v for v in values if v is not None), default=None)
        live = {origin_of(t) for t in trials if t.state.name in ("RUNNING", "WAITING")}
        self.failed: dict[int, str] = {
            origin_of(t): t.user_attrs.get("error", "its workers died")
            for t in trials
            if origin_of(t) not in live and origin_of(t) not in ended
        }

    @property
    def open(self) -> bool:
        """Whether anything is left to do."""
        return bool(self.running or self.waiting)


def run_workers(
    workers: Workers,
    study: optuna.Study,
    stop: Interrupt,
    show: Callable[[StudyState], None],
) -> StudyState:
    """Until no trial is open or `stop` is set: then the workers have saved and left.

    Raises:
      RunError: where workers die as soon as they are started.
    """
    looked, agreed = -math.inf, False
    state = StudyState(all_trials(study))
    done = state.done
    while not (stop or agreed):
        workers.reap()
        if len(workers.died) >= workers.size + STILLBORN and state.done == done:
            raise RunError(f"workers cannot work: {workers.died[-1].told()}")
        if time.monotonic() - looked > LOOK_SECONDS:
            recover(study)
            before, state = state.open, StudyState(all_trials(study))
            # Between the end of a dead worker's trial and its successor, which another
            # machine may be about to put in, nothing is open for a moment.
            agreed = not state.open and not (before and state.failed)
            looked = time.monotonic()
            show(state)
            for _ in range(min(state.waiting, workers.size - len(workers.running))):
                workers.start()
        time.sleep(0 if agreed else POLL_SECONDS)
    if stop:
        workers.signal(getattr(signal, stop.name))
    workers.wait()
    return StudyState(all_trials(study))

"""The engine of a sweep on CPUs: worker processes, and one that watches over them.

The one that watches trains nothing. It starts the workers, shows how far the study is,
passes Ctrl-C on, and puts a new worker in the place of one that died, as long as
trials wait.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from experiments.run.files import RunError
from experiments.run.provenance import ROOT
from experiments.sweep.desk import Post
from experiments.sweep.trials import all_trials, finals, origin_of, recover

POLL_SECONDS = 0.25
LOOK_SECONDS = 1.0
STILLBORN = 3


class Team:
    """Worker processes of one sweep on this machine.

    post     what they work on.
    size     how many there are to be.
    threads  XLA's threads in each.
    """

    def __init__(self, post: Post, size: int, threads: int):
        self.post, self.size, self.threads = post, size, threads
        self.logs = Path(post.sweep_dir) / "workers"
        self.logs.mkdir(parents=True, exist_ok=True)
        self.workers: dict[subprocess.Popen, Path] = {}
        self.started = 0
        self.died: list[str] = []

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
                env=environment(self.threads, self.post.engine),
            )
        assert worker.stdin is not None
        worker.stdin.write(self.post.send() + b"\n")
        worker.stdin.close()
        self.workers[worker] = log

    def reap(self) -> None:
        """Notices those that have ended."""
        for worker, log in list(self.workers.items()):
            code = worker.poll()
            if code is None:
                continue
            del self.workers[worker]
            if code not in (0, 3):
                how = f"signal {-code}" if code < 0 else f"code {code}"
                self.died.append(f"worker {worker.pid} ended with {how}; see {log}")

    def signal(self, number: int) -> None:
        """Passes a signal on."""
        for worker in self.workers:
            worker.send_signal(number)

    def wait(self) -> None:
        """Until all have ended."""
        while self.workers:
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


class Count:
    """How far a study is.

    done     origins with a result; pruned and diverged are among them.
    running, waiting   trials.
    failed   origins that came to nothing, with their reasons.
    best     the smallest value so far.
    """

    def __init__(self, trials: list[Any]):
        ended = finals(trials)
        states = [trial.state.name for trial in trials]
        self.done = len(ended)
        self.running, self.waiting = states.count("RUNNING"), states.count("WAITING")
        values = [t.value for t in ended.values() if t.state.name == "COMPLETE"]
        self.pruned = self.done - len(values)
        self.best = min(values, default=None)
        live = {origin_of(t) for t in trials if t.state.name in ("RUNNING", "WAITING")}
        self.failed = {
            origin_of(t): t.user_attrs.get("error", "its workers died")
            for t in trials
            if origin_of(t) not in live and origin_of(t) not in ended
        }

    @property
    def open(self) -> bool:
        """Whether anything is left to do."""
        return bool(self.running or self.waiting)


def run(
    team: Team, study: Any, storage: Any, stop: Any, show: Callable[[Count], None]
) -> Count:
    """Until no trial is open or `stop` is set: then the workers have saved and left.

    Raises:
      RunError: where workers die as soon as they are started.
    """
    looked = -LOOK_SECONDS
    count = Count(all_trials(study))
    done = count.done
    while count.open and not stop:
        team.reap()
        if len(team.died) >= team.size + STILLBORN and count.done == done:
            raise RunError(f"workers cannot work: {last_words(team)}")
        if time.monotonic() - looked > LOOK_SECONDS:
            recover(study, storage, Path(team.post.sweep_dir))
            count = Count(all_trials(study))
            looked = time.monotonic()
            show(count)
            for _ in range(min(count.waiting, team.size - len(team.workers))):
                team.start()
        time.sleep(POLL_SECONDS)
    if stop:
        team.signal(getattr(signal, stop.name))
    team.wait()
    return Count(all_trials(study))


def last_words(team: Team) -> str:
    """The end of the log of the worker that died last."""
    said = team.died[-1]
    lines = Path(said.rpartition("see ")[2]).read_text(errors="replace").splitlines()
    return f"{said}: {lines[-1] if lines else 'it said nothing'}"

"""A worker process: imports JAX once and runs trial after trial of a study.

`python -m experiments.sweep.worker` reads what it works on from standard input, as one
JSON object (so that a storage's password stands on no command line).
"""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from experiments.config import RunConfig
from experiments.console.command_line import Options
from experiments.console.interrupts import Interrupt, interrupts
from experiments.run.files import RunError
from experiments.sweep import populations
from experiments.sweep.open_study import (
    Interrupted,
    OpenStudy,
    Reporter,
    Runs,
    WorkerOrders,
    open_study,
)
from experiments.sweep.trials import Taken
from experiments.train.callback import Callback
from experiments.train.run_state import RunState
from experiments.train.session import train


class PrunerCallback(Callback):
    """Tells a reporter of the evaluations of a run, and knows when its first step came.

    first_step: (wall-clock, processor) seconds from when it was made until a step's
    numbers were there.
    """

    def __init__(self, opened: OpenStudy, reporter: Reporter):
        self.monitor, self.reporter = opened.monitor, reporter
        self.began = time.perf_counter(), time.process_time()
        self.first_step: tuple[float, float] | None = None

    def stepped(self, run: RunState, step: int, row: dict[str, Any]) -> None:
        """After each step."""
        if self.first_step is None:
            wall, processor = self.began
            now = time.perf_counter(), time.process_time()
            self.first_step = now[0] - wall, now[1] - processor

    def judged(self, run: RunState, row: dict[str, Any]) -> None:
        """After each evaluation."""
        self.reporter.report(run.at.step, self.monitor.of_evaluation(row))


def main() -> None:
    """Reads its orders, works until nothing waits. Exit codes as of a run."""
    orders = WorkerOrders(**json.loads(sys.stdin.readline()))
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    try:
        finished = work(orders)
    except RunError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        raise SystemExit(2) from None
    raise SystemExit(0 if finished else 3)


def work(orders: WorkerOrders) -> bool:
    """Runs trials until none waits; False if interrupted."""
    keep_compiled(Path(orders.sweep_dir))
    run_next = populations.run_next if orders.engine == "population" else run_one
    with interrupts() as stop, open_study(orders) as opened:
        while not stop:
            going_on = run_next(opened, stop)
            if going_on is None:
                if not opened.waiting():
                    return True
                time.sleep(1)  # what waits is still locked by another
            elif not going_on:
                return False
    return False


def keep_compiled(sweep_dir: Path) -> None:
    """Compiled programs are kept in the sweep's directory, or where the environment
    (JAX_COMPILATION_CACHE_DIR) says: a trial of a shape that was there before starts at
    once, in whichever worker."""
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(sweep_dir / "compiled"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def _leave_with_parent() -> None:
    """Without its parent a worker has nobody to stop it: it saves and leaves."""
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


def run_one(opened: OpenStudy, stop: Interrupt) -> bool | None:
    """Takes one trial to its end; False if it was interrupted, None if none waits."""
    taken = opened.take()
    if taken is None:
        return None
    try:
        with opened.heartbeats([taken]):
            try:
                came: Runs | BaseException = run_seeds(opened, taken)
            except (Exception, KeyboardInterrupt) as error:
                came = error
            return opened.conclude(taken, came)
    finally:
        taken.release()


def run_seeds(opened: OpenStudy, taken: Taken) -> Runs:
    """The runs of a trial, one a seed; the pruner judges by the first."""
    fields = opened.choose_fields(taken)
    callback = PrunerCallback(opened, Reporter(opened.storage, taken.trial))
    found = []
    for seed in range(opened.terms.seeds):
        config = opened.plan.config(fields, seed)
        heard = [callback] if seed == 0 else []
        found.append(run_seed(opened, config, taken.folder / f"seed-{seed}", heard))
    found[0]["first_step"] = callback.first_step
    return found


def run_seed(
    opened: OpenStudy, config: RunConfig, directory: Path, heard: Sequence[Callback]
) -> dict[str, Any]:
    """One run: trained, gone on with, or read if it is finished already.

    Raises:
      Interrupted: it was asked to stop, and has saved.
      RunError: the directory holds another run.
    """
    if not opened.finished(directory, config):
        if train(config, Options(directory), heard) is None:
            raise Interrupted
    return opened.summary_of(directory)


if __name__ == "__main__":
    main()

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
from pathlib import Path
from typing import Any

from experiments.config import Config
from experiments.console.command_line import Options
from experiments.console.interrupts import interrupts
from experiments.run.files import RunError
from experiments.sweep import trials
from experiments.sweep.desk import (
    Desk,
    Interrupted,
    Post,
    Reporter,
    Runs,
    choose_fields,
    conclude,
    heartbeats,
    summary_of,
)
from experiments.train.display import Silent


class Ear(Silent):
    """Hears the evaluations of a run for a reporter, and when its first step came.

    first_step: (wall-clock, processor) seconds from when it began to listen until a
    step's numbers were there.
    """

    def __init__(self, reporter: Reporter):
        self.reporter = reporter
        self.began = time.perf_counter(), time.process_time()
        self.first_step: tuple[float, float] | None = None

    def step(self, trainer: Any, step: int, row: dict) -> None:
        if self.first_step is None:
            wall, processor = self.began
            now = time.perf_counter(), time.process_time()
            self.first_step = now[0] - wall, now[1] - processor

    def evaluation(self, trainer: Any, row: dict) -> None:
        self.reporter.report(trainer.at.step, row["valid_nats_per_token"])


def main() -> None:
    """Reads the post, works until nothing waits. Exit codes as `experiments.train`."""
    post = Post(**json.loads(sys.stdin.readline()))
    try:
        finished = work(post)
    except RunError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        raise SystemExit(2) from None
    raise SystemExit(0 if finished else 3)


def work(post: Post) -> bool:
    """Runs trials until none waits; False if interrupted."""
    prepare_jax(Path(post.sweep_dir))
    desk = Desk(post)
    if post.engine == "population":
        from experiments.sweep.populations import run_next
    else:
        run_next = run_one
    with interrupts() as stop:
        threading.Thread(target=_leave_with_parent, daemon=True).start()
        while not stop:
            going_on = run_next(desk, stop)
            if going_on is None:
                if not desk.waiting():
                    return True
                time.sleep(1)  # what waits is still locked by another
            elif not going_on:
                return False
    return False


def prepare_jax(sweep_dir: Path) -> None:
    """Compiled programs are kept in the sweep's directory, or where the environment
    (JAX_COMPILATION_CACHE_DIR) says: a trial of a shape that was there before starts at
    once, in whichever worker."""
    import jax

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


def run_one(desk: Desk, stop: Any) -> bool | None:
    """Takes one trial to its end; False if it was interrupted, None if none waits."""
    taken = desk.take()
    if taken is None:
        return None
    try:
        with heartbeats(desk, [taken]):
            try:
                came: Runs | BaseException = run_seeds(desk, taken)
            except (Exception, KeyboardInterrupt) as error:
                came = error
            return conclude(desk, taken, came)
    finally:
        taken.release()


def run_seeds(desk: Desk, taken: trials.Taken) -> Runs:
    """The runs of a trial, one a seed; the pruner judges by the first."""
    fields = choose_fields(desk, taken)
    ear, found = Ear(Reporter(desk, taken.trial)), []
    for seed in range(desk.terms.seeds):
        config = desk.plan.config(fields, seed)
        display = ear if seed == 0 else Silent()
        found.append(run_seed(config, taken.folder / f"seed-{seed}", display))
    found[0]["first_step"] = ear.first_step
    return found


def run_seed(config: Config, directory: Path, display: Silent) -> dict[str, Any]:
    """One run: trained, gone on with, or read if it is finished already.

    Raises:
      Interrupted: it was asked to stop, and has saved.
    """
    from experiments.train.session import train

    if not (directory / "summary.json").exists():
        if train(config, Options(directory), display) is None:
            raise Interrupted
    return summary_of(directory)


if __name__ == "__main__":
    main()

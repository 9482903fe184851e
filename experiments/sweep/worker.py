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

import jax

from experiments.console.interrupts import interrupts
from experiments.run.files import RunError
from experiments.sweep.engines import run_next
from experiments.sweep.open_study import WorkerOrders, open_study


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


if __name__ == "__main__":
    main()

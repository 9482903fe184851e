"""Several runs of a study at once: a process a core, fed from a list of tasks."""

import multiprocessing
import os
import queue
from collections.abc import Sequence
from typing import Any

from experiments.console.command_line import user_errors
from experiments.console.interrupts import interrupts
from experiments.gradients.runs import Advance, MakeMeasure, Task, train_task
from experiments.gradients.study import Interrupted
from experiments.run.files import RunError

POLL_SECONDS = 0.2


def train_in_processes(
    tasks: Sequence[Task], make_measure: MakeMeasure, advance: Advance, processes: int
) -> None:
    """Trains all tasks, `processes` at a time; see `train_all` for what it raises."""
    context = multiprocessing.get_context("spawn")
    todo, told = context.Queue(), context.Queue()
    for task in tasks:
        todo.put(task)
    workers = []
    for number in range(min(processes, len(tasks))):
        todo.put(None)
        arguments = (number, os.getpid(), todo, told, make_measure)
        workers.append(context.Process(target=work, args=arguments))
    with interrupts() as stop:
        for worker in workers:
            worker.start()
        asked = False
        while any(worker.is_alive() for worker in workers):
            if stop and not asked:
                asked = True
                for worker in workers:
                    worker.terminate()
            listen(told, advance)
        listen(told, advance)
    todo.cancel_join_thread()
    if asked:
        raise Interrupted
    codes = [worker.exitcode for worker in workers if worker.exitcode]
    if codes:
        raise RunError(
            f"a worker ended with exit code {codes[0]} (its message stands above); the "
            "same command goes on with what is left"
        )


def listen(told: Any, advance: Advance) -> None:
    """Hands on what the workers told, for `POLL_SECONDS` at least."""
    try:
        while True:
            advance(*told.get(timeout=POLL_SECONDS))
    except queue.Empty:
        return


def work(number: int, parent: int, todo: Any, told: Any, make_measure: MakeMeasure):
    """A worker's life: one task after another until there are none, or no parent.

    Ctrl-C goes to the parent alone, which asks the workers once, so that each saves.
    """

    def advance(what: str, pieces: float) -> None:
        if os.getppid() != parent:
            raise SystemExit("the study was killed, and its worker ends with it")
        told.put((what, pieces))

    os.setpgrp()
    take_core(number)
    with user_errors():
        while os.getppid() == parent:
            task = todo.get()
            if task is None or not train_task(task, make_measure, advance):
                return


def take_core(number: int) -> None:
    """Keeps this process, and the threads that XLA will start, on a core of its own."""
    if hasattr(os, "sched_setaffinity"):  # not on macOS
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[number % len(cores)]})

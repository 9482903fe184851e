"""Several tasks at once: a process a core, fed from one list."""

import multiprocessing
import os
import queue
from collections.abc import Callable, Sequence
from typing import Any

from experiments.console.command_line import user_errors
from experiments.console.interrupts import Interrupt, interrupts
from experiments.run.files import RunError
from experiments.train.allocator import keep_memory

POLL_SECONDS = 0.2

Heard = Callable[..., None]
Do = Callable[[Any, Interrupt, Heard], Any]


class Interrupted(Exception):
    """A signal came; what was done is saved, and the same command goes on."""


def run_all(
    tasks: Sequence[Any], do: Do, processes: int, stop: Interrupt, heard: Heard
) -> list[Any]:
    """What `do` returns for every task, in their order; `processes` tasks at a time,
    each process on a core of its own. With one process it all happens in this one.

    do     (task, stop, tell) -> a result; a function of a module, or a partial of one,
           since other processes have to find it. It raises `Interrupted` when `stop`
           is true. What it tells is heard here.
    heard  (*words) of each `tell(*words)`.

    Raises:
      Interrupted: when `stop` was true: every worker was asked once to save and end.
      RunError: where a worker ended otherwise; what others did is kept.
    """
    if processes < 2 or len(tasks) < 2:
        return [do(task, stop, heard) for task in tasks]
    context = multiprocessing.get_context("spawn")
    todo, told = context.Queue(), context.Queue()
    workers = []
    for number in range(min(processes, len(tasks))):
        arguments = (number, os.getpid(), todo, told, do)
        workers.append(context.Process(target=_work, args=arguments))
    for item in [*enumerate(tasks), *[None] * len(workers)]:
        todo.put(item)
    for worker in workers:
        worker.start()
    results: dict[int, Any] = {}
    asked = False
    while any(worker.is_alive() for worker in workers):
        if stop and not asked:
            asked = True
            for worker in workers:
                worker.terminate()
        _listen(told, results, heard)
    _listen(told, results, heard)
    todo.cancel_join_thread()
    codes = [worker.exitcode for worker in workers if worker.exitcode]
    if asked:
        raise Interrupted
    if codes or len(results) < len(tasks):
        code = codes[0] if codes else 0
        raise RunError(
            f"a worker ended with exit code {code} (its message stands above); the "
            "same command goes on with what is left"
        )
    return [results[number] for number in range(len(tasks))]


def _listen(told: Any, results: dict[int, Any], heard: Heard) -> None:
    """Takes in what the workers told, for `POLL_SECONDS` at least."""
    try:
        while True:
            number, words = told.get(timeout=POLL_SECONDS)
            if number is None:
                heard(*words)
            else:
                (results[number],) = words
    except queue.Empty:
        return


def _work(number: int, parent: int, todo: Any, told: Any, do: Do) -> None:
    """A worker's life: one task after another until there are none, or no parent.

    Ctrl-C goes to the parent alone, which asks the workers once, so that each saves.
    """

    def tell(*words: Any) -> None:
        if os.getppid() != parent:
            raise SystemExit("the command was killed, and its worker ends with it")
        told.put((None, words))

    os.setpgrp()
    _take_core(number)
    keep_memory()
    with user_errors(), interrupts() as stop:
        while os.getppid() == parent:
            item = todo.get()
            if item is None:
                return
            at, task = item
            try:
                told.put((at, (do(task, stop, tell),)))
            except Interrupted:
                return


def _take_core(number: int) -> None:
    """Keeps this process, and the threads that XLA will start, on a core of its own."""
    if hasattr(os, "sched_setaffinity"):  # not on macOS
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[number % len(cores)]})

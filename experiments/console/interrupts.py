"""Ctrl-C and SIGTERM, politely: the first asks the loop to stop, the second ends it."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupt:
    """False until a signal came; then true, with the signal's name."""

    name: str = ""

    def __bool__(self) -> bool:
        return bool(self.name)


@contextmanager
def interrupts() -> Iterator[Interrupt]:
    """Within this context the first SIGINT or SIGTERM only sets the flag it gives.

    A second one ends the process at once, with 128 plus the signal's number. Outside
    the main thread, where Python allows no handlers, the flag stays False.
    """
    flag = Interrupt()

    def handle(number: int, _frame: object) -> None:
        if flag:
            os._exit(128 + number)
        flag.name = signal.Signals(number).name

    if threading.current_thread() is not threading.main_thread():
        yield flag
        return
    before = {number: signal.signal(number, handle) for number in SIGNALS}
    try:
        yield flag
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

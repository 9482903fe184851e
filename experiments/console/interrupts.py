"""Ctrl-C, SIGTERM and SIGHUP, politely: the first asks the loop to stop, the second
ends it. Before and after the loop, where nothing is to be saved, the first ends it.

Python's own handler raises KeyboardInterrupt wherever the program happens to be; inside
a callback of JAX's it is swallowed, and the program goes on. These only set a flag, or
leave.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupt:
    """False until a signal came; then true, with the signal's name."""

    name: str = ""

    def __bool__(self) -> bool:
        return bool(self.name)


def leave_at_once() -> None:
    """From here on a signal ends the process with a word, and 128 plus its number;
    one that is ignored (as after `nohup`, or `&` in a script) stays so."""
    if threading.current_thread() is not threading.main_thread():
        return
    for number in SIGNALS:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _leave)


def _leave(number: int, _frame: object) -> None:
    try:
        os.write(2, b"interrupted\n")
    except OSError:
        pass
    os._exit(128 + number)


@contextmanager
def interrupts() -> Iterator[Interrupt]:
    """Within this context the first SIGINT, SIGTERM or SIGHUP only sets the flag it
    gives.

    A second SIGINT or SIGTERM ends the process at once, with 128 plus its number; a
    second SIGHUP does not, since a terminal that closes sends several. SIGHUP stays
    ignored where it was (`nohup`). Outside the main thread, where Python allows no
    handlers, the flag stays False.
    """
    flag = Interrupt()

    def handle(number: int, _frame: object) -> None:
        if not flag:
            flag.name = signal.Signals(number).name
        elif number != signal.SIGHUP:
            os._exit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield flag
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    if before[signal.SIGHUP] is signal.SIG_IGN:
        del before[signal.SIGHUP]
    for number in before:
        signal.signal(number, handle)
    try:
        yield flag
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

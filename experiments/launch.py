"""Train one run by several processes of this machine, as many machines would.

    python -m experiments.launch --processes 2 -- --config characters --run-dir runs/two

What stands after -- goes to experiments.train in every process, which shares the lanes
of each batch with the others and has one GPU where there are any. For the GPUs of one
machine a single process is simpler: experiments.train --train.devices 0. A cluster has
a launcher of its own: see experiments/slurm/train.sbatch.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass

from experiments.console.command_line import command_line, fail
from experiments.console.interrupts import SIGNALS
from experiments.run.provenance import cores
from lm.config import at_least

GRACE = 20.0  # seconds for the others to end by themselves, once one is gone
FINAL = (0, 2, 3)  # exit codes after which nothing is to be tried again


@dataclass(frozen=True)
class Launch:
    """How many processes, and how often."""

    processes: int = 2
    """How many."""
    restarts: int = 0
    """How often to start all again after one was lost."""

    def __post_init__(self):
        at_least("--processes", self.processes, 1)
        at_least("--restarts", self.restarts, 0)


def main(argv: list[str] | None = None) -> None:
    """The command line. The exit code is that of the process that ended first, not
    counting those that ended well."""
    words = sys.argv[1:] if argv is None else argv
    own, rest = words, []
    if "--" in words:
        own, rest = words[: words.index("--")], words[words.index("--") + 1 :]
    prog = "python -m experiments.launch"
    given = command_line(Launch, own, __doc__ or "", prog=prog)
    if given.restarts and not any(w.partition("=")[0] == "--run-dir" for w in rest):
        fail("--restarts needs a --run-dir behind the --, to go on with the same run")
    for left in range(given.restarts, -1, -1):
        code = together(given.processes, rest)
        if code in FINAL or not left:
            raise SystemExit(code)
        print(f"starting all again, at most {left} times", file=sys.stderr, flush=True)


def together(processes: int, words: list[str]) -> int:
    """Starts the processes and waits for all; the exit code."""
    coordinator = f"127.0.0.1:{free_port()}"
    children = [start(n, processes, coordinator, words) for n in range(processes)]

    def forward(number: int, _frame: object) -> None:
        for child in children:
            child.send_signal(number)

    before = {s: signal.signal(s, forward) for s in passed_on()}
    try:
        return wait(children)
    finally:
        for child in children:
            child.kill()
            child.wait()
        for number, handler in before.items():
            signal.signal(number, handler)


def passed_on() -> list[signal.Signals]:
    """The signals that the group gets too: SIGHUP only where it is not ignored."""
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return [s for s in SIGNALS if not (ignored and s == signal.SIGHUP)]


def start(
    process: int, processes: int, coordinator: str, words: list[str]
) -> subprocess.Popen:
    """One process of the group. Only process 0 has something to say; signals reach
    each through `together` alone, so that none counts twice."""
    group = {"coordinator": coordinator, "processes": processes, "process": process}
    flags = [f"--distributed.{name}={value}" for name, value in group.items()]
    command = [sys.executable, "-m", "experiments.train", *words, *flags]
    threads = str(max(1, cores() // processes))
    return subprocess.Popen(
        command,
        stdout=None if process == 0 else subprocess.DEVNULL,
        env={"NPROC": threads, "JAX_LOCAL_DEVICE_IDS": str(process), **os.environ},
        start_new_session=True,
    )


def wait(children: list[subprocess.Popen]) -> int:
    """Waits until all have ended; the exit code. Where one fails, the others get some
    time to notice and are then ended."""
    failed, deadline = 0, float("inf")
    while True:
        running = any(child.poll() is None for child in children)
        bad = [(child.returncode, n) for n, child in enumerate(children)]
        bad = [(code, n) for code, n in bad if code]
        if bad and not failed:
            code, number = min(bad)  # one ended by a signal is the cause of the others
            failed = exit_code(code)
            deadline = time.monotonic() + GRACE
            if failed not in FINAL:
                print(f"process {number} {said(code)}", file=sys.stderr, flush=True)
        if not running:
            return failed
        if time.monotonic() > deadline:
            for child in children:
                child.kill()
        time.sleep(0.05)


def exit_code(code: int) -> int:
    """As a shell gives it: 128 plus the number of the signal that ended a process."""
    return code if code >= 0 else 128 - code


def said(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"ended with exit code {code}"
    return f"was ended by {signal.Signals(-code).name}"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    main()

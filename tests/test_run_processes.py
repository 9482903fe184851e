"""Runs in processes of their own: no room on the disk, signals, lost output."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from experiments.run.checkpoint import Checkpoints
from experiments.run.metrics import read_metrics
from tests.small_run import made, resumed


def limited(code: str, *words: str) -> subprocess.CompletedProcess:
    """Code in a process whose files may hold 100 kB."""
    head = "import resource, signal, sys\nsignal.signal(signal.SIGXFSZ, 1)\n"
    head += "resource.setrlimit(resource.RLIMIT_FSIZE, (10**5, 10**5))\n"
    own = [sys.executable, "-c", head + code, *words]
    return subprocess.run(own, capture_output=True, text=True, timeout=120)


def test_a_disk_without_room_is_one_line_and_the_run_goes_on(tmp_path):
    folder = made(tmp_path / "run")
    code = (
        "import numpy as np\n"
        "from experiments.config import Config\n"
        "from experiments.console.command_line import user_errors\n"
        "from experiments.run.directory import open_run\n"
        "with user_errors(), open_run(sys.argv[1], Config()) as run:\n"
        "    if sys.argv[2] == 'rows':\n"
        "        for n in range(5000): run.log(step=4, loss=[n] * 9)\n"
        "    elif sys.argv[2] == 'samples':\n"
        "        run.sample(4, ['x' * 10**6])\n"
        "    else:\n"
        "        noise = np.random.default_rng(0).normal(size=10**5)\n"
        "        run.open_checkpoints().save(4, {'x': noise}, {'step': 4})\n"
    )
    for what in ("rows", "samples", "checkpoint"):
        found = limited(code, str(folder), what)
        assert found.returncode == 2, found.stderr
        assert found.stderr.count("error: ") == 1 and "Traceback" not in found.stderr
        assert "File too large" in found.stderr
        assert resumed(folder)[1] == {"step": 3}


TINY = (
    "--config grammar --data.grammar-sentences 60 --data.batch 4 --data.window 10 "
    "--model.hidden 4 --model.embedding 4 --model.softmax full --model.dropout.kind "
    "none --model.dropout.input 0 --model.dropout.output 0 --optim.schedule constant "
    "--train.epochs 0 --train.samples 0 --gradflow.every 0 --train.minutes 0 "
    "--train.eval-every 10000"
).split()


@contextmanager
def started(folder: Path, *words: str, **given) -> Iterator[subprocess.Popen]:
    """A tiny run in a process of its own, which ends with the test; SIGHUP ends it too,
    also where the tests themselves were started by nohup."""
    own = [*TINY, "--run-dir", str(folder), *words]
    command = [sys.executable, "-m", "experiments.train", *own]
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **given)
    signal.signal(signal.SIGHUP, before)
    with child:
        try:
            yield child
        finally:
            child.kill()


def test_a_closed_terminal_saves_although_nobody_reads(tmp_path):
    """The reader of the output leaves, then SIGHUP comes, twice."""
    folder = tmp_path / "run"
    words = ("--train.steps", "1000000")
    with started(folder, *words, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None and child.stderr is not None
        lines = iter(child.stdout.readline, "")
        assert any("parameters" in line for line in lines)
        child.stdout.close()
        metrics = folder / "metrics.jsonl"
        while not metrics.exists() or metrics.stat().st_size < 10_000:
            assert child.poll() is None
        child.send_signal(signal.SIGHUP)
        child.send_signal(signal.SIGHUP)
        assert child.wait(timeout=60) == 3
        assert child.stderr.read() == ""
    (step,) = Checkpoints(folder / "checkpoints").steps()
    assert step == [row["step"] for row in read_metrics(metrics)][-1] > 20


def test_ctrl_c_at_the_start_ends_it(tmp_path):
    """While it imports, half a second after it began."""
    words = ("--train.steps", "1000000")
    with started(tmp_path / "run", *words, stdout=subprocess.DEVNULL) as child:
        assert child.stderr is not None
        time.sleep(0.5)
        child.send_signal(signal.SIGINT)
        assert child.wait(timeout=60) == 130
        assert child.stderr.read() == "interrupted\n"

"""What a user types and sees: signals, streams, the live line, and how commands end."""

import io
import os
import signal
import subprocess
import sys
import time

import pytest

from experiments.console.command_line import user_errors
from experiments.console.interrupts import interrupts, leave_at_once
from experiments.console.live import LIVE_SECONDS, PLAIN_SECONDS, Live
from experiments.console.streams import Lasting


class Broken(io.StringIO):
    """A stream that cannot be written to any more."""

    def __init__(self, error: Exception):
        super().__init__()
        self.error = error

    def write(self, text: str) -> int:
        raise self.error

    def flush(self) -> None:
        raise self.error


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test moves."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_without_a_terminal_a_line_comes_every_ten_seconds(clock):
    shown = io.StringIO()
    line = Live(live=False, stream=shown)
    for second in range(25):
        clock[0] = float(second)
        line.show(f"at {second}")
    line.note("done")
    line.close()
    assert shown.getvalue() == f"at {PLAIN_SECONDS:.0f}\nat 20\ndone\n"


def test_on_a_terminal_it_is_redrawn_within_its_width(clock, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    shown = io.StringIO()
    with Live(live=True, stream=shown) as line:
        for number in range(3):
            clock[0] += LIVE_SECONDS
            line.show(f"\033[31mepoch {number} of a long, long run")
        line.note("stays")
    *drawn, last = shown.getvalue().split("\r\033[K")[1:]
    assert drawn == [f"�[31mepoch {n} of a l" for n in range(3)]
    assert last == "stays\n" and "\033[31m" not in shown.getvalue()


@pytest.mark.parametrize(
    "error", [BrokenPipeError(), OSError(28, "full"), ValueError()]
)
def test_the_line_never_fails_when_its_stream_goes_away(error, clock):
    line = Live(live=True, stream=Broken(error))
    clock[0] = 100.0
    line.show("a")
    line.note("b")
    line.close()


def test_output_that_cannot_be_written_is_left_out():
    stream = Lasting(Broken(BrokenPipeError()))
    print("lost", file=stream, flush=True)
    assert not stream.isatty()


def ended(code: str, *words: str, **given) -> subprocess.CompletedProcess:
    """A Python process that ran some code."""
    own = [sys.executable, "-c", code, *words]
    return subprocess.run(own, capture_output=True, text=True, timeout=60, **given)


def test_a_full_device_is_one_line_or_no_matter():
    code = (
        "import sys\nfrom experiments.console.command_line import user_errors\n"
        "with user_errors(lasting='lasting' in sys.argv):\n"
        "    print('x' * 100_000)\n"
        "print('on', file=sys.stderr)\n"
    )
    with open("/dev/full", "w") as full:
        pipe = {"stdout": full, "stderr": subprocess.PIPE, "text": True}
        words = [sys.executable, "-c", code]
        once = subprocess.run(words, timeout=60, **pipe)
        always = subprocess.run([*words, "lasting"], timeout=60, **pipe)
    assert once.returncode == 2
    assert once.stderr.count("\n") == 1 and "No space left on device" in once.stderr
    assert (always.returncode, always.stderr) == (0, "on\n")


def test_closed_streams_and_any_character():
    code = (
        "import os, sys\nfrom experiments.console.command_line import user_errors\n"
        "with user_errors():\n"
        "    assert os.open('/dev/null', os.O_RDONLY) > 2\n"
        "    print('\\ud83d é', sys.stdout.isatty())\n"
    )
    shell = f'exec "{sys.executable}" -c "$1" >&- 2>&-'
    closed = subprocess.run(["bash", "-c", shell, "bash", code], timeout=60)
    assert closed.returncode == 0
    ascii_only = ended(code, env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert ascii_only.stdout == "\\ud83d \\xe9 False\n", ascii_only.stderr


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        ("OSError(30, 'Read-only file system', 'a/b')", "a/b: Read-only file system"),
        ("MemoryError()", "not enough memory"),
        ("__import__('json').loads('[' * 10**5)", "nested too deeply"),
    ],
)
def test_what_the_system_refuses_is_one_line(raised, told, capsys):
    with pytest.raises(SystemExit) as left, user_errors():
        found = eval(raised)
        raise found
    error = capsys.readouterr().err
    assert left.value.code == 2 and told in error and error.count("\n") == 1


def test_our_own_recursion_and_assertions_keep_their_traceback():
    def endless():
        return endless()

    with pytest.raises(RecursionError), user_errors():
        endless()
    with pytest.raises(AssertionError), user_errors():
        raise AssertionError


def test_no_device_is_one_line():
    code = (
        "from experiments.console.command_line import user_errors\n"
        "with user_errors():\n    import jax; jax.devices()\n"
    )
    found = ended(code, env=os.environ | {"JAX_PLATFORMS": "cuda"})
    assert found.returncode == 2 and found.stderr.count("\n") == 1
    assert "JAX_PLATFORMS is 'cuda'" in found.stderr and "=cpu" in found.stderr


@pytest.fixture
def handlers():
    """Puts the handlers of signals back."""
    before = {s: signal.getsignal(s) for s in (1, 2, 15)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_hangups_set_the_flag_and_do_not_count_twice(handlers):
    with interrupts() as flag:
        for _ in range(3):
            signal.raise_signal(signal.SIGHUP)
        assert flag.name == "SIGHUP"


def test_ignored_signals_stay_ignored(handlers):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    leave_at_once()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    with interrupts() as flag:
        signal.raise_signal(signal.SIGHUP)
        assert not flag
        signal.raise_signal(signal.SIGINT)
        assert flag.name == "SIGINT"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_before_there_is_anything_to_save_a_signal_leaves(number):
    """In a callback that swallows exceptions, too."""
    code = (
        "import signal, sys\n"
        "from experiments.console.interrupts import leave_at_once\n"
        "leave_at_once()\n"
        "class Swallows:\n"
        "    def __del__(self): signal.raise_signal(int(sys.argv[1])); list(range(9))\n"
        "Swallows()\n"
        "print('went on')\n"
    )
    found = ended(code, str(int(number)))
    assert found.returncode == 128 + number
    assert (found.stdout, found.stderr) == ("", "interrupted\n")


def test_every_command_has_its_handlers_before_its_imports():
    code = (
        "import sys, signal\n"
        "sys.argv = ['-m']\n"
        "import experiments\n"
        "assert signal.getsignal(2).__name__ == '_leave'\n"
        "assert not {'tyro', 'numpy', 'jax'} & set(sys.modules)\n"
    )
    assert ended(code).stderr == ""

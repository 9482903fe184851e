"""A user's mistakes and impatience end a command in one line."""

import subprocess
import sys
from dataclasses import dataclass

import pytest

from data_pipeline.errors import DataError
from experiments.console.command_line import command_line, user_errors
from experiments.run.files import RunError
from lm.config import ConfigError


@pytest.mark.parametrize("kind", [ConfigError, DataError, RunError])
def test_a_mistake_is_one_line_and_code_2(kind, capsys):
    with pytest.raises(SystemExit) as ended, user_errors():
        raise kind("what is\nwrong")
    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: what is wrong\n"


def test_ctrl_c_is_one_word_and_code_130(capsys):
    with pytest.raises(SystemExit) as ended, user_errors():
        raise KeyboardInterrupt
    assert ended.value.code == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_our_own_mistakes_keep_their_traceback():
    with pytest.raises(ZeroDivisionError), user_errors():
        _ = 1 / 0


def test_a_reader_that_leaves_early_is_no_error():
    program = """if True:
        from experiments.console.command_line import command_line, user_errors
        with user_errors():
            for number in range(100_000):
                print(number)
    """
    words = [sys.executable, "-c", program]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == "0\n"
        process.stdout.close()
        assert process.wait() == 141
        assert process.stderr.read() == ""


@dataclass(frozen=True)
class Asked:
    """What is asked for."""

    text: str = ""
    """A file, one sentence a line, or a table; whatever else it is said to be here;
    `-` is standard input, which is read
    (slowly) to its end."""


def test_help_flows_and_keeps_examples_and_lists(capsys):
    about = """One line.

    python -m one --of many

    name    what it is, at so great a length that one line of a terminal is too short
    long_name  more

--flag begins this paragraph, and its lines are filled whatever they
(these) begin with: `this`, for one."""
    with pytest.raises(SystemExit):
        command_line(Asked, ["--help"], about, prog="one")
    printed = capsys.readouterr().out
    assert "\n    python -m one --of many\n\n    name    what it is" in printed
    assert "is too\n            short\n    long_name  more\n\n--flag begins" in printed
    assert "whatever they (these)\nbegin with: `this`, for one." in printed
    rows = [line.strip(" │") for line in printed.splitlines()]
    at = next(n for n, row in enumerate(rows) if row.startswith("--text"))
    whole = " ".join(rows[at : at + 2])
    assert "it is said to be here; `-` is standard input, which is read" in whole

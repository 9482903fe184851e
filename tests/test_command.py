"""A user's mistakes and impatience end a command in one line."""

import subprocess
import sys

import pytest

from data_pipeline.errors import DataError
from experiments.console.command_line import user_errors
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
        from experiments.console.command_line import user_errors
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

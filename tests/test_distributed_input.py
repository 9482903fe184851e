"""Groups of processes that cannot be: one line, told once, before anything is made."""

import subprocess
import sys

import pytest

from experiments.console.command_line import Distributed
from lm.config import ConfigError
from tests.group import ROOT, TINY, environment, members


@pytest.fixture
def words(tmp_path) -> list[str]:
    return [*TINY, "--run-dir", str(tmp_path / "run"), "--train.steps", "3"]


def test_a_mistake_of_one_process_is_told_once_and_ends_all(words, tmp_path):
    ended = members([words, [*words, "--data.corpus", "no_such.txt"]], tmp_path)
    assert [code for code, *_ in ended] == [2, 2]
    (_, _, leader), (_, _, other) = ended
    assert leader.startswith("error: process 1: ") and "no_such.txt" in leader
    assert leader.count("\n") == 1 and not other
    assert not (tmp_path / "run").exists()


def test_processes_with_different_configs_are_told_apart(words, tmp_path):
    ended = members([words, [*words, "--seed", "1"]], tmp_path)
    assert [code for code, *_ in ended] == [2, 2]
    assert "process 1 has another config than process 0" in ended[0][2]
    assert not (tmp_path / "run").exists()


def test_nothing_to_detect_is_one_line(words, tmp_path):
    flag = "--distributed.detect"
    ended = subprocess.run(
        [sys.executable, "-m", "experiments.train", *words, flag],
        cwd=ROOT,
        env={k: v for k, v in environment(tmp_path).items() if "SLURM" not in k},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 2 and "found no job of Slurm" in ended.stderr
    assert ended.stderr.count("\n") == 1 and not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"coordinator": "a:1"}, "go together"),
        ({"processes": 2, "process": 0}, "go together"),
        ({"coordinator": "a:1", "processes": 2, "process": 0, "detect": True}, "alone"),
        ({"coordinator": "a", "processes": 2, "process": 0}, "HOST:PORT"),
        ({"coordinator": "a:99999", "processes": 2, "process": 0}, "HOST:PORT"),
        ({"coordinator": "a:1", "processes": 2, "process": 2}, "must lie in"),
        ({"heartbeat": 0}, "at least 1"),
    ],
)
def test_flags_that_make_no_group(given, told):
    with pytest.raises(ConfigError, match=told):
        Distributed(**given)


def test_one_process_is_no_group():
    assert not Distributed().asked
    assert Distributed(detect=True).asked
    assert Distributed(coordinator="a:1", processes=1, process=0).asked

"""Real processes that train one run: the numbers of one process, files written once.

Mistakes: tests/test_distributed_input.py; lost processes: tests/test_lost_process.py.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments.console.command_line import parse
from experiments.run.checkpoint import Checkpoints
from experiments.run.files import read_json
from experiments.run.metrics import read_metrics
from experiments.run.probes import read_probe
from experiments.train.plan import fresh_state, plan
from experiments.train.session import train
from tests.group import ROOT, TINY, environment, launch
from tests.zoo import close


def words(folder: Path, steps: int) -> list[str]:
    return [*TINY, "--run-dir", str(folder), "--train.steps", str(steps)]


@pytest.fixture(scope="module")
def alone(tmp_path_factory, compile_cache) -> Path:
    """Seven steps by this process, on one device."""
    folder = tmp_path_factory.mktemp("runs") / "alone"
    assert train(*parse(words(folder, 7), ""), ()) == folder
    return folder


@pytest.fixture(scope="module")
def group(tmp_path_factory, compile_cache) -> Path:
    """Three steps by two processes, two more by four, two more by one."""
    folder = tmp_path_factory.mktemp("runs") / "group"
    for processes, steps in ((2, 3), (4, 5)):
        child = launch(processes, words(folder, steps), compile_cache)
        out, error = child.communicate(timeout=300)
        assert child.returncode == 0, error
        assert f"{processes} devices" in out and out.count("best of step") == 1
    train(*parse(words(folder, 7), ""), ())
    return folder


def state_of(folder: Path):
    config, _ = parse(words(folder, 7), "")

    planned = plan(config)
    template = fresh_state(planned.problem, config, planned.reading.batch)
    found = Checkpoints(folder / "checkpoints").latest(template)
    assert found is not None
    return found


def test_losses_are_those_of_one_process(alone, group):
    rows = [[r for r in read_metrics(d / "metrics.jsonl")] for d in (alone, group)]
    steps = [[r["step"] for r in each if "loss" in r] for each in rows]
    assert steps[0] == steps[1] == list(range(1, 8)), "each step is logged once"
    for name in ("loss", "gradient_norm", "valid_nats_per_token", "tokens"):
        one, other = ([r[name] for r in each if name in r] for each in rows)
        np.testing.assert_allclose(other[: len(one)], one, rtol=2e-5)


def test_checkpoints_hold_the_state_of_all_lanes(alone, group):
    (one, meta_one), (other, meta_other) = state_of(alone), state_of(group)
    close(other, one, rtol=1e-3, atol=2e-5)
    assert np.any(np.asarray(one.carry[0].h[-1]) != 0), "lanes of the last process too"
    for name in ("step", "epoch", "index"):
        assert meta_one[name] == meta_other[name]


def test_summary_probes_and_samples_are_there_once(alone, group):
    names = [sorted(p.name for p in d.iterdir()) for d in (alone, group)]
    assert names[0] == names[1]
    one, other = (read_json(d / "summary.json") for d in (alone, group))
    for split in ("valid", "test"):
        assert one[split]["tokens"] == other[split]["tokens"]
        got, want = (s[split]["nats_per_token"] for s in (other, one))
        assert got == pytest.approx(want, rel=1e-4)
    one, other = (read_probe(d) for d in (alone, group))
    np.testing.assert_allclose(other["lag_LK"][0], one["lag_LK"][0], rtol=1e-4)
    text = (group / "samples.txt").read_text()
    assert text.count("=== step 3 ===") == text.count("=== step 6 ===") == 1
    assert len(read_json(group / "config.json")["resumed"]) == 2


def test_the_slurm_script_works_as_it_stands(tmp_path, compile_cache):
    """With an srun that starts two tasks on this machine."""
    srun, job = tmp_path / "srun", str(os.getpid())
    srun.write_text(
        "#!/usr/bin/env bash\n"
        'while [[ "$1" == --* ]]; do shift; done\n'
        "export SLURM_NTASKS=2 SLURM_STEP_NODELIST=localhost SLURM_STEP_NUM_NODES=1\n"
        'SLURM_PROCID=0 SLURM_LOCALID=0 "$@" & first=$!\n'
        'SLURM_PROCID=1 SLURM_LOCALID=1 "$@" & second=$!\n'
        "wait $first && wait $second\n"
    )
    srun.chmod(0o755)
    own = environment(compile_cache, SLURM_JOB_ID=job, SLURM_SUBMIT_DIR=str(ROOT))
    own |= {"PATH": f"{tmp_path}:{own['PATH']}", "PYTHON": sys.executable}
    ended = subprocess.run(
        ["bash", ROOT / "experiments/slurm/train.sbatch", *words(tmp_path / "run", 3)],
        env=own,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    assert "2 devices" in ended.stdout
    assert read_json(tmp_path / "run" / "summary.json")["steps"] == 3

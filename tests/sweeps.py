"""What the tests of sweeps share: a tiny space, sweeps here and as processes."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

from experiments.run.provenance import ROOT
from experiments.sweep import workers
from experiments.sweep.__main__ import main
from experiments.sweep.space_file import Source
from experiments.sweep.worker import work

TINY: dict[str, Any] = {
    "config": "grammar",
    "data.grammar_sentences": 60,
    "data.batch": 4,
    "data.window": 8,
    "model.cell": "tanh",
    "model.hidden": 4,
    "model.embedding": 4,
    "model.layers": 1,
    "model.softmax": "full",
    "model.dropout.kind": "none",
    "model.dropout.input": 0.0,
    "model.dropout.output": 0.0,
    "optim.schedule": "constant",
    "train.epochs": 0,
    "train.minutes": 0.0,
    "train.steps": 4,
    "train.eval_every": 2,
    "train.samples": 0,
    "gradflow.every": 0,
    "optim.learning_rate": {"choice": [0.01, 0.03]},
}


def write_space(folder: Path, name: str = "tiny", **entries: Any) -> Path:
    """TINY with some entries replaced, as a file."""
    path = folder / f"{name}.json"
    path.write_text(json.dumps({**TINY, **entries}))
    return path


def source(raw: dict[str, Any], program: str = "") -> Source:
    """A space file's content."""
    return Source("made_up", raw, program)


def sweep_here(*words: Any, code: int = 0) -> None:
    """A sweep in this process, its worker too, which ends with `code`.

    Fixture `compile_cache` keeps what it compiles for the next one.
    """

    def start(team: workers.Workers) -> None:
        work(team.orders)

    with (
        patch.dict(os.environ, JAX_COMPILATION_CACHE_DIR="as the fixture has it"),
        patch.object(workers.Workers, "start", start),
        patch.object(workers, "LOOK_SECONDS", 0.0),
        patch.object(workers, "POLL_SECONDS", 0.0),
    ):
        try:
            main([str(word) for word in words])
        except SystemExit as left:
            assert left.code == code, left.code


COMPILED = Path(tempfile.gettempdir()) / f"sweep-tests-{os.getuid()}"


def environment(**more: str) -> dict[str, str]:
    """That of a process: the sweeps of all tests compile one model once."""
    return os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": str(COMPILED),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        **more,
    }


class Started:
    """A sweep as its own process, in a folder of its own."""

    def __init__(self, space: Path, sweep_dir: Path, *options: str):
        command = [sys.executable, "-m", "experiments.sweep", str(space)]
        command += ["--sweep-dir", str(sweep_dir), "--heartbeat", "1", *options]
        self.sweep_dir = sweep_dir
        self.process = subprocess.Popen(
            command,
            cwd=sweep_dir.parent,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def wait(self, code: int = 0, seconds: float = 400) -> str:
        """What it said, after it ended with `code`."""
        try:
            said, _ = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        assert self.process.returncode == code, f"{said}\n{self.logs()}"
        return said

    def logs(self) -> str:
        """What the workers said."""
        files = sorted((self.sweep_dir / "workers").glob("*.log"))
        return "\n".join(file.read_text() for file in files)

    def busy_worker(self, not_this: int = 0, seconds: float = 200) -> tuple[int, Path]:
        """(process, run directory) of a run that has a checkpoint and is not done."""
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            assert self.process.poll() is None, self.logs()
            for run in self.sweep_dir.glob("trials/*/seed-*"):
                saved = list(run.glob("checkpoints/[0-9]*"))
                if saved and not (run / "summary.json").exists():
                    worker = int((run / ".lock").read_text() or 0)
                    if worker not in (0, not_this):
                        return worker, run
            time.sleep(0.02)
        raise AssertionError(f"no worker got anywhere: {self.logs()}")

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)


def table(sweep_dir: Path) -> list[dict[str, Any]]:
    """The rows of a finished sweep."""
    return json.loads((sweep_dir / "table.json").read_text())

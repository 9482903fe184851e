"""What the tests of sweeps share: a tiny space, and sweeps as real processes."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from experiments.run.provenance import ROOT

TINY: dict[str, Any] = {
    "config": "grammar",
    "data.grammar_sentences": 60,
    "data.batch": 4,
    "data.window": 8,
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
    "train.steps": 20,
    "train.eval_every": 10,
    "train.samples": 0,
    "gradflow.every": 0,
    "optim.learning_rate": {"choice": [0.01, 0.03, 0.1]},
    "seeds": 2,
}


def write_space(folder: Path, **entries: Any) -> Path:
    """TINY with some entries replaced, as a file."""
    path = folder / "tiny.json"
    path.write_text(json.dumps({**TINY, **entries}))
    return path


COMPILED = Path(tempfile.gettempdir()) / f"sweep-tests-{os.getuid()}"
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(ROOT),
    "JAX_PLATFORMS": "cpu",
    # The sweeps of all tests compile one model once.
    "JAX_COMPILATION_CACHE_DIR": str(COMPILED),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
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
            env=ENVIRONMENT,
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

    def busy_worker(self, seconds: float = 200) -> tuple[int, Path]:
        """(process, run directory) of a run that has a checkpoint and is not done."""
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            assert self.process.poll() is None, self.logs()
            for run in self.sweep_dir.glob("trials/*/seed-*"):
                saved = list(run.glob("checkpoints/[0-9]*"))
                if saved and not (run / "summary.json").exists():
                    return int((run / ".lock").read_text()), run
            time.sleep(0.02)
        raise AssertionError(f"no worker got anywhere: {self.logs()}")

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)


def table(sweep_dir: Path) -> list[dict[str, Any]]:
    """The rows of a finished sweep."""
    return json.loads((sweep_dir / "table.json").read_text())

"""Runs that chapters train on the way, in a folder that goes when Python ends, and
what they answer."""

import atexit
import contextlib
import io
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from experiments.applications import load
from experiments.applications.restored import restore_best
from experiments.config import GradflowConfig, load_named
from experiments.console.command_line import Options
from experiments.train.session import train

KEPT = Path(tempfile.mkdtemp(prefix="tutorial_"))
atexit.register(shutil.rmtree, KEPT, ignore_errors=True)


def learnt(config: Any, steps: int) -> Path:
    """Trains a config, or the ready one of that name, for some steps, and shows
    nothing of it; the run's directory."""
    config = load_named(config) if isinstance(config, str) else config
    bounds = {"epochs": 0, "minutes": 0, "steps": steps}
    paces = {"eval_every": steps, "samples": 0, "keep": 1}
    paced = replace(config.train, **bounds, **paces)
    config = replace(config, train=paced, gradflow=GradflowConfig(every=0))
    folder = Path(tempfile.mkdtemp(dir=KEPT)) / config.name
    with contextlib.redirect_stdout(io.StringIO()):
        run = train(config, Options(folder), [])
    assert run is not None, "the run was interrupted"
    return run


def ask(run: Path, *lines: str) -> list[dict[str, Any]]:
    """What a run answers to some lines, a record each (`experiments.predict`)."""
    text = KEPT / "lines.txt"
    text.write_text("\n".join(lines) + "\n", encoding="utf-8")
    restored = restore_best(run)
    application = load(restored.config.application)
    return list(application.predict(restored, str(text)))

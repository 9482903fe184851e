"""Runs in tests: trained by the one loop, in this process, by a program that is
compiled once for all configs of one shape."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.config import Config, to_dict
from experiments.console.interrupts import Interrupt
from experiments.run.checkpoint import Checkpoints
from experiments.run.directory import open_run
from experiments.run.metrics import read_metrics
from experiments.train.callback import Callback
from experiments.train.executor import One
from experiments.train.loop import Entry, Loop
from experiments.train.plan import check_steps, plan
from experiments.train.population import shape_of
from experiments.train.run_state import Outcome

EXECUTORS: dict[str, One] = {}


def executor_of(config: Config) -> One:
    """An executor for runs of this shape, made once."""
    key = json.dumps([shape_of(config), to_dict(config)["model"]], sort_keys=True)
    if key not in EXECUTORS:
        EXECUTORS[key] = One(plan(config))
    check_steps(config, EXECUTORS[key].plan.reading.steps)
    return EXECUTORS[key]


def outcome_of(
    config: Config,
    folder: Path,
    callbacks: Sequence[Callback] = (),
    stop: Interrupt | None = None,
) -> Outcome:
    """What comes of a run there, or of one that is gone on with."""
    executor = executor_of(config)
    text = executor.plan.prepared.text
    entry = Entry(config, lambda: open_run(folder, config, text))
    loop = Loop([entry], executor, executor.plan, callbacks)
    (outcome,) = loop.train(Interrupt() if stop is None else stop)
    assert outcome is not None
    return outcome


def trained(config: Config, folder: Path) -> Path:
    """The directory of a run, after training it to its end."""
    assert outcome_of(config, folder).how == "finished"
    return folder


def rows(folder: Path, having: str = "step") -> list[dict[str, Any]]:
    """The rows of metrics.jsonl that have such a field."""
    return [row for row in read_metrics(folder / "metrics.jsonl") if having in row]


def last_state(folder: Path) -> dict[str, str]:
    """A digest of every array of the last checkpoint."""
    return state_at(folder, Checkpoints(folder / "checkpoints").steps()[-1])


def state_at(folder: Path, step: int) -> dict[str, str]:
    """The same of the checkpoint of a step."""
    record = folder / "checkpoints" / str(step) / "meta.json"
    arrays = json.loads(record.read_text())["arrays"]
    return {path: leaf["sha256"] for path, leaf in arrays.items()}

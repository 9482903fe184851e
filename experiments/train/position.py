"""Where a run stands: the plain numbers that a checkpoint holds beside its arrays."""

import math
from dataclasses import dataclass, fields

from experiments.config import RunConfig
from lm.optim import ScheduleState


@dataclass
class Position:
    """Where the run stands. Saved with every checkpoint.

    step       optimizer steps taken.
    epoch      passes completed; `index` steps taken in the current one.
    nats, count  training loss so far in this epoch.
    best       best validation score, smaller being better; `waited` evaluations since.
    valid      the last validation score.
    reached    whether that was enough, see `Application.reached`.
    seconds    wall clock over all sessions, evaluations included.
    step_seconds, step_tokens  of training steps alone, without those that compiled.
    feed_seconds  for which steps waited for their batches.
    schedule   the learning-rate schedule's memory.
    """

    step: int = 0
    epoch: int = 0
    index: int = 0
    nats: float = 0.0
    count: float = 0.0
    best: float = math.inf
    waited: int = 0
    valid: float = math.inf
    reached: bool = False
    seconds: float = 0.0
    step_seconds: float = 0.0
    step_tokens: int = 0
    feed_seconds: float = 0.0
    schedule: ScheduleState = ScheduleState()

    @classmethod
    def load(cls, meta: dict) -> "Position":
        """From a checkpoint's JSON, where infinities are strings."""
        values = {f.name: meta[f.name] for f in fields(cls) if f.name in meta}
        scale, last, best, waited = values.pop("schedule")
        for name in ("nats", "count", "best", "valid"):
            values[name] = float(values[name])
        schedule = ScheduleState(float(scale), float(last), float(best), waited)
        return cls(**values, schedule=schedule)


def planned_steps(config: RunConfig, per_epoch: int) -> int:
    """The last step that the config allows, time aside."""
    train = config.train
    bounds = [train.epochs * per_epoch] if train.epochs else []
    bounds += [train.steps] if train.steps else []
    return min(bounds) if bounds else 2**31 - 1

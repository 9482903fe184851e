"""What the host remembers of one run: where it stands, what is due, what is written.

What a run remembers between steps is `Position`, a few plain numbers that every
checkpoint holds beside the arrays. Where the arrays live is an executor's matter
(`experiments.train.executor`); who takes the steps, the loop's.
"""

import dataclasses
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from experiments.applications.application import Final
from experiments.run.directory import Run
from experiments.run.files import RunError
from experiments.run.provenance import versions
from experiments.train.plan import Plan
from experiments.train.position import Position, planned_steps
from experiments.train.scores import Scores, evaluation_row, means, ratio, result
from lm.optim import after_epoch, after_evaluation
from lm.train import StepInfo, TrainState, count_parameters


class Diverged(RunError):
    """The loss or a gradient is no longer a finite number."""

    everywhere = True

    def __init__(self, step: int, told: str):
        super().__init__(f"step {step}: {told}")
        self.step = step


class Outcome(NamedTuple):
    """What came of a run.

    how      "finished"; "interrupted", saved and to be gone on with; "ended" by a
             callback; or "diverged".
    run      what the host remembers of it.
    summary  of a finished run: what summary.json says, where one was written.
    error    of one that has diverged.
    """

    how: str
    run: "RunState"
    summary: dict[str, Any] | None = None
    error: Diverged | None = None


class RunState:
    """A run in progress.

    run, config  its directory, and what is run.
    plan         what the config comes to; members of a population share one.
    number, slot which run it is, and where the executor has its arrays.
    steps        the last step that the config allows; per_epoch: those of an epoch.
    at           where the run stands.
    params       () -> its parameters as they are now, on one device.
    callbacks    that hear of it.
    wanted       False once a callback has ended it.
    horizon      of the top layer, by the latest probe that was read back.
    """

    def __init__(self, run: Run, plan: Plan, number: int = 0, slot: int = 0):
        self.run, self.config, self.plan = run, run.config, plan
        self.number, self.slot = number, slot
        self.per_epoch = plan.reading.steps
        self.steps = planned_steps(run.config, self.per_epoch)
        self.checkpoints = run.open_checkpoints()
        self.at = Position()
        self.params: Callable[[], Any] = dict
        self.callbacks: list[Any] = []
        self.wanted = True
        self.horizon: int | None = None
        self.evaluated = -1
        self._ticked = time.perf_counter()

    def begin(self, template: TrainState) -> TrainState | None:
        """The state of the last sound checkpoint; None for a fresh start. What was
        written beyond it is dropped."""
        found = self.run.resume(self.checkpoints, template, Position.load)
        if found is None:
            loops = {"loops": self.plan.loops} if self.plan.loops else {}
            self.run.log(step=0, groups=self.plan.names, **loops)
            return None
        state, meta = found
        self.at = Position.load(meta)
        return state

    @property
    def finished(self) -> bool:
        """Whether a bound in steps, epochs or patience is reached, or the goal."""
        return self.at.step >= self.steps or self._impatient or self.at.reached

    @property
    def late(self) -> bool:
        """Whether the bound in minutes is reached, by this process's clock."""
        minutes = self.config.train.minutes
        return bool(minutes and self.at.seconds >= 60 * minutes)

    @property
    def _impatient(self) -> bool:
        patience = self.config.train.patience
        return bool(patience and self.at.waited >= patience)

    @property
    def epoch_ended(self) -> bool:
        """Whether the step just taken was the last of its epoch."""
        return self.at.index == self.per_epoch

    def due(self, what: str, ahead: int = 0) -> bool:
        """Whether an evaluation ("eval"), checkpoint or sample falls on the step just
        taken, or on the one so many steps ahead, within the epoch."""
        every = getattr(self.config.train, f"{what}_every")
        if every:
            return (self.at.step + ahead) % every == 0
        if what == "eval":
            return self.at.index + ahead == self.per_epoch
        return self.due("eval", ahead)

    def falls(self, ahead: int = 0) -> bool:
        """Whether anything falls there besides a step."""
        at = self.at
        ends = at.step + ahead >= self.steps or at.index + ahead == self.per_epoch
        whats = ("eval", "checkpoint", "sample")
        return ends or any(self.due(what, ahead) for what in whats)

    def together(self, most: int) -> int:
        """How many steps may be taken at once, `most` or one: within them nothing
        falls but on the last."""
        paces = [c.every for c in self.callbacks if c.every]
        for ahead in range(1, most):
            step = self.at.step + ahead
            if self.falls(ahead) or any(step % every == 0 for every in paces):
                return 1
        return most

    def tick(self) -> None:
        """Adds the wall clock since the last tick to the run's seconds."""
        now = time.perf_counter()
        self.at.seconds += now - self._ticked
        self._ticked = now

    def record(self, step: int, rate: float, info: StepInfo) -> dict[str, Any]:
        """Writes down what step `step` measured, `info` being on the host; the row.

        Raises:
          Diverged: where it is not finite.
        """
        self._check_finite(step, info)
        total, count = (float(x) for x in info.loss)
        self.at.nats, self.at.count = self.at.nats + total, self.at.count + count
        row = step_row(info)
        self.run.log(step=step, epoch=self.at.epoch, learning_rate=rate, **row)
        return row

    def _check_finite(self, step: int, info: StepInfo) -> None:
        values = np.stack([info.gradients_P, info.updates_P, info.weights_P])
        if np.isfinite(info.loss[0]) and np.isfinite(values).all():
            return
        broken = [
            n
            for n, v in zip(self.plan.names, values.T, strict=True)
            if not np.isfinite(v).all()
        ]
        kept = self.checkpoints.steps()
        raise Diverged(
            step,
            f"loss {info.loss[0]:g}, not finite first in "
            f"{', '.join(broken) or 'the loss alone'}; "
            f"{f'checkpoint {kept[-1]} is kept' if kept else 'no checkpoint yet'}; try "
            "a smaller --optim.learning-rate or --optim.clip-at",
        )

    def score(self, scores: Scores) -> float:
        """What is looked at of an evaluation, smaller being better."""
        return self.plan.application.monitored(means(scores))

    def judge(self, scores: Scores) -> tuple[bool, dict[str, Any]]:
        """Writes down an evaluation: whether it is the best so far, and the row. All
        counters that wait for evaluations move here and nowhere else."""
        at, application = self.at, self.plan.application
        self.evaluated, at.valid = at.step, self.score(scores)
        best = at.valid < at.best
        at.best, at.waited = (at.valid, 0) if best else (at.best, at.waited + 1)
        at.schedule = after_evaluation(self.config.optim, at.schedule, at.valid)
        if application.reached is not None:
            at.reached = application.reached(self.config, means(scores))
        train = ratio(at.nats, at.count)
        row = evaluation_row(means(scores), train, application.nats)
        self.run.log(step=at.step, epoch=at.epoch, **row)
        return best, row

    def end_epoch(self) -> None:
        """Moves the schedule and the position on to the next epoch."""
        at = self.at
        at.epoch, at.index = at.epoch + 1, 0
        train = ratio(at.nats, at.count)
        at.schedule = after_epoch(self.config.optim, at.schedule, at.epoch, train)
        at.nats = at.count = 0.0

    def save(self, state: TrainState, best: bool) -> None:
        """The checkpoint of this step."""
        self.run.metrics.flush()
        meta = dataclasses.asdict(self.at)
        self.checkpoints.save(self.at.step, state, meta, best=best)

    def stopped(self) -> str:
        """Which bound has ended the run, and where."""
        train, at = self.config.train, self.at
        if at.reached:
            bound = "its goal, reached"
        elif self._impatient:
            bound = f"train.patience {train.patience}"
        elif at.step < self.steps:
            bound = f"train.minutes {train.minutes:g}"
        elif train.steps == self.steps:
            bound = f"train.steps {train.steps}"
        else:
            return f"train.epochs {train.epochs}"
        epoch = at.epoch + (at.index > 0)
        told = f"{bound} in epoch {epoch} of {train.epochs}" if train.epochs else bound
        if self.config.optim.schedule == "cosine" and at.step < self.steps:
            told += f", {at.step / self.steps:.0%} along its cosine schedule"
        return told

    def conclude(
        self, scores: dict[str, Scores], step: int, final: Final
    ) -> dict[str, Any]:
        """Writes `summary.json`, by which the run has ended; what it says.

        Args:
          scores: by split, with the parameters of `step`, the best.
          final: more of them, as the host found, and what goes with them.
        """
        at, prepared, nats = self.at, self.plan.prepared, self.plan.application.nats
        params = self.plan.shapes.params
        summary: dict[str, Any] = {n: result(s, nats) for n, s in scores.items()}
        summary |= {
            **prepared.facts,
            "scores": {
                n: means(s) | dict(final.scores.get(n, {})) for n, s in scores.items()
            },
            **({"baselines": final.baselines} if final.baselines else {}),
            **({"optimum": final.optimum} if final.optimum else {}),
            **({"chosen": final.chosen} if final.chosen else {}),
            "best_step": step,
            "stopped": self.stopped(),
            "tokens_per_second": at.step_tokens / max(at.step_seconds, 1e-9),
            "seconds": at.seconds,
            "feed_seconds": at.feed_seconds,
            "steps": at.step,
            "epochs": at.epoch + at.index / self.per_epoch,
            "parameters": count_parameters(params),
            "corpus": {
                "name": prepared.text.name,
                "fingerprint": prepared.text.fingerprint,
            },
            "versions": versions(),
        }
        lost = self.checkpoints.best_step()
        if lost not in (None, step):
            summary["best_step_lost"] = lost  # its checkpoint is damaged
        self.run.summary(summary, final.examples)
        return summary


def step_row(info: StepInfo) -> dict[str, Any]:
    """A step's numbers as a row of metrics.jsonl; lists in the order of `groups`."""
    weights = np.maximum(info.weights_P, np.finfo(np.float32).tiny)
    with np.errstate(over="ignore"):
        ratios = info.updates_P / weights
    count = float(info.loss.count)
    return {
        "loss": float(info.loss[0]) / max(count, 1.0),
        "tokens": int(count),
        "gradient_norm": float(info.gradient_norm),
        "clipped_norm": float(info.clipped_norm),
        "gradient_norms": rounded(info.gradients_P),
        "weight_norms": rounded(info.weights_P),
        "update_ratios": rounded(ratios),
    }


def rounded(values: np.ndarray) -> list[float]:
    """To five digits, which is what a plot shows."""
    return [float(f"{value:.5g}") for value in values.tolist()]

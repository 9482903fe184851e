"""A run's book: where it stands, what is due when, and all that is written of it.

What a run remembers between steps is `Position`, a few plain numbers that every
checkpoint holds beside the arrays. Who takes the steps and where the arrays live is
not said here: `experiments.loop` trains one run, `experiments.population` many.
"""

import dataclasses
import math
import time
from typing import Any

import numpy as np

from data_pipeline.types import Corpus
from experiments.run.directory import Run
from experiments.run.files import RunError
from experiments.run.provenance import versions
from experiments.train.evaluate import result
from experiments.train.position import Position, planned_steps
from lm.losses import Sum, perplexity
from lm.optim import after_epoch
from lm.train import StepInfo, TrainState


class Diverged(RunError):
    """The loss or a gradient is no longer a finite number."""

    everywhere = True


class Logbook:
    """The book of a run in progress.

    run, config  the run's directory, and what is run.
    display      see `experiments.progress.Silent`.
    steps        the last step that the config allows.
    names        of the parameter groups, in the order of `StepInfo`.
    at           where the run stands.
    """

    def __init__(self, run: Run, per_epoch: int, display: Any):
        self.run, self.config, self.display = run, run.config, display
        self.per_epoch = per_epoch
        self.steps = planned_steps(run.config, per_epoch)
        self.checkpoints = run.open_checkpoints()
        self.names: list[str] = []
        self.at = Position()
        self.evaluated = -1
        self.compiled: set[tuple[int, ...]] = set()
        self.ticked = time.perf_counter()

    def begin(self, fresh: TrainState) -> TrainState | None:
        """The state of the last sound checkpoint; None for a fresh start. What was
        written beyond it is dropped."""
        found = self.run.resume(self.checkpoints, fresh, Position.load)
        if found is None:
            self.run.log(step=0, groups=self.names)
            return None
        state, meta = found
        self.at = Position.load(meta)
        return state

    @property
    def done(self) -> bool:
        """Whether a bound of the config is reached."""
        return self.finished or self.late

    @property
    def finished(self) -> bool:
        """Whether a bound in steps, epochs or patience is reached."""
        patience, at = self.config.train.patience, self.at
        return at.step >= self.steps or bool(patience and at.waited >= patience)

    @property
    def late(self) -> bool:
        """Whether the bound in minutes is reached, by this process's clock."""
        minutes = self.config.train.minutes
        return bool(minutes and self.at.seconds >= 60 * minutes)

    def due(self, what: str, epoch_ended: bool) -> bool:
        """Whether an evaluation ("eval"), checkpoint or sample falls here."""
        every = getattr(self.config.train, f"{what}_every")
        if every:
            return self.at.step % every == 0
        return epoch_ended if what == "eval" else self.due("eval", epoch_ended)

    def tick(self) -> None:
        """Adds the wall clock since the last tick to the run's seconds."""
        now = time.perf_counter()
        self.at.seconds += now - self.ticked
        self.ticked = now

    def time(self, shape: tuple[int, ...], tokens: int, seconds: float) -> None:
        """Counts a step towards tokens/s, unless it was compiled for its shape."""
        if shape in self.compiled:
            self.at.step_seconds += seconds
            self.at.step_tokens += tokens
        self.compiled.add(shape)

    def record(self, step: int, rate: float, info: StepInfo) -> None:
        """Writes down what step `step` measured; `info` is on the host.

        Raises:
          Diverged: where it is not finite.
        """
        self._check_finite(step, info)
        nats, count = float(info.loss.nats), float(info.loss.count)
        self.at.nats, self.at.count = self.at.nats + nats, self.at.count + count
        row = step_row(info)
        self.run.log(step=step, epoch=self.at.epoch, learning_rate=rate, **row)
        self.display.step(self, step, row)

    def _check_finite(self, step: int, info: StepInfo) -> None:
        values = np.stack([info.gradients_P, info.updates_P, info.weights_P])
        if np.isfinite(info.loss.nats) and np.isfinite(values).all():
            return
        broken = [
            n
            for n, v in zip(self.names, values.T, strict=True)
            if not np.isfinite(v).all()
        ]
        kept = self.checkpoints.steps()
        raise Diverged(
            f"step {step}: loss {info.loss.nats:g}, not finite first in "
            f"{', '.join(broken) or 'the loss alone'}; "
            f"{f'checkpoint {kept[-1]} is kept' if kept else 'no checkpoint yet'}; try "
            "a smaller --optim.learning-rate or --optim.clip-at"
        )

    def judge(self, total: Sum) -> bool:
        """Writes down a validation loss; whether it is the best so far."""
        at = self.at
        self.evaluated = at.step
        at.valid = total.nats / total.count
        best = at.valid < at.best
        at.best, at.waited = (at.valid, 0) if best else (at.best, at.waited + 1)
        train = at.nats / at.count if at.count else math.nan
        row = {
            "valid_nats_per_token": at.valid,
            "valid_perplexity": perplexity(at.valid),
            "train_nats_per_token": train,
        }
        self.run.log(step=at.step, epoch=at.epoch, **row)
        self.display.evaluation(self, row)
        return best

    def end_epoch(self) -> None:
        """Moves the schedule and the position on to the next epoch."""
        at = self.at
        at.epoch, at.index = at.epoch + 1, 0
        at.schedule = after_epoch(
            self.config.optim, at.schedule, at.epoch, at.nats / at.count, at.valid
        )
        at.nats = at.count = 0.0

    def save(self, state: TrainState, best: bool) -> None:
        """The checkpoint of this step."""
        self.run.metrics.flush()
        meta = dataclasses.asdict(self.at)
        self.checkpoints.save(self.at.step, state, meta, best=best)


def step_row(info: StepInfo) -> dict[str, Any]:
    """A step's numbers as a row of metrics.jsonl; lists in the order of `groups`."""
    weights = np.maximum(info.weights_P, np.finfo(np.float32).tiny)
    with np.errstate(over="ignore"):
        ratios = info.updates_P / weights
    count = float(info.loss.count)
    return {
        "loss": float(info.loss.nats) / max(count, 1.0),
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


def conclude(
    book: Logbook, corpus: Corpus, totals: dict[str, Sum], step: int, parameters: int
) -> dict[str, Any]:
    """Writes `summary.json`, by which the run has ended; what it says.

    Args:
      totals: the loss on the splits "valid" and "test" ...
      step: ... with the parameters of this step, the best.
    """
    at = book.at
    summary: dict[str, Any] = {name: result(total) for name, total in totals.items()}
    if "optimal_perplexity" in corpus.facts:
        summary["optimum"] = corpus.facts["optimal_perplexity"]
    summary |= {
        "best_step": step,
        "tokens_per_second": at.step_tokens / max(at.step_seconds, 1e-9),
        "seconds": at.seconds,
        "feed_seconds": at.feed_seconds,
        "steps": at.step,
        "epochs": at.epoch + at.index / book.per_epoch,
        "parameters": parameters,
        "corpus": {"name": corpus.name, "fingerprint": corpus.fingerprint},
        "versions": versions(),
    }
    lost = book.checkpoints.best_step()
    if lost not in (None, step):
        summary["best_step_lost"] = lost  # its checkpoint is damaged
    book.run.summary(summary)
    return summary

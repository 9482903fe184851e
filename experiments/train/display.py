"""What a run shows while it trains: one live line, or plain lines without a terminal.

    epoch 3/10 ━━━╸── 6.1k tokens/s ppl 101 |g| 1.3 clip 12% horizon 20 left 00:41

The horizon is that of the latest probe (`experiments.train.probe`). A line wider than
the terminal loses first what can best be done without. Everything shown is in
metrics.jsonl or gradflow.npz too.
"""

import time
from collections import deque
from typing import Any

from experiments.console.live import Live, bar
from experiments.train.callback import Callback
from experiments.train.run_state import RunState
from lm.losses import perplexity

BAR = 6
DISPENSABLE = ("loss", "norm", "rate", "ppl", "clip", "horizon")


class Display(Callback):
    """How far training is, on a line of its own."""

    def __init__(self, line: Live | None = None):
        self.line = Live() if line is None else line
        self.recent: deque[dict[str, Any]] = deque(maxlen=100)
        self.first: tuple[int, float] | None = None

    def stepped(self, run: RunState, step: int, row: dict[str, Any]) -> None:
        self.recent.append(row)
        if self.first is None:
            self.first = (step, time.monotonic())
        elif self.line.due:
            parts = self._parts(run, step, time.monotonic())
            where = self._where(run) if self.line.live else f"step {step:,} "
            room = self.line.width - len(where) - 1
            self.line.show(f"{where} {fitting(parts, room)}")

    def judged(self, run: RunState, row: dict[str, Any]) -> None:
        at = run.at
        self.line.note(
            f"step {at.step:,}  epoch {at.epoch + at.index / run.per_epoch:.2f}"
            f"  {evaluated(row)}{'  (best)' if at.waited == 0 else ''}"
        )

    def close(self) -> None:
        self.line.close()

    def _parts(self, run: RunState, step: int, now: float) -> dict[str, str]:
        """Rates and means over the recent steps, by the name that precedes each."""
        rows = self.recent
        assert self.first is not None
        steps, seconds = step - self.first[0], max(now - self.first[1], 1e-9)
        tokens = sum(r["tokens"] for r in rows)
        loss = sum(r["loss"] * r["tokens"] for r in rows) / max(tokens, 1)
        clipped = sum(r["clipped_norm"] < 0.999 * r["gradient_norm"] for r in rows)
        rate = tokens / len(rows) * steps / seconds
        nats = run.plan.application.nats
        parts = {
            "rate": f"{_short(rate)} {'tokens' if nats else 'answers'}/s",
            "loss": f"loss {loss:.2f}",
            "ppl": f"ppl {_short(perplexity(loss))}",
            "norm": f"|g| {rows[-1]['gradient_norm']:.2g}",
            "clip": f"clip {clipped / len(rows):.0%}",
        }
        if not nats:
            del parts["ppl"]
        if run.horizon is not None:
            parts["horizon"] = f"horizon {run.horizon}"
        return parts | {"left": f"left {_clock(self._left(run, steps, seconds))}"}

    def _left(self, run: RunState, steps: int, seconds: float) -> float:
        """Seconds until the last step or the time bound, whichever comes first."""
        left = (run.steps - run.at.step) * seconds / max(steps, 1)
        minutes = run.config.train.minutes
        return min(left, 60 * minutes - run.at.seconds) if minutes else left

    def _where(self, run: RunState) -> str:
        """The epoch, and how much of the run is done."""
        epochs = run.config.train.epochs or "∞"
        return f"epoch {run.at.epoch + 1}/{epochs} {bar(self._share(run), BAR)}"

    def _share(self, run: RunState) -> float:
        minutes = run.config.train.minutes
        in_time = run.at.seconds / (60 * minutes) if minutes else 0.0
        return max(run.at.step / run.steps, in_time)


def evaluated(row: dict[str, Any]) -> str:
    """A row of an evaluation in words."""
    if "valid_perplexity" in row:
        train, valid = row["train_nats_per_token"], row["valid_nats_per_token"]
        return (
            f"train perplexity {perplexity(train):,.1f}  valid {valid:.4f} nats, "
            f"perplexity {row['valid_perplexity']:,.2f}"
        )
    named = {name.replace("_", " "): value for name, value in row.items()}
    return "  ".join(f"{name} {value:.4f}" for name, value in named.items())


def fitting(parts: dict[str, str], room: int) -> str:
    """The parts in a line of at most `room` characters, without the most dispensable
    where they are too many."""
    kept = dict(parts)
    for name in DISPENSABLE:
        if len(" ".join(kept.values())) <= room:
            break
        kept.pop(name, None)
    return " ".join(kept.values())


def _short(value: float) -> str:
    """1234567 as 1.2M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.1f}{letter}"
    return f"{value:.1f}"


def _clock(seconds: float) -> str:
    """3661 as 1:01:01."""
    whole = max(0, int(seconds))
    hours, rest = divmod(whole, 3600)
    text = f"{rest // 60:02d}:{rest % 60:02d}"
    return f"{hours}:{text}" if hours else text

"""What a sweep shows while it runs, in a line.

trials 17/60, 2 running, best 4.8123 nats, 5 pruned or diverged, left 06:40
"""

import time

from experiments.sweep.workers import StudyState


class Progress:
    """Words for a study's state as it changes. unit: of its values."""

    def __init__(self, trials: int, unit: str):
        self.trials, self.unit = trials, unit
        self.began = time.monotonic()
        self.first: int | None = None

    def line(self, state: StudyState) -> str:
        """One line; time left by the rate since the first one."""
        if self.first is None:
            self.first = state.done
        parts = [f"trials {state.done}/{self.trials}, {state.running} running"]
        if state.best is not None:
            parts.append(f"best {state.best:.4f} {self.unit}")
        if state.pruned:
            parts.append(f"{state.pruned} pruned or diverged")
        if state.failed:
            parts.append(f"{len(state.failed)} failed")
        if done := state.done - self.first:
            rate = (time.monotonic() - self.began) / done
            left = int(rate * (self.trials - state.done))
            parts.append(f"left {left // 60:02d}:{left % 60:02d}")
        return ", ".join(parts)

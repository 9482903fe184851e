"""What a sweep shows while it runs: one live line, or plain lines without a terminal.

trials 17/60, 2 running, best 4.8123 nats, 5 pruned or diverged, left 06:40
"""

import sys
import time

from experiments.sweep.workers import StudyState

PLAIN_SECONDS = 15.0


class Progress:
    """Shows a study's state as it changes. unit: of its values."""

    def __init__(self, trials: int, unit: str, live: bool | None = None):
        self.trials, self.unit = trials, unit
        self.live = sys.stdout.isatty() if live is None else live
        self.began = self.said_at = time.monotonic()
        self.first: int | None = None
        self.said = ""

    def show(self, state: StudyState) -> None:
        """The state of the study now."""
        now = time.monotonic()
        if self.first is None:
            self.first = state.done
        text = self.line(state, now - self.began)
        if self.live:
            print(f"\r\033[K{text}", end="", flush=True)
        elif now - self.said_at > PLAIN_SECONDS and text != self.said:
            print(text, flush=True)
            self.said, self.said_at = text, now

    def line(self, state: StudyState, seconds: float) -> str:
        """One line; time left by the rate since this process began."""
        done = state.done - (self.first or 0)
        parts = [f"trials {state.done}/{self.trials}, {state.running} running"]
        if state.best is not None:
            parts.append(f"best {state.best:.4f} {self.unit}")
        if state.pruned:
            parts.append(f"{state.pruned} pruned or diverged")
        if state.failed:
            parts.append(f"{len(state.failed)} failed")
        if done:
            left = int(seconds / done * (self.trials - state.done))
            parts.append(f"left {left // 60:02d}:{left % 60:02d}")
        return ", ".join(parts)

    def close(self) -> None:
        """Ends the live line."""
        if self.live:
            print("", flush=True)

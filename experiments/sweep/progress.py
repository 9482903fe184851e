"""What a sweep shows while it runs: one live line, or plain lines without a terminal.

trials 17/60, 2 running, best 4.8123 nats, 5 pruned or diverged, left 06:40
"""

import sys
import time
from typing import Any

PLAIN_SECONDS = 15.0


class Board:
    """Shows a study's `Count` as it changes."""

    def __init__(self, trials: int, live: bool | None = None):
        self.trials = trials
        self.live = sys.stdout.isatty() if live is None else live
        self.began = self.said_at = time.monotonic()
        self.first: int | None = None
        self.said = ""

    def show(self, count: Any) -> None:
        """The state of the study now."""
        now = time.monotonic()
        if self.first is None:
            self.first = count.done
        text = self.line(count, now - self.began)
        if self.live:
            print(f"\r\033[K{text}", end="", flush=True)
        elif now - self.said_at > PLAIN_SECONDS and text != self.said:
            print(text, flush=True)
            self.said, self.said_at = text, now

    def line(self, count: Any, seconds: float) -> str:
        """One line; time left by the rate since this process began."""
        done = count.done - (self.first or 0)
        parts = [f"trials {count.done}/{self.trials}, {count.running} running"]
        if count.best is not None:
            parts.append(f"best {count.best:.4f} nats")
        if count.pruned:
            parts.append(f"{count.pruned} pruned or diverged")
        if count.failed:
            parts.append(f"{len(count.failed)} failed")
        if done:
            left = int(seconds / done * (self.trials - count.done))
            parts.append(f"left {left // 60:02d}:{left % 60:02d}")
        return ", ".join(parts)

    def __enter__(self) -> "Board":
        return self

    def __exit__(self, *_: Any) -> None:
        if self.live:
            print("", flush=True)

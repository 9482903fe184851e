"""What a study shows while it runs: one bar over all of its runs.

    cells  ━━━━━╸────   41%  left 0:02:31  lstm, forget bias 1, seed 0

Without a terminal, a plain line every ten seconds.
"""

import sys
import time
from datetime import timedelta
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn

from experiments.train.display import LIVE_SECONDS, PLAIN_SECONDS


class StudyDisplay:
    """`begin`, then `advance` as work is done, `note` for lines of text, `close`."""

    def __init__(self, name: str, live: bool | None = None):
        self.name = name
        self.live = sys.stdout.isatty() if live is None else live
        self.total = self.done = 0.0
        self.began = self.drawn = time.perf_counter()
        self.bar: Any = None

    def begin(self, total: float) -> None:
        """There are `total` pieces of work, of any unit, from here on."""
        self.total, self.done = total, 0.0
        self.began = time.perf_counter()

    def advance(self, what: str, pieces: float) -> None:
        """So many more pieces of work are done; `what` says on which run."""
        self.done += pieces
        now = time.perf_counter()
        if now - self.drawn < (LIVE_SECONDS if self.live else PLAIN_SECONDS):
            return
        self.drawn = now
        share = self.done / max(self.total, 1)
        line = f"{share:4.0%}  left {self._left(share, now)}  {what}"
        if self.live:
            self._draw(share, line)
        else:
            print(f"{self.name} {line}", flush=True)

    def note(self, text: str) -> None:
        """A line that stays."""
        if self.bar is None:
            print(text, flush=True)
        else:
            self.bar.console.print(text, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Takes the bar away."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def _left(self, share: float, now: float) -> str:
        """Time that is left, at the rate so far; too early it is anyone's guess."""
        if share < 0.01:
            return "-:--:--"
        seconds = (now - self.began) * (1 - share) / share
        return str(timedelta(seconds=int(seconds)))

    def _draw(self, share: float, line: str) -> None:
        if self.bar is None:
            columns = (TextColumn(self.name), BarColumn(20))
            self.bar = Progress(*columns, TextColumn("{task.fields[line]}"))
            self.task = self.bar.add_task("", total=1, line="")
            self.bar.start()
        self.bar.update(self.task, completed=share, line=line)


class Quiet(StudyDisplay):
    """Shows nothing."""

    def advance(self, what: str, pieces: float) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""


def quiet() -> Quiet:
    """A display that shows nothing."""
    return Quiet("", live=False)

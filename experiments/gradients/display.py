"""What a study shows while it runs: one line over all of its runs.

cells  41%  left 0:02:31  lstm, forget bias 1, seed 0
"""

import io
import time
from datetime import timedelta

from experiments.console.live import Live


class StudyDisplay:
    """`begin`, then `advance` as work is done, `note` for lines of text, `close`."""

    def __init__(self, name: str, line: Live | None = None):
        self.name = name
        self.line = Live() if line is None else line
        self.noted: set[str] = set()
        self.begin(0.0)

    def begin(self, total: float) -> None:
        """There are `total` pieces of work, of any unit, from here on."""
        self.total, self.done = total, 0.0
        self.began = time.monotonic()

    def advance(self, what: str, pieces: float) -> None:
        """So many more pieces of work are done; `what` says on which run."""
        self.done += pieces
        if self.line.due:
            share = self.done / max(self.total, 1)
            left = self._left(share)
            self.line.show(f"{self.name}  {share:4.0%}  left {left}  {what}")

    def note(self, text: str) -> None:
        """A line that stays."""
        self.line.note(text)

    def note_once(self, text: str) -> None:
        """A line that stays, unless it stands there already."""
        if text not in self.noted:
            self.noted.add(text)
            self.note(text)

    def close(self) -> None:
        """Takes the line away."""
        self.line.close()

    def _left(self, share: float) -> str:
        """Time that is left, at the rate so far; too early it is anyone's guess."""
        if share < 0.01:
            return "-:--:--"
        seconds = (time.monotonic() - self.began) * (1 - share) / share
        return str(timedelta(seconds=int(seconds)))


def quiet() -> StudyDisplay:
    """A display that shows nothing."""
    return StudyDisplay("", Live(False, io.StringIO()))

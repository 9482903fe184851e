"""One line that tells how far some work is.

On a terminal it is redrawn a few times a second; elsewhere it is a line every ten
seconds, where it has changed. It is cut to the terminal's width, and where nobody can
read it any more, the work goes on without it.

    with Live() as line:
        for number in range(1000):
            if line.due:
                line.show(f"{number} of 1000")
"""

import shutil
import sys
import time
from collections.abc import Callable
from typing import Any

from experiments.console.streams import Lasting

PLAIN_SECONDS = 10.0
LIVE_SECONDS = 0.2


def bar(share: float, width: int) -> str:
    """A share of 0 to 1 as a bar of so many characters."""
    halves = round(2 * width * min(max(share, 0.0), 1.0))
    full, half = divmod(halves, 2)
    return ("━" * full + "╸" * half).ljust(width, "─")


class Live:
    """`show` the line as it is now, `note` lines that stay, `close` at the end.

    live    whether there is a terminal to redraw it on; None: look.
    stream  where to; None: standard output.
    """

    def __init__(self, live: bool | None = None, stream: Any = None):
        self._stream = Lasting(sys.stdout if stream is None else stream)
        self.live = self._is_terminal() if live is None else live
        self._shown_at = time.monotonic()
        self._text = ""
        self._drawn = False

    @property
    def due(self) -> bool:
        """Whether `show` would show something now, so that its words are worth
        making."""
        seconds = LIVE_SECONDS if self.live else PLAIN_SECONDS
        return time.monotonic() - self._shown_at >= seconds

    @property
    def width(self) -> int:
        """Characters that fit into the line; without a terminal any number do."""
        return shutil.get_terminal_size().columns - 1 if self.live else 1 << 20

    def show(self, text: str) -> None:
        """The line as it is now; nothing where it is not yet `due`."""
        if not self.due or text == self._text:
            return
        self._shown_at, self._text = time.monotonic(), text
        line = "".join(c if c.isprintable() else "�" for c in text)[: self.width]
        self._write(f"\r\033[K{line}" if self.live else f"{line}\n")
        self._drawn = self.live

    def note(self, text: str) -> None:
        """A line that stays."""
        self._clear()
        self._write(f"{text}\n")

    def close(self) -> None:
        """Takes the line away; what was noted stays."""
        self._clear()

    def __enter__(self) -> "Live":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def _clear(self) -> None:
        if self._drawn:
            self._write("\r\033[K")
            self._drawn, self._text = False, ""

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()

    def _is_terminal(self) -> bool:
        try:
            return self._stream.isatty()
        except (AttributeError, ValueError, OSError):
            return False


def counting(line: Live, what: str, total: int = 0) -> Callable[[int], None]:
    """(count) -> shows how many of `what` have come by now and how fast; with a bar
    where it is known how many will, in `total`."""
    began, counts = time.monotonic(), [0]

    def count(more: int) -> None:
        counts[0] += more
        if not line.due:
            return
        rate = counts[0] / max(time.monotonic() - began, 1e-9)
        told = f"{counts[0]:,} {what}, {rate:,.0f} a second"
        if total:
            told = f"{bar(counts[0] / total, 20)} {told} of {total:,}"
        line.show(told)

    return count

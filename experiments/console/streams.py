"""Standard output and error as a command needs them: there, and for any character.

What cannot be encoded is written as an escape. Where nobody reads any more (a closed
pipe, a full disk, a terminal that is gone), `Lasting` goes on in silence.
"""

import io
import os
import sys
from contextlib import suppress
from typing import Any


def prepare_streams() -> None:
    """Opens what was closed before this process began, and makes sure that no
    character ends a command. May be called more than once."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:  # else the next file that is opened would take its place
            os.open(os.devnull, os.O_RDONLY if number == 0 else os.O_WRONLY)
        if number and getattr(sys, name) is None:
            setattr(sys, name, open(number, "w", closefd=False))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def discard(stream: Any) -> None:
    """From here on what is written to the stream goes nowhere."""
    with suppress(OSError, ValueError, AttributeError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


class Lasting:
    """A text stream that goes on in silence once it cannot be written to."""

    def __init__(self, stream: Any):
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Writes, or does nothing."""
        try:
            return self._stream.write(text)
        except (OSError, ValueError):
            discard(self._stream)
            return len(text)

    def flush(self) -> None:
        """Flushes, or does nothing."""
        try:
            self._stream.flush()
        except (OSError, ValueError):
            discard(self._stream)
            with suppress(OSError, ValueError):
                self._stream.flush()  # what it held goes nowhere too

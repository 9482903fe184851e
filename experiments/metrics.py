"""A run's numbers as JSON lines, one row a step, and for TensorBoard on request."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from experiments.files import RunError, plain, write_text_atomic

FLUSH_SECONDS = 1.0


class Metrics:
    """Appends rows to a `metrics.jsonl`, buffered, flushed about every second.

    Rows are dicts of numbers, strings, lists and arrays; `step` says after how many
    optimizer steps a row holds.
    """

    def __init__(self, path: str | Path, tensorboard: bool = False):
        self.path = Path(path)
        self._board = _board(self.path.parent) if tensorboard else None
        self._file: Any = None
        self._flushed = time.monotonic()

    def write(self, row: dict[str, Any]) -> None:
        """Appends one row."""
        row = plain(row)
        if self._file is None:
            _end_line(self.path)
            self._file = open(self.path, "a", encoding="utf-8", buffering=1 << 17)
        self._file.write(json.dumps(row, ensure_ascii=False) + "\n")
        if self._board is not None:
            _to_board(self._board, row)
        if time.monotonic() - self._flushed > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Hands everything to the operating system."""
        if self._file is not None:
            self._file.flush()
        self._flushed = time.monotonic()

    def close(self) -> None:
        """Flushes and closes; a later `write` opens again."""
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._board is not None:
            self._board.flush()

    def rewind(self, step: int) -> None:
        """Drops the rows beyond `step`, which a resumed run will write again."""
        self.close()
        if not self.path.exists():
            return
        kept = [row for row in read_metrics(self.path) if row.get("step", 0) <= step]
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in kept]
        write_text_atomic(self.path, "".join(lines))


def read_metrics(path: str | Path) -> Iterator[dict[str, Any]]:
    """The rows of a `metrics.jsonl`. A torn last line, as a kill leaves it, is left
    out; a broken line elsewhere raises RunError."""
    with open(path, encoding="utf-8", errors="replace") as file:
        lines = file.read().split("\n")
    while lines and not lines[-1]:
        lines.pop()
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError("not an object")
            yield row
        except ValueError as error:
            if number < len(lines):
                raise RunError(f"{path}, line {number}: {error}") from None


def _end_line(path: Path) -> None:
    """Cuts off a torn last line, so that the next row starts a line of its own."""
    if not path.exists():
        return
    with open(path, "rb+") as file:
        size = file.seek(0, 2)
        tail_at = max(0, size - (1 << 20))
        file.seek(tail_at)
        tail = file.read()
        if tail and not tail.endswith(b"\n"):
            file.truncate(tail_at + tail.rfind(b"\n") + 1)


def _board(directory: Path) -> Any:
    try:
        from tensorboardX import SummaryWriter  # type: ignore
    except ImportError:
        raise RunError(
            "train.tensorboard needs the package tensorboardX: pip install "
            "tensorboardX, or leave the option out"
        ) from None
    return SummaryWriter(str(directory / "tensorboard"))


def _to_board(board: Any, row: dict[str, Any]) -> None:
    for name, value in row.items():
        if isinstance(value, int | float) and name != "step":
            board.add_scalar(name, value, row.get("step", 0))

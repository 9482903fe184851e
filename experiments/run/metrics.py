"""A run's numbers as JSON lines, one row a step, and for TensorBoard on request."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from experiments.run.files import RunError, plain, write_text_atomic

FLUSH_SECONDS = 1.0


class Metrics:
    """Appends rows to a `metrics.jsonl`, buffered, flushed about every second.

    Rows are dicts of numbers, strings, lists and arrays; `step` says after how many
    optimizer steps a row holds.
    """

    def __init__(self, path: str | Path, tensorboard: bool = False):
        self.path = Path(path)
        self._board = Board(self.path) if tensorboard else None
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
            self._board.write(row)
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
            self._board.close()

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


class Board:
    """The same rows for TensorBoard, in `tensorboard/` beside the metrics.

    Numbers go under their name, lists of numbers per parameter group under
    name/group.
    """

    def __init__(self, metrics: Path):
        try:
            from tensorboardX import SummaryWriter  # type: ignore
        except ImportError:
            raise RunError(
                "train.tensorboard needs the package tensorboardX: pip install "
                "tensorboardX, or leave the option out"
            ) from None
        rows = read_metrics(metrics) if metrics.exists() else iter(())
        self._groups = next(rows, {}).get("groups", [])
        folder = metrics.parent / "tensorboard"
        # Its files are named after the second only: number those of resumed runs.
        number = len(list(folder.iterdir())) if folder.is_dir() else 0
        self._writer = SummaryWriter(str(folder), filename_suffix=f".{number}")

    def write(self, row: dict[str, Any]) -> None:
        """One row."""
        self._groups = row.get("groups", self._groups)
        for name, value in row.items():
            if isinstance(value, list) and len(value) == len(self._groups):
                pairs = zip(self._groups, value, strict=True)
                found = {f"{name}/{group}": number for group, number in pairs}
            else:
                found = {name: value}
            for label, number in found.items():
                if isinstance(number, int | float) and label != "step":
                    self._writer.add_scalar(label, number, row.get("step", 0))

    def close(self) -> None:
        """Waits until everything is written; a later `write` opens a new file."""
        self._writer.close()

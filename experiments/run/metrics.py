"""A run's numbers as JSON lines, one row a step, and for TensorBoard on request."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from experiments.run.files import RunError, plain, reading, writing

FLUSH_SECONDS = 1.0
BLOCK = 1 << 20  # bytes read at a time, from the end


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
        line = json.dumps(row, ensure_ascii=False) + "\n"
        with writing(self.path):
            if self._file is None:
                _end_line(self.path)
                self._file = open(self.path, "ab", buffering=1 << 17)
            self._file.write(line.encode("utf-8", "backslashreplace"))
        if self._board is not None:
            self._board.write(row)
        if time.monotonic() - self._flushed > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Hands everything to the operating system."""
        if self._file is not None:
            with writing(self.path):
                self._file.flush()
        self._flushed = time.monotonic()

    def close(self) -> None:
        """Flushes and closes; a later `write` opens again."""
        if self._file is not None:
            file, self._file = self._file, None
            with writing(self.path):
                file.close()
        if self._board is not None:
            self._board.close()

    def rewind(self, step: int) -> None:
        """Drops the rows beyond `step`, which a resumed run will write again.

        Rows stand in the order of their steps, so the cut is looked for from the end:
        what lies before it is not read, however long the run was.
        """
        self.close()
        if not self.path.exists():
            return
        with writing(self.path), open(self.path, "rb+") as file:
            end = 0
            for begin, line in _lines_from_the_end(file):
                row_step = _step_of(line)
                if row_step is not None and row_step <= step:
                    end = begin + len(line)
                    break
            file.truncate(end)


def read_metrics(
    path: str | Path, pass_over: Callable[[str], None] | None = None
) -> Iterator[dict[str, Any]]:
    """The rows of a `metrics.jsonl`, one at a time. A torn last line, as a kill leaves
    it, is left out; a broken line elsewhere raises RunError.

    pass_over: is told of each broken line instead, the last one too.
    """
    broken = ""
    with reading(path), open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            if broken:
                raise RunError(broken)
            try:
                row = json.loads(line.decode("utf-8", "replace"))
                if not isinstance(row, dict):
                    raise ValueError("not an object")
            except (ValueError, RecursionError) as error:
                broken = f"{path}, line {number}: {_short(error)}"
                if pass_over is not None:
                    pass_over(broken)
                    broken = ""
                continue
            yield row


def _short(error: Exception) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)


def _step_of(line: bytes) -> float | None:
    """The step of a whole row; None for a torn or broken line."""
    try:
        step = json.loads(line).get("step", 0) if line.endswith(b"\n") else None
    except (ValueError, AttributeError, RecursionError):
        return None
    return step if type(step) in (int, float) else None


def _lines_from_the_end(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """(where it begins, the line with its end) of each line, the last one first."""
    begin, rest = file.seek(0, 2), b""
    while begin:
        size = min(BLOCK, begin)
        begin -= size
        file.seek(begin)
        first, *lines = (file.read(size) + rest).splitlines(keepends=True)
        at = begin + len(first) + sum(map(len, lines))
        for line in reversed(lines):
            at -= len(line)
            yield at, line
        rest = first  # it may have begun in the block before
    if rest:
        yield 0, rest


def _end_line(path: Path) -> None:
    """Cuts off a torn last line, so that the next row starts a line of its own."""
    if not path.exists():
        return
    with open(path, "rb+") as file:
        begin, line = next(_lines_from_the_end(file), (0, b"\n"))
        if not line.endswith(b"\n"):
            file.truncate(begin)


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

"""RUN/gradflow.npz: columns of probes, read, rewound and written.

While a run goes on, its latest probes lie in RUN/gradflow.tail, to which each is added
at its end; when there are as many as in gradflow.npz, that is written anew with all of
them. So what is written in total grows with the number of probes, not with its square.
Readers put the two together.
"""

import io
import os
import struct
import time
import zipfile
import zlib
from pathlib import Path

import numpy as np

from experiments.run.files import RunError, say, write_npz_atomic

FILE, TAIL = "gradflow.npz", "gradflow.tail"
FLUSH_SECONDS = 20.0

Row = dict[str, np.ndarray]
Columns = dict[str, np.ndarray]


def column_of(group: str, name: str) -> str:
    """A column's name in the file: `GROUP/NAME`, or the name alone."""
    return f"{group}/{name}" if group else name


def grouped(columns: Columns) -> dict[str, Columns]:
    """{group: its columns by their own names}, with `step` and `last` in each; of a
    network that is one stack {"": all}."""
    shared = {name: columns[name] for name in ("step", "last") if name in columns}
    found: dict[str, Columns] = {}
    for name, column in columns.items():
        group, _, own = name.rpartition("/")
        if name not in shared:
            found.setdefault(group, dict(shared))[own] = column
    return found


class Rows:
    """The probes of a run in progress, one row each."""

    def __init__(self, run_dir: Path):
        """Goes on with those that are there, but for a last one: the end of a run that
        now goes on is no place for a probe."""
        self._directory = run_dir
        self._rows = [row for row in _load(run_dir) if not row["last"]]
        self._steps = {int(row["step"]) for row in self._rows}
        self._whole = self._written = 0
        self._flushed = time.monotonic()

    def __contains__(self, step: int) -> bool:
        return step in self._steps

    def add(self, row: Row) -> None:
        """One more; those of other shapes before it are dropped, with a note."""
        if self._rows and _shapes(self._rows[0]) != _shapes(row):
            say(
                f"note: the probes in {self._directory / FILE} from before step "
                f"{row['step']} were made with other gradflow.lags or by another "
                "version; they are dropped",
            )
            self._rows, self._steps, self._whole, self._written = [], set(), 0, 0
        self._rows.append(row)
        self._steps.add(int(row["step"]))
        if time.monotonic() - self._flushed > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Writes what is not written."""
        if len(self._rows) >= 2 * self._whole:
            self.close()
        elif self._written < len(self._rows):
            with open(self._directory / TAIL, "ab") as file:
                for row in self._rows[self._written :]:
                    file.write(_packed(row))
                file.flush()
                os.fsync(file.fileno())
        self._written, self._flushed = len(self._rows), time.monotonic()

    def close(self) -> None:
        """All in gradflow.npz."""
        if self._written < len(self._rows) or self._whole < self._written:
            _save(self._directory, self._rows)
        self._whole = self._written = len(self._rows)


def read_probe(run_dir: str | Path) -> Columns:
    """The columns of the probes: one row a probe, `step` among them.

    Raises:
      RunError: where there are none, or the file is damaged.
    """
    path = Path(run_dir) / FILE
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            _check_sizes(path, file.zip)
            columns = {name: file[name] for name in file.files}
        rows = {np.shape(column)[:1] for column in columns.values()}
        step = columns["step"]
        if step.ndim != 1 or step.dtype.kind not in "iuf" or rows != {step.shape}:
            raise ValueError("its columns do not fit together")
    except FileNotFoundError:
        raise RunError(f"{path} is not there: the run made no probes") from None
    except _BROKEN as error:
        raise RunError(
            f"{path} is damaged ({error}); without it the run can still be used"
        ) from None
    tail = _tail(path.with_name(TAIL), columns)
    if not tail:
        return columns
    later = {name: [row[name] for row in tail] for name in columns}
    return {name: np.concatenate([c, later[name]]) for name, c in columns.items()}


_BROKEN = (OSError, ValueError, EOFError, KeyError, TypeError, AttributeError)
_BROKEN += (SyntaxError, MemoryError, OverflowError, RuntimeError, NotImplementedError)
_BROKEN += (RecursionError, zipfile.BadZipFile, zlib.error, struct.error)


def _check_sizes(path: Path, archive: zipfile.ZipFile) -> None:
    """ValueError where arrays would be larger than the file: ours are not packed."""
    size = sum(member.file_size for member in archive.infolist())
    if size > path.stat().st_size:
        raise ValueError(f"it holds {size:,} bytes in fewer")


def rewind_probe(run_dir: Path, step: int) -> None:
    """Drops the probes beyond `step`, which a resumed run will make again. A damaged
    file is set aside: the run goes on without what was in it."""
    path = run_dir / FILE
    try:
        rows = _load(run_dir)
    except RunError as error:
        aside = path.with_name(f"{FILE}.damaged")
        os.replace(path, aside)
        (run_dir / TAIL).unlink(missing_ok=True)
        say(f"warning: {error}; it is kept as {aside.name}, and a new one begins")
        return
    kept = [row for row in rows if row["step"] <= step]
    if len(kept) < len(rows) or (run_dir / TAIL).exists():
        _save(run_dir, kept)


def _load(run_dir: Path) -> list[Row]:
    """One row a probe."""
    if not (run_dir / FILE).exists():
        return []
    columns = read_probe(run_dir)
    count = len(columns["step"])
    return [{name: c[n] for name, c in columns.items()} for n in range(count)]


def _save(run_dir: Path, rows: list[Row]) -> None:
    if rows:
        columns = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
        write_npz_atomic(run_dir / FILE, columns)
    else:
        (run_dir / FILE).unlink(missing_ok=True)
    (run_dir / TAIL).unlink(missing_ok=True)


def _packed(row: Row) -> bytes:
    """A row as one structured array in NumPy's own format."""
    kind = [(name, np.asarray(v).dtype, np.shape(v)) for name, v in row.items()]
    whole = np.zeros((), kind)
    for name, value in row.items():
        whole[name] = value
    file = io.BytesIO()
    np.save(file, whole, allow_pickle=False)
    return file.getvalue()


def _tail(path: Path, columns: Columns) -> list[Row]:
    """The rows there that `columns` lack; a torn last one, as a kill leaves it, is left
    out."""
    rows: list[Row] = []
    try:
        file = io.BytesIO(path.read_bytes())
    except FileNotFoundError:
        return rows
    known = set(columns["step"].tolist())
    while file.tell() < len(file.getbuffer()):
        try:
            whole = np.load(file, allow_pickle=False)
        except _BROKEN:
            break
        row = {name: whole[name] for name in whole.dtype.names or ()}
        if row.keys() == columns.keys() and int(row["step"]) not in known:
            rows.append(row)
    return rows


def _shapes(row: Row) -> dict[str, tuple[int, ...]]:
    return {name: np.shape(value) for name, value in row.items()}

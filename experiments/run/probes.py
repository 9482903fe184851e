"""RUN/gradflow.npz: columns of probes, read, rewound and written."""

import os
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np

from experiments.run.files import RunError, say, write_npz_atomic

FILE = "gradflow.npz"


Row = dict[str, np.ndarray]


def read_probe(run_dir: str | Path) -> dict[str, np.ndarray]:
    """The columns of RUN/gradflow.npz: one row a probe, `step` among them.

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
        return columns
    except FileNotFoundError:
        raise RunError(f"{path} is not there: the run made no probes") from None
    except _BROKEN as error:
        raise RunError(
            f"{path} is damaged ({error}); without it the run can still be used"
        ) from None


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
        rows = _load(path)
    except RunError as error:
        aside = path.with_name(f"{FILE}.damaged")
        os.replace(path, aside)
        say(f"warning: {error}; it is kept as {aside.name}, and a new one begins")
        return
    kept = [row for row in rows if row["step"] <= step]
    if len(kept) < len(rows):
        _save(path, kept)


def _load(path: Path) -> list[Row]:
    """One row a probe."""
    if not path.exists():
        return []
    columns = read_probe(path.parent)
    count = len(columns["step"])
    return [{name: c[n] for name, c in columns.items()} for n in range(count)]


def _save(path: Path, rows: list[Row]) -> None:
    if not rows:
        return path.unlink(missing_ok=True)
    columns = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    write_npz_atomic(path, columns)


def _shapes(row: Row) -> dict[str, tuple[int, ...]]:
    return {name: np.shape(value) for name, value in row.items()}

"""RUN/gradflow.npz: columns of probes, read, rewound and written."""

import zipfile
from pathlib import Path

import numpy as np

from experiments.run.files import RunError, write_npz_atomic

FILE = "gradflow.npz"


Row = dict[str, np.ndarray]


def read_probe(run_dir: str | Path) -> dict[str, np.ndarray]:
    """The columns of RUN/gradflow.npz, see above.

    Raises:
      RunError: where there are none, or the file is damaged.
    """
    path = Path(run_dir) / FILE
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise RunError(f"{path} is not there: the run made no probes") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise RunError(
            f"{path} is damaged ({error}); without it the run can still be used"
        ) from None


def rewind_probe(run_dir: Path, step: int) -> None:
    """Drops the probes beyond `step`, which a resumed run will make again."""
    rows = _load(run_dir / FILE)
    kept = [row for row in rows if row["step"] <= step]
    if len(kept) < len(rows):
        _save(run_dir / FILE, kept)


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

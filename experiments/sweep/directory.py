"""A sweep's directory: what it made itself, and how it knows.

    sweep.json   the mark: which sweep it is, and digests of the files written since
    study.db     the study, unless --storage says otherwise
    trials/      the runs, NNNN/seed-K, each an ordinary run directory
    workers/     what the workers said
    compiled/    programs that were compiled, for the next trial of the same shape
    table.csv, table.json, sweep.html, figures/   what came of it

Nothing is written where a folder is not marked as this sweep's own, no file is
overwritten that it did not write itself, and no link is followed.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna

from experiments.applications import load
from experiments.config import RunConfig
from experiments.run import record
from experiments.run.files import (
    RunError,
    read_json,
    whole_or_nothing,
    write_json_atomic,
    writing,
)
from experiments.sweep.study import terms_of

MARK, FORMAT, LOCK = "sweep.json", "sweep-1", ".sweep.lock"
DATABASE, TRIALS = "study.db", "trials"
FOLDERS = (TRIALS, "workers", "compiled", "figures")
TABLES = ("table.csv", "table.json", "sweep.html")
# By which the tables of a sweep made before there were marks are known.
BEFORE = {
    "table.csv": b"trial,state,valid,valid_half,test,",
    "table.json": b'"heard": {',
    "sweep.html": b"<h1>Sweep ",
    "figures/*.png": b"Matplotlib version",
}


def read_mark(directory: Path) -> dict[str, Any] | None:
    """The mark of a sweep's directory; None where there is none.

    Raises:
      RunError: for a mark that no sweep wrote.
    """
    path = directory / MARK
    if path.is_symlink() or not path.exists():
        return None
    mark = read_json(path)
    wanted = {"format": str, "identity": str, "study": str, "made": dict}
    if not isinstance(mark, dict) or mark.get("format") != FORMAT:
        raise RunError(f"{path} is not a sweep's mark: give another --sweep-dir")
    if not all(isinstance(mark.get(key), kind) for key, kind in wanted.items()):
        raise RunError(f"{path} is damaged: give another --sweep-dir")
    return mark


def look(directory: Path) -> None:
    """Refuses, before anything is opened, a folder that cannot be this sweep's.

    Raises:
      RunError: for a file, a folder of strangers, or one with links in it.
    """
    if directory.exists() and not directory.is_dir():
        raise RunError(f"{directory} is a file: give a directory for the sweep")
    if not directory.is_dir():
        return
    for name in (MARK, LOCK, DATABASE, *FOLDERS, *TABLES):
        path = directory / name
        if path.is_symlink():
            what = "is a link, which a sweep does not follow"
        elif name in FOLDERS and path.is_file():
            what = "is a file where a sweep has a folder"
        else:
            continue
        raise RunError(f"{path} {what}: move it away, or give another --sweep-dir")
    names = {path.name for path in directory.iterdir()} - {LOCK}
    if not names or read_mark(directory) is not None:
        return
    what, others = "no sweep but", names
    if names & {DATABASE, TRIALS}:
        what, others = "a sweep without its mark, and", names - {*FOLDERS, *TABLES}
        others = {name for name in others if not name.startswith(DATABASE)}
    if others:
        raise RunError(
            f"{directory} holds {what} other files ({min(others)}, …): give a new or "
            "an empty --sweep-dir"
        )


def check_owner(directory: Path, study: optuna.Study | None, name: str) -> list[str]:
    """Whether the runs in a directory are those of a study; what has to be told.

    Args:
      study: the one of this `name` in the storage; None where there is none yet.

    Raises:
      RunError: where they are another's.
    """
    mark = read_mark(directory)
    if mark is not None:
        own = study and study.user_attrs.get("identity") == mark["identity"]
        if own:
            return []
        why = "is not there any more" if study is None else "is another one"
        if mark["study"] != name:
            why = f"is not this one, {name!r}"
        raise RunError(
            f"{directory} holds the runs of another sweep: its study, "
            f"{mark['study']!r}, {why} in the storage; give another --sweep-dir"
        )
    runs = sorted(directory.glob(f"{TRIALS}/*/seed-*/config.json"))
    if runs and study is None:
        raise RunError(
            f"{directory} holds runs of another sweep, whose study is not in the "
            "storage: give another --sweep-dir"
        )
    if study is None:
        return []
    for run in runs:
        _check_unmarked(study, run.parent)
    told = f"{directory} had no sweep's mark: its runs were compared by their configs"
    return [f"{told} and texts"] if runs else []


def _check_unmarked(study: optuna.Study, run: Path) -> None:
    """Raises RunError unless a run can be its trial's in a study."""
    wanted = {f"{t.user_attrs.get('origin', -1):04d}": t for t in study.get_trials()}
    trial = wanted.get(run.parent.name)
    fields = trial.user_attrs.get("fields") if trial else None
    if fields is None:
        raise RunError(
            f"{run} is a run that study {study.study_name!r} knows nothing of: give "
            "another --sweep-dir"
        )
    seed = int(run.name.partition("-")[2])
    check_run(run, terms_of(study).plan.config(fields, seed))


def check_run(run: Path, config: RunConfig) -> None:
    """Refuses a run that is not of this config and text, in every field that its
    numbers depend on: those that bound it are among them, since half of a run is no
    result, though a run may be resumed with others.

    Raises:
      RunError: in one line; the run is left as it is.
    """
    text = load(config.application).prepare(config).text
    try:
        record.check_same(run, read_json(run / record.FILE), config, text, bounds=True)
    except RunError as error:
        raise RunError(str(error).replace("--run-dir", "--sweep-dir")) from None


def claim(directory: Path, study: optuna.Study) -> None:
    """Marks a directory as a study's own; one that is marked stays as it is.

    Raises:
      RunError: where it cannot be made.
    """
    identity = study.user_attrs["identity"]
    with writing(directory):
        directory.mkdir(parents=True, exist_ok=True)
    with _locked(directory):
        if read_mark(directory) is None:
            mark = {"format": FORMAT, "identity": identity}
            mark |= {"study": study.study_name, "made": dict(_before(directory))}
            write_json_atomic(directory / MARK, mark)


def _before(directory: Path) -> Iterator[tuple[str, list[str]]]:
    """Names and digests of the tables of a sweep made before there were marks."""
    for pattern, sign in BEFORE.items():
        for path in directory.glob(pattern):
            data = b"" if path.is_symlink() else path.read_bytes()
            if sign in data:
                yield path.relative_to(directory).as_posix(), [_digest(data)]


def write_own(directory: Path, files: Mapping[str, bytes]) -> None:
    """Writes files of a marked directory, by their names in it, all or none.

    Raises:
      RunError: for one that is there and that the sweep did not write as it is now.
    """
    with _locked(directory):
        mark = read_mark(directory)
        if mark is None:
            raise RunError(f"{directory} has lost its mark, {MARK}: nothing is written")
        refuse_strangers(directory, files, mark)
        made = mark["made"]
        for name, data in files.items():
            # The one that is there, and the one that is coming.
            made[name] = [*made.get(name, [])[-1:], _digest(data)]
        try:
            write_json_atomic(directory / MARK, mark)
            for path, data in ((directory / name, files[name]) for name in files):
                with writing(path.parent):
                    path.parent.mkdir(exist_ok=True)
                with whole_or_nothing(path) as file:
                    file.write(data)
        except RunError as error:
            raise RunError(
                f"{error}; the results are safe in the study: the same command with "
                "--resume writes them"
            ) from None


def refuse_strangers(directory: Path, names: Iterable[str], mark: Any) -> None:
    """Raises RunError for a file that is not as the sweep wrote it."""
    for name in names:
        path = directory / name
        linked = path.is_symlink() or path.parent.is_symlink()
        if linked or (path.exists() and not _own(path, mark["made"].get(name, []))):
            raise RunError(
                f"{path} is not as this sweep wrote it, and is not overwritten: move "
                "it away, and give the same command with --resume"
            )


def _own(path: Path, digests: list[str]) -> bool:
    return path.is_file() and _digest(path.read_bytes()) in digests


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """One process at a time."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    lock = os.open(directory / LOCK, flags, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)

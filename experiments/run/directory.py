"""A run directory: one run, everything about it, in plain files.

    config.json       the config, its text, command, versions, git commit and hardware
    vocabulary.json   the tokens, in the order of their ids
    metrics.jsonl     a row a step, and a row an evaluation
    gradflow.npz      probes of the gradient flow, see `experiments.train.probe`
    samples.txt       text written on the way
    examples.json     what it answered, for the report, where its application keeps it
    kept.json         what new input needs, where its application keeps it
    checkpoints/      one folder a checkpoint, see `experiments.run.checkpoint`
    summary.json      the result; there when the run has ended

One process at a time writes to it, by a lock that ends with the process. Nothing is
written before it is clear that the run in it is the one that is asked for; and nothing
is begun anew where there are checkpoints, readable or not.
"""

import errno
import fcntl
import os
import re
import shlex
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from data_pipeline.paths import user_path
from data_pipeline.vocabulary import Vocabulary
from experiments.run import record
from experiments.run.checkpoint import Check, Checkpoints
from experiments.run.files import (
    RunError,
    note,
    read_json,
    write_json_atomic,
    writing,
)
from experiments.run.metrics import Metrics
from experiments.run.probes import rewind_probe
from experiments.run.record import Text
from experiments.run.samples import append_samples, rewind_samples

LOCK, SUMMARY, CHECKPOINTS = ".lock", "summary.json", "checkpoints"
EXAMPLES, KEPT = "examples.json", "kept.json"
T = TypeVar("T")


class Run:
    """An open run directory, locked for this process until `close`.

    directory   where it is.
    config      the run's config (pacing fields as given now).
    resumed     whether the directory held this run already.
    metrics     see `experiments.run.metrics.Metrics`.
    origin      what each of its checkpoints is of, see `Checkpoints`.
    """

    def __init__(
        self,
        directory: Path,
        config: Any,
        resumed: bool,
        lock: int,
        origin: dict[str, str] | None = None,
    ):
        self.directory = directory
        self.config = config
        self.resumed = resumed
        self.metrics = Metrics(directory / "metrics.jsonl", config.train.tensorboard)
        self.origin = origin or {}
        self._lock = lock

    @property
    def vocabulary(self) -> Path:
        """Where the vocabulary goes, see `keep_vocabulary`."""
        return self.directory / record.VOCABULARY

    @property
    def checkpoints(self) -> Path:
        """Where the checkpoints go, see `open_checkpoints`."""
        return self.directory / CHECKPOINTS

    def open_checkpoints(self) -> Checkpoints:
        """The run's checkpoints, each marked as this run's."""
        keep = self.config.train.keep
        return Checkpoints(self.checkpoints, keep, origin=self.origin)

    def keep_vocabulary(self, vocabulary: Vocabulary) -> None:
        """Writes vocabulary.json, where it does not hold this one already.

        Raises:
          RunError: for another vocabulary than the run's.
        """
        wanted = self.origin.get("vocabulary", vocabulary.digest)
        if vocabulary.digest != wanted:
            raise RunError(
                f"{self.directory} has a vocabulary with fingerprint "
                f"{wanted[: record.SHOWN]}, not {vocabulary.digest[: record.SHOWN]}"
            )
        if self.vocabulary.exists():
            with suppress(ValueError):
                if Vocabulary.load(self.vocabulary).digest == wanted:
                    return
            note(f"{self.vocabulary} was damaged: it is written anew, from the text")
        with writing(self.vocabulary):
            vocabulary.save(self.vocabulary)

    def keep(self, values: Any) -> None:
        """Writes JSON values into kept.json, for `read_kept`."""
        write_json_atomic(self.directory / KEPT, values, digits=17)

    def log(self, **row: Any) -> None:
        """Appends a row to metrics.jsonl."""
        self.metrics.write(row)

    def sample(self, step: int, texts: list[str]) -> None:
        """Appends texts written after `step` steps to samples.txt."""
        append_samples(self.directory / "samples.txt", step, texts)

    def summary(self, result: dict[str, Any], examples: Any = None) -> None:
        """Writes summary.json: the run has ended. examples: go into examples.json."""
        if examples is not None:
            write_json_atomic(self.directory / EXAMPLES, examples)
        write_json_atomic(self.directory / SUMMARY, result)

    def resume(
        self, checkpoints: Checkpoints, template: Any, check: Check
    ) -> tuple[Any, dict] | None:
        """Where the run goes on: (tree, meta) of its last sound checkpoint, with what
        was written beyond it dropped; None for a run that begins, with all dropped.

        Args:
          checkpoints: of this run, as `open_checkpoints` gives them.
          check: reads a meta; a checkpoint with one that it cannot read is damaged.

        Raises:
          RunError: where there are checkpoints and none is sound; nothing is dropped.
        """

        def readable(meta: dict) -> None:
            check(meta)
            if type(meta["step"]) is not int:
                raise TypeError("its step is no whole number")

        found = checkpoints.latest(template, readable) if self.resumed else None
        self.rewind(-1 if found is None else found[1]["step"])
        return found

    def rewind(self, step: int) -> None:
        """Drops what was written beyond `step`, from where the run goes on; -1: all."""
        self.metrics.rewind(step)
        rewind_probe(self.directory, step)
        rewind_samples(self.directory / "samples.txt", step)
        with suppress(FileNotFoundError):
            (self.directory / SUMMARY).unlink()

    def resume_command(self) -> str:
        """The command line that goes on with this run."""
        words = record.command()
        if not any(word.partition("=")[0] in RUN_DIR for word in words):
            words += ["--run-dir", str(self.directory)]
        return shlex.join(words)

    def close(self) -> None:
        """Writes what is buffered and gives the lock back."""
        try:
            self.metrics.close()
        finally:
            if self._lock >= 0:
                os.close(self._lock)
                self._lock = -1

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


RUN_DIR = ("--run-dir", "--run_dir")


def open_run(run_dir: str | Path | None, config: Any, text: Text | None = None) -> Run:
    """Makes a run directory, or goes on with the one that holds this run.

    Args:
      run_dir: None for a dated one under `runs/`.
      config: what is run. An existing run of another config is refused, unless only
        fields that pace a run differ (`experiments.config.differences`).
      text: what it reads; None for a run that reads none. An existing run on another
        text is refused; where the text is the same, it may lie elsewhere.

    Raises:
      RunError: another config or text, a directory with something else in it, a
        finished run without checkpoints, or a run that another process works on.
    """
    directory = (
        dated(config.name) if run_dir is None else user_path(run_dir, "--run-dir")
    )
    if directory.exists() and not directory.is_dir():
        raise RunError(f"{directory} is a file: give a directory for the run")
    path = directory / record.FILE
    if path.exists():
        record.check_same(directory, read_json(path), config, text)
        _refuse_without_checkpoints(directory)
    elif directory.exists():
        _refuse_strangers(directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{directory} cannot be made: {error.strerror}") from None
    lock = _take_lock(directory)
    try:
        resumed = path.exists()
        if resumed:  # once more: another process may have been at work before the lock
            old = record.check_same(directory, read_json(path), config, text)
            record.tell_old_text(directory, old, text)
            new = record.resumed_record(old, config, text)
        else:
            new = record.new_record(config, text)
        _sweep(directory)
        write_json_atomic(path, new, digits=17)
        return Run(directory, config, resumed, lock, record.origin_of(new, directory))
    except BaseException:
        os.close(lock)
        raise


def dated(name: str) -> Path:
    """A new directory's name, runs/YYYYMMDD-HHMMSS-NAME."""
    stem = f"{time.strftime('%Y%m%d-%H%M%S')}-{name}"
    path, number = Path("runs") / stem, 2
    while path.exists():
        path, number = Path("runs") / f"{stem}-{number}", number + 1
    return path


def read_run(run_dir: str | Path, kind: type[T]) -> tuple[T, Vocabulary]:
    """Config and vocabulary of a run, for those who use its model.

    Args:
      kind: the class of config, that of the run's application.

    Raises:
      RunError: where there is no such run, no vocabulary yet, or not the run's.
    """
    directory, found = read_record(run_dir)
    config = record.config_of(found, directory, kind)
    return config, record.vocabulary_of(directory, found)


def read_record(run_dir: str | Path) -> tuple[Path, dict[str, Any]]:
    """A run's directory and what its config.json says; RunError where there is none."""
    directory = user_path(run_dir, "--run")
    if not directory.is_dir():
        raise RunError(f"{directory} is not there: --run takes a run's directory")
    if not (directory / record.FILE).exists():
        raise RunError(
            f"{directory} holds no run: it has no {record.FILE} (runs are made by "
            "python -m experiments.train)"
        )
    found = read_json(directory / record.FILE)
    if not isinstance(found, dict):
        raise RunError(f"{directory}/{record.FILE} is not a run's config")
    return directory, found


def read_kept(directory: Path) -> Any:
    """What `Run.keep` wrote; RunError where it is not there."""
    return read_json(directory / KEPT)


def read_checkpoints(run_dir: str | Path) -> Checkpoints:
    """The checkpoints of a run, for those who use its model."""
    directory, found = read_record(run_dir)
    origin = record.origin_of(found, directory)
    return Checkpoints(directory / CHECKPOINTS, origin=origin)


def _refuse_strangers(directory: Path) -> None:
    """An existing folder without a run in it has to be empty."""
    others = [p.name for p in directory.iterdir() if p.name != LOCK]
    others = [name for name in others if not _LEFT_BEHIND.fullmatch(name)]
    if others:
        raise RunError(
            f"{directory} holds no run but other files ({min(others)}, …): give a new "
            "or an empty directory"
        )


def _refuse_without_checkpoints(directory: Path) -> None:
    """A finished run is not begun anew because its checkpoints are gone."""
    folder = directory / CHECKPOINTS
    if (directory / SUMMARY).exists() and not Checkpoints(folder).steps():
        raise RunError(
            f"{directory} holds a finished run whose checkpoints are gone: put them "
            "back to go on with it, or give another --run-dir to begin anew"
        )


_FILES = (
    "config.json vocabulary.json metrics.jsonl gradflow.npz samples.txt examples.json "
    "kept.json summary.json"
)
_LEFT_BEHIND = re.compile(rf"\.({'|'.join(map(re.escape, _FILES.split()))})\.\d+")


def _sweep(directory: Path) -> None:
    """Removes half-written files that killed processes of this run have left."""
    for path in directory.iterdir():
        if _LEFT_BEHIND.fullmatch(path.name):
            path.unlink(missing_ok=True)


def _take_lock(directory: Path) -> int:
    """A file descriptor that holds the directory's lock while it is open."""
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        lock = os.open(directory / LOCK, flags, 0o644)
    except OSError as error:
        raise RunError(
            f"{directory} cannot be written to ({error.strerror}): give another "
            "--run-dir"
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        owner = os.read(lock, 32).decode(errors="replace").strip() or "unknown"
        os.close(lock)
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            raise RunError(
                f"{directory} is in use by process {owner}: wait for it, or give "
                "another --run-dir"
            ) from None
        raise RunError(
            f"{directory} cannot be locked ({error.strerror}): its file system has no "
            "locks; give a --run-dir on another one"
        ) from None
    os.ftruncate(lock, 0)
    os.write(lock, f"{os.getpid()}\n".encode())
    return lock

"""A run directory: one run, everything about it, in plain files.

    config.json       the config, command, versions, git commit and hardware
    vocabulary.json   the tokens, in the order of their ids
    metrics.jsonl     a row a step, and a row an evaluation
    gradflow.npz      probes of the gradient flow, see `experiments.probe`
    samples.txt       text written on the way
    checkpoints/      one folder a checkpoint, see `experiments.checkpoint`
    summary.json      the result; there when the run has ended

One process at a time writes to it, by a lock that ends with the process.
"""

import fcntl
import os
import re
import shlex
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from data_pipeline.errors import DataError
from data_pipeline.vocabulary import Vocabulary
from experiments.config import Config, differences, from_dict, to_dict
from experiments.run import files, provenance
from experiments.run.files import RunError, read_json, write_json_atomic
from experiments.run.metrics import Metrics
from experiments.run.probes import rewind_probe
from lm.config import ConfigError

FORMAT = "run-1"
LOCK = ".lock"


class Run:
    """An open run directory, locked for this process until `close`.

    directory   where it is.
    config      the run's config (pacing fields as given now).
    resumed     whether the directory held this run already.
    metrics     see `experiments.metrics.Metrics`.
    """

    def __init__(self, directory: Path, config: Config, resumed: bool, lock: int):
        self.directory = directory
        self.config = config
        self.resumed = resumed
        self.metrics = Metrics(directory / "metrics.jsonl", config.train.tensorboard)
        self._lock = lock

    @property
    def vocabulary(self) -> Path:
        """Where the vocabulary goes."""
        return self.directory / "vocabulary.json"

    @property
    def checkpoints(self) -> Path:
        """Where the checkpoints go."""
        return self.directory / "checkpoints"

    def log(self, **row: Any) -> None:
        """Appends a row to metrics.jsonl."""
        self.metrics.write(row)

    def sample(self, step: int, texts: list[str]) -> None:
        """Appends texts written after `step` steps to samples.txt."""
        with open(self.directory / "samples.txt", "a", encoding="utf-8") as file:
            file.write(
                _SAMPLE.format(step) + "\n" + "".join(f"{text}\n" for text in texts)
            )

    def summary(self, result: dict[str, Any]) -> None:
        """Writes summary.json: the run has ended."""
        write_json_atomic(self.directory / "summary.json", result)

    def rewind(self, step: int) -> None:
        """Drops what was written beyond `step`, from where the run goes on."""
        self.metrics.rewind(step)
        rewind_probe(self.directory, step)
        _rewind_samples(self.directory / "samples.txt", step)
        with suppress(FileNotFoundError):
            (self.directory / "summary.json").unlink()

    def resume_command(self) -> str:
        """The command line that goes on with this run."""
        words = list(_command())
        if "--run-dir" not in " ".join(words):
            words += ["--run-dir", str(self.directory)]
        return shlex.join(words)

    def close(self) -> None:
        """Writes what is buffered and gives the lock back."""
        self.metrics.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


def open_run(run_dir: str | Path | None, config: Config) -> Run:
    """Makes a run directory, or goes on with the one that holds this run.

    Args:
      run_dir: None for a dated one under `runs/`.
      config: what is run. An existing run of another config is refused, unless only
        fields that pace a run differ (`experiments.config.PACING`).

    Raises:
      RunError: another config, a directory with something else in it, or a run
        that another process is working on.
    """
    directory = dated(config.name) if run_dir is None else Path(run_dir)
    if directory.exists() and not directory.is_dir():
        raise RunError(f"{directory} is a file: give a directory for the run")
    record = directory / "config.json"
    if directory.exists() and not record.exists():
        _refuse_strangers(directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{directory} cannot be made: {error.strerror}") from None
    lock = _take_lock(directory)
    try:
        resumed = record.exists()
        _record(directory, config, read_json(record) if resumed else None)
        return Run(directory, config, resumed, lock)
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


def read_run(run_dir: str | Path) -> tuple[Config, Vocabulary]:
    """Config and vocabulary of a run, for those who use its model.

    Raises:
      RunError: where there is no run, or not yet a vocabulary.
    """
    directory = Path(run_dir)
    if not directory.is_dir():
        raise RunError(f"{directory} is not there: --run takes a run's directory")
    if not (directory / "config.json").exists():
        raise RunError(
            f"{directory} holds no run: it has no config.json (runs are made by "
            "python -m experiments.train)"
        )
    config = config_of(read_json(directory / "config.json"), directory)
    path = directory / "vocabulary.json"
    if not path.exists():
        raise RunError(f"{directory} has no vocabulary.json: nothing is trained yet")
    try:
        return config, Vocabulary.load(path)
    except (DataError, OSError) as error:
        raise RunError(str(error)) from None


def config_of(record: Any, directory: Path) -> Config:
    """The config in a config.json; RunError where it is not one of ours."""
    try:
        if record["format"] != FORMAT:
            raise ConfigError(f"its format is {record['format']!r}, not {FORMAT!r}")
        return from_dict(record["config"])
    except (KeyError, TypeError, AttributeError):
        raise RunError(f"{directory}/config.json is not a run's config") from None
    except ValueError as error:
        raise RunError(f"{directory}/config.json: {error}") from None


def _refuse_strangers(directory: Path) -> None:
    """An existing folder without a run in it has to be empty."""
    others = [p.name for p in directory.iterdir() if p.name != LOCK]
    others = [name for name in others if not name.startswith(".config.json.")]
    if others:
        raise RunError(
            f"{directory} holds no run but other files ({min(others)}, …): give a new "
            "or an empty directory"
        )


def _take_lock(directory: Path) -> int:
    """A file descriptor that holds the directory's lock while it is open."""
    lock = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        owner = os.read(lock, 32).decode(errors="replace").strip() or "unknown"
        os.close(lock)
        raise RunError(
            f"{directory} is in use by process {owner}: wait for it, or give another "
            "--run-dir"
        ) from None
    os.ftruncate(lock, 0)
    os.write(lock, f"{os.getpid()}\n".encode())
    return lock


def _record(directory: Path, config: Config, old: Any) -> None:
    """Writes config.json; on resuming, after checking that the run is the same."""
    session = {
        "command": shlex.join(_command()),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "git": provenance.git_state(),
        "versions": provenance.versions(),
        "hardware": provenance.hardware(),
    }
    record = {"format": FORMAT, "config": to_dict(config), **session, "resumed": []}
    if old is not None:
        differ = differences(config_of(old, directory), config)
        if differ:
            told = ", ".join(f"{k} was {a!r}, is {b!r}" for k, (a, b) in differ.items())
            raise RunError(
                f"{directory} holds a run of another config: {told}; give the same "
                "config to resume it, or another --run-dir"
            )
        _warn_of_versions(old.get("versions", {}), session["versions"])
        record = {**old, "config": to_dict(config)}
        record["resumed"] = [*old.get("resumed", []), session]
    write_json_atomic(directory / "config.json", record, digits=17)


def _warn_of_versions(old: dict, new: dict) -> None:
    changed = [f"{k} {old[k]} -> {new[k]}" for k in old if new.get(k, old[k]) != old[k]]
    if changed:
        changed = ", ".join(changed)
        print(
            f"note: resuming with other versions ({changed}): the numbers may "
            "differ in their last digits from an unbroken run",
            file=sys.stderr,
        )


def _command() -> list[str]:
    """This process's command line, as one would type it."""
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name != "__main__":
        name = spec.name.removesuffix(".__main__")
        return ["python", "-m", name, *sys.argv[1:]]
    return ["python", *sys.argv]


_SAMPLE = "=== step {} ==="
_SAMPLES = re.compile("^" + _SAMPLE.format(r"(\d+)") + "\n", re.M)


def _rewind_samples(path: Path, step: int) -> None:
    if not path.exists():
        return
    parts = _SAMPLES.split(path.read_text(encoding="utf-8"))
    blocks = zip(parts[1::2], parts[2::2], strict=True)
    kept = [_SAMPLE.format(n) + "\n" + text for n, text in blocks if int(n) <= step]
    files.write_text_atomic(path, "".join(kept))

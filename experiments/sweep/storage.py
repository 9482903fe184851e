"""Where a study is kept: Optuna's storages, opened with care.

    (default)            study.db in the sweep's directory: SQLite.
    sqlite:///PATH       SQLite elsewhere, for the workers of one machine.
    journal:PATH         Optuna's journal file, for the workers of one machine.
    postgresql://…       PostgreSQL, for workers on any number of machines.

A database hears a sign of life (heartbeat) from every running trial. The journal hears
none, so there the lock of a trial's directory tells whether its worker lives.
"""

import os
import time
import warnings
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage, RDBStorage, get_storage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

from experiments.run.files import RunError

GRACE = 4  # heartbeats that may fail to come before a worker counts as dead
CONNECT_SECONDS = 5
BUSY_SECONDS = 120
KINDS = ("sqlite", "journal", "postgresql")


def kind_of(url: str) -> str:
    """sqlite, journal or postgresql; RunError for another scheme."""
    scheme = url.partition(":")[0].partition("+")[0]
    scheme = "postgresql" if scheme == "postgres" else scheme
    if scheme not in KINDS:
        raise RunError(
            f"--storage {hidden(url)}: give sqlite:///PATH, journal:PATH or "
            "postgresql://USER@HOST/DATABASE"
        )
    return scheme


def hidden(url: str) -> str:
    """The URL without its password."""
    head, at, tail = url.rpartition("@")
    scheme, slashes, user = head.partition("://")
    name, colon, _ = user.partition(":")
    return f"{scheme}{slashes}{name}{':***' if colon else ''}{at}{tail}"


def quiet() -> None:
    """Optuna's log lines and its warnings of experimental parts, off."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


def open_storage(url: str, heartbeat: int = 15, on_stale: Any = None) -> Any:
    """An Optuna storage that answers.

    Args:
      heartbeat: seconds between signs of life of a trial.
      on_stale: called with (study, trial) when a trial's worker counts as dead.

    Raises:
      RunError: in one line, and quickly, where it cannot be reached.
    """
    quiet()
    kind = kind_of(url)
    try:
        if kind == "journal":
            return _journal(Path(url.partition(":")[2]))
        return get_storage(_database(url, kind, heartbeat, on_stale))
    except RunError:
        raise
    except Exception as error:  # of whichever driver; all of them mean the same
        raise RunError(f"storage {hidden(url)} cannot be used: {_why(error)}") from None


def _why(error: Exception) -> str:
    """The driver's own reason, without the wrappings."""
    cause: Any = getattr(error, "orig", None) or error.__cause__ or error
    cause = getattr(cause, "orig", None) or cause
    text = " ".join(str(cause).split())
    if isinstance(cause, ModuleNotFoundError):
        return f"the package {cause.name} is not installed (see requirements.txt)"
    return text[:300] or type(cause).__name__


def _database(url: str, kind: str, heartbeat: int, on_stale: Any) -> Any:
    if kind == "sqlite":
        _require_folder(Path(url.partition(":///")[2]))
        options: dict[str, Any] = {"connect_args": {"timeout": BUSY_SECONDS}}
    else:
        url = f"postgresql+psycopg://{url.partition('://')[2]}"
        connect = {"connect_timeout": CONNECT_SECONDS}
        options = {"connect_args": connect, "pool_pre_ping": True}
    for attempt in range(5):
        try:
            return RDBStorage(
                url,
                engine_kwargs=options,
                heartbeat_interval=heartbeat,
                grace_period=GRACE * heartbeat,
                heartbeat_stale_trial_callback=on_stale,
            )
        except Exception as error:
            # Two that make the tables of a new database at once get in each other's
            # way; the second attempt finds them made.
            racing = "exist" in str(error) or "duplicate" in str(error)
            if attempt == 4 or not racing or 'database "' in str(error):
                raise
            time.sleep(0.3 * (attempt + 1))
    raise AssertionError


def _require_folder(path: Path) -> None:
    if not path.name:
        raise RunError("--storage sqlite: needs a file: sqlite:///PATH")
    if not path.parent.is_dir():
        raise RunError(f"--storage: the folder {path.parent} of {path} is not there")


def _journal(path: Path) -> Any:
    class RepairingLock(JournalFileSymlinkLock):
        """Whoever takes the lock to append first takes away what a killed writer left:
        a torn line would make all that follows unreadable for good."""

        def acquire(self) -> bool:
            taken = super().acquire()
            repair(path)
            return taken

    if not path.name:
        raise RunError("--storage journal: needs a file: journal:PATH")
    _require_folder(path)
    lock = RepairingLock(str(path))
    if path.exists():
        lock.acquire()
        lock.release()
    return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))


def repair(path: Path) -> int:
    """Cuts off a last line that has no end; the number of bytes that went. Only for
    who holds the journal's lock."""
    if not path.exists():
        return 0
    with open(path, "rb+") as file:
        size = file.seek(0, os.SEEK_END)
        end = size
        while end:
            start = max(0, end - (1 << 16))
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if end < size:
            file.truncate(end)
        return size - end

"""Where a study is kept: Optuna's storages, opened with care and closed again.

    (default)            study.db in the sweep's directory: SQLite.
    sqlite:///PATH       SQLite elsewhere, for the workers of one machine.
    postgresql://…       PostgreSQL, for workers on any number of machines.

A running trial gives a sign of life (heartbeat), by which others know that its worker
lives.
"""

import sqlite3
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, RDBStorage, get_storage
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool

from data_pipeline.paths import user_path
from experiments.run.files import RunError

GRACE = 4  # heartbeats that may fail to come before a worker counts as dead
CONNECT_SECONDS = 5
BUSY_SECONDS = 120
FIRST_TABLES = {"studies", "version_info", "alembic_version"}  # of Optuna's databases
FORMS = "give sqlite:///PATH or postgresql://USER@HOST/DATABASE"
OnStale = Callable[[optuna.Study, optuna.trial.FrozenTrial], None]


def hidden(url: str) -> str:
    """The URL without its password and its query; only the scheme of one that cannot
    be read as it was meant."""
    found = _parsed(url)
    if found is None:
        return f"{url.partition('://')[0]}://…" if "://" in url else "…"
    return found.set(query={}).render_as_string(hide_password=True)


def _parsed(url: str) -> URL | None:
    try:
        found = make_url(url)
    except (ArgumentError, ValueError):
        return None
    astray = f"{found.host or ''}{found.database or ''}"
    return None if "@" in astray or ";" in astray else found


def quiet() -> None:
    """Optuna's log lines and its warnings of experimental parts, off."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


@contextmanager
def open_storage(
    url: str, heartbeat: int = 15, on_stale: OnStale | None = None
) -> Iterator[BaseStorage]:
    """An Optuna storage that answers, until the end of the context.

    Args:
      heartbeat: seconds between signs of life of a trial.
      on_stale: called with (study, trial) when a trial's worker counts as dead.

    Raises:
      RunError: in one line, and quickly, where it cannot be reached, or is a database
        that Optuna did not make.
    """
    quiet()
    database = _open(url, heartbeat, on_stale)
    try:
        yield get_storage(database)
    finally:
        database.remove_session()
        database.engine.dispose()


def _open(url: str, heartbeat: int, on_stale: OnStale | None) -> RDBStorage:
    made: dict[str, Any]
    scheme = url.partition(":")[0].partition("+")[0].lower()
    if scheme == "journal":
        raise RunError(
            "--storage journal:PATH is no longer read: give sqlite:///PATH on one "
            "machine, postgresql://USER@HOST/DATABASE on many"
        )
    if scheme == "sqlite":
        address, made = "sqlite://", _sqlite(url)
    elif scheme in ("postgresql", "postgres") and (found := _parsed(url)):
        address = found.set(drivername="postgresql+psycopg")
        address = address.render_as_string(hide_password=False)
        # Optuna fills braces in.
        address = address.replace("{", "%7B").replace("}", "%7D")
        connect = {"connect_timeout": CONNECT_SECONDS}
        made = {"connect_args": connect, "pool_pre_ping": True}
    elif scheme in ("postgresql", "postgres"):
        raise RunError(
            f"--storage {hidden(url)}: the URL cannot be read: write @ : / ? inside a "
            "name or a password as %40 %3A %2F %3F"
        )
    else:
        raise RunError(f"--storage {hidden(url)}: {FORMS}")
    try:
        return _database(address, made, heartbeat, on_stale)
    except Exception as error:  # of whichever driver; all of them mean the same
        raise RunError(f"storage {hidden(url)} cannot be used: {_why(error)}") from None


def _sqlite(url: str) -> dict[str, Any]:
    """How to connect to a file of any name. A connection is closed after its use."""
    given = url.partition("sqlite:///")[2]
    if not given:
        raise RunError("--storage sqlite: needs a file: sqlite:///PATH")
    path = user_path(given, "--storage")
    if not path.parent.is_dir():
        raise RunError(f"--storage: the folder {path.parent} of {path} is not there")
    _refuse_other_databases(path)

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(path, timeout=BUSY_SECONDS, check_same_thread=False)

    return {"creator": connect, "poolclass": NullPool}


def _refuse_other_databases(path: Path) -> None:
    """A database with other tables belongs to another program."""
    if not path.exists() or (path.is_file() and not path.stat().st_size):
        return
    try:
        address = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, BUSY_SECONDS, uri=True)) as found:
            names = found.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            tables = {name for (name,) in names if not name.startswith("sqlite_")}
    except sqlite3.Error as error:
        raise RunError(f"storage {path} cannot be used: {error}") from None
    optunas = FIRST_TABLES | {t for t in tables if t.startswith(("study_", "trial"))}
    if tables and not (tables <= optunas and tables & FIRST_TABLES):
        raise RunError(
            f"storage {path} is a database of another program (it has a table "
            f"{min(tables - FIRST_TABLES)}): give another file"
        )


def _why(error: Exception) -> str:
    """The driver's own reason, without the wrappings."""
    cause: Any = getattr(error, "orig", None) or error.__cause__ or error
    cause = getattr(cause, "orig", None) or cause
    text = " ".join(str(cause).split())
    if isinstance(cause, ModuleNotFoundError):
        return f"the package {cause.name} is not installed (see requirements.txt)"
    return text[:300] or type(cause).__name__


def _database(
    address: str, made: dict[str, Any], heartbeat: int, on_stale: OnStale | None
) -> RDBStorage:
    for attempt in range(5):
        try:
            return RDBStorage(
                address,
                engine_kwargs=dict(made),
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

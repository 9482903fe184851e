"""Trials change hands: taken by one worker, given back, taken up when a worker died.

A trial that is to run again is closed as failed and its successor is put in, waiting,
with the same parameters and the same `origin`: the number that it first had. Runs are
kept by origin, so the successor goes on from the last checkpoint, and results are
counted by origin, so nothing counts twice.
"""

import fcntl
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

MAX_DEATHS = 3
LOCK = ".taken"


class Taken(NamedTuple):
    """A trial that this process works on, and alone.

    trial   Optuna's.
    origin  the number under which its runs are kept.
    folder  its directory.
    lock    held while it is worked on; ends with the process.
    """

    trial: Any
    origin: int
    folder: Path
    lock: int

    def release(self) -> None:
        """Gives the directory back."""
        os.close(self.lock)


def origin_of(trial: Any) -> int:
    """The number that a trial first had."""
    return trial.user_attrs["origin"]


def folder_of(sweep_dir: Path, origin: int) -> Path:
    """Where the runs of a trial are."""
    return sweep_dir / "trials" / f"{origin:04d}"


def lock_folder(folder: Path) -> int | None:
    """A lock on a trial's directory; None if a process holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock


def all_trials(study: Any, *states: str) -> list[Any]:
    """The study's trials as the storage has them now, in the given states."""
    wanted = tuple(TrialState[state] for state in states) or None
    return study.get_trials(deepcopy=False, states=wanted)


def finals(trials: Iterable[Any]) -> dict[int, Any]:
    """The trial that counts, by origin: the first that ended with a result."""
    found: dict[int, Any] = {}
    for trial in trials:
        if trial.state.name in ("COMPLETE", "PRUNED"):
            found.setdefault(origin_of(trial), trial)
    return found


def take(
    study: Any, storage: Any, sweep_dir: Path, opened: Callable[[Any], Any]
) -> Taken | None:
    """The first waiting trial that nobody else gets; None if there is none.

    opened: makes Optuna's trial of what was waiting, which may choose parameters.

    The lock comes first: SQLite hands one waiting trial to two processes that ask at
    the same time, and for the journal the lock is the sign of life.
    """
    for waiting in all_trials(study, "WAITING"):
        origin = origin_of(waiting)
        folder = folder_of(sweep_dir, origin)
        lock = lock_folder(folder)
        if lock is None:
            continue
        number = waiting._trial_id
        try:
            beat(storage, number)  # a running trial without a heartbeat never ages
            if storage.set_trial_state_values(number, TrialState.RUNNING):
                if origin not in finals(all_trials(study, "COMPLETE", "PRUNED")):
                    return Taken(opened(waiting), origin, folder, lock)
                storage.set_trial_state_values(number, TrialState.FAIL)
        except UpdateFinishedTrialError:
            pass
        os.close(lock)
    return None


def beat(storage: Any, number: int) -> None:
    """A sign of life of a trial, where the storage takes one."""
    if hasattr(storage, "record_heartbeat"):
        storage.record_heartbeat(number)


def again(study: Any, trial: Any, dead: bool = True) -> None:
    """Puts in the successor of a trial that was closed as failed.

    dead: whether its worker died, which may happen to a trial `MAX_DEATHS` times.
    """
    deaths = trial.user_attrs.get("deaths", 0) + dead
    if deaths > MAX_DEATHS:
        return
    kept = {"origin": origin_of(trial), "deaths": deaths}
    successor = optuna.create_trial(
        state=optuna.trial.TrialState.WAITING,
        params=trial.params,
        distributions=trial.distributions,
        user_attrs=kept,
        system_attrs=trial.system_attrs,
        intermediate_values=trial.intermediate_values,
    )
    study.add_trial(successor)


def give_back(study: Any, storage: Any, number: int) -> None:
    """Closes a running trial and puts in its successor."""
    _replace(study, storage, number, dead=False)


def _replace(study: Any, storage: Any, number: int, dead: bool) -> None:
    try:
        closed = storage.set_trial_state_values(number, TrialState.FAIL)
    except UpdateFinishedTrialError:
        return
    if closed:
        again(study, storage.get_trial(number), dead)


def recover(study: Any, storage: Any, sweep_dir: Path) -> None:
    """Puts in again the trials whose workers have died.

    A database knows them by their heartbeats. The journal has none: there a running
    trial whose directory is not locked has no worker.
    """
    if hasattr(storage, "record_heartbeat"):
        optuna.storages.fail_stale_trials(study)
        return
    for trial in all_trials(study, "RUNNING"):
        lock = lock_folder(folder_of(sweep_dir, origin_of(trial)))
        if lock is None:
            continue
        try:
            if storage.get_trial(trial._trial_id).state.name == "RUNNING":
                _replace(study, storage, trial._trial_id, dead=True)
        finally:
            os.close(lock)


def revive(study: Any) -> int:
    """Puts in again what came to no result: trials that failed, and those that were
    lost between two hands. How many there are."""
    trials = all_trials(study)
    settled = {origin_of(t) for t in trials if t.state.name != "FAIL"}
    last = {origin_of(t): t for t in trials if origin_of(t) not in settled}
    for trial in last.values():
        trial.user_attrs.pop("deaths", None)
        again(study, trial, dead=False)
    return len(last)

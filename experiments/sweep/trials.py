"""Trials change hands: taken by one worker, given back, taken up when a worker died.

A trial that is to run again is closed as failed and its successor is put in, waiting,
with the same parameters and the same `origin`: the number that it first had. Runs are
kept by origin, so the successor goes on from the last checkpoint, and results are
counted by origin, so nothing counts twice. (Optuna's own callback for trials whose
workers died would count being given back as a death, and lose what was reported.)
"""

import fcntl
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.storages._heartbeat import BaseHeartbeat
from optuna.trial import FrozenTrial, Trial, TrialState

from experiments.run.files import RunError
from experiments.sweep.directory import TRIALS

MAX_DEATHS = 3
LOCK = ".taken"


class Taken(NamedTuple):
    """A trial that this process works on, and alone.

    trial   Optuna's.
    origin  the number under which its runs are kept.
    folder  its directory.
    lock    held while it is worked on; ends with the process.
    """

    trial: Trial
    origin: int
    folder: Path
    lock: int

    def release(self) -> None:
        """Gives the directory back."""
        os.close(self.lock)


def origin_of(trial: FrozenTrial) -> int:
    """The number that a trial first had."""
    return trial.user_attrs["origin"]


def folder_of(sweep_dir: Path, origin: int) -> Path:
    """Where the runs of a trial are."""
    return sweep_dir / TRIALS / f"{origin:04d}"


def lock_folder(folder: Path) -> int | None:
    """A lock on a trial's directory; None if a process holds it.

    Raises:
      RunError: where it is somebody's link.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        if folder.is_symlink() or folder.parent.is_symlink():
            raise OSError
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / LOCK, flags, 0o644)
    except OSError as error:
        why = error.strerror or "it is a link, which a sweep does not follow"
        raise RunError(f"{folder} cannot be used: {why}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock


def all_trials(study: optuna.Study, *states: str) -> list[FrozenTrial]:
    """The study's trials as the storage has them now, in the given states."""
    wanted = tuple(TrialState[state] for state in states) or None
    return study.get_trials(deepcopy=False, states=wanted)


def finals(trials: Iterable[FrozenTrial]) -> dict[int, FrozenTrial]:
    """The trial that counts, by origin: the first that ended with a result."""
    found: dict[int, FrozenTrial] = {}
    for trial in trials:
        if trial.state.name in ("COMPLETE", "PRUNED"):
            found.setdefault(origin_of(trial), trial)
    return found


def take(
    study: optuna.Study,
    storage: BaseStorage,
    sweep_dir: Path,
    opened: Callable[[FrozenTrial], Trial],
) -> Taken | None:
    """The first waiting trial that nobody else gets; None if there is none.

    opened: makes Optuna's trial of what was waiting, which may choose parameters.

    The lock comes first: SQLite hands one waiting trial to two processes that ask at
    the same time.
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


def beat(storage: BaseStorage, number: int) -> None:
    """A sign of life of a trial."""
    assert isinstance(storage, BaseHeartbeat)
    storage.record_heartbeat(number)


def again(study: optuna.Study, trial: FrozenTrial, dead: bool = True) -> None:
    """Puts in the successor of a trial that was closed as failed.

    dead: whether its worker died, which may happen to a trial `MAX_DEATHS` times.
    """
    deaths = trial.user_attrs.get("deaths", 0) + dead
    if deaths > MAX_DEATHS:
        return
    successor = optuna.create_trial(
        state=TrialState.WAITING,
        params=trial.params,
        distributions=trial.distributions,
        user_attrs={"origin": origin_of(trial), "deaths": deaths},
        system_attrs=trial.system_attrs,
        intermediate_values=trial.intermediate_values,
    )
    study.add_trial(successor)


def give_back(study: optuna.Study, storage: BaseStorage, number: int) -> None:
    """Closes a running trial and puts in its successor."""
    try:
        closed = storage.set_trial_state_values(number, TrialState.FAIL)
    except UpdateFinishedTrialError:
        return
    if closed:
        again(study, storage.get_trial(number), dead=False)


def recover(study: optuna.Study) -> None:
    """Puts in again the trials whose workers have died, by their heartbeats."""
    optuna.storages.fail_stale_trials(study)


def revive(study: optuna.Study) -> int:
    """Puts in again what came to no result: trials that failed, and those that were
    lost between two workers. How many there are."""
    trials = all_trials(study)
    settled = {origin_of(t) for t in trials if t.state.name != "FAIL"}
    last = {origin_of(t): t for t in trials if origin_of(t) not in settled}
    for trial in last.values():
        trial.user_attrs.pop("deaths", None)
        again(study, trial, dead=False)
    return len(last)

"""A worker's desk: the open study, the trials in work, and how each of them ends."""

import json
import math
import socket
import statistics
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import optuna
from optuna import TrialPruned
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.trial import TrialState

from experiments.config import Config
from experiments.run.files import RunError, read_json
from experiments.sweep import trials
from experiments.sweep.space import walk
from experiments.sweep.storage import open_storage
from experiments.sweep.study import Terms, pruner_of, sampler_of, suggest, terms_of
from experiments.train.logbook import Diverged

T = TypeVar("T")
STORAGE_RETRIES = 6
Runs = list[dict[str, Any]]


@dataclass(frozen=True)
class Post:
    """What a worker works on.

    storage, study  where the trials are.
    sweep_dir       where the runs go.
    heartbeat       seconds between signs of life.
    engine          processes or population.
    """

    storage: str
    study: str
    sweep_dir: str
    heartbeat: int = 15
    engine: str = "processes"

    def send(self) -> bytes:
        """As the worker reads it."""
        return json.dumps(asdict(self)).encode()


class Interrupted(Exception):
    """Training was asked to stop, and has saved."""


class Lost(Exception):
    """Another worker has taken the trial up: this one was thought dead."""


class Desk:
    """An open study, as a worker sees it."""

    def __init__(self, post: Post):
        self.post, self.sweep_dir = post, Path(post.sweep_dir)
        self.storage = open_storage(post.storage, post.heartbeat, trials.again)
        self.terms: Terms = terms_of(self.study())
        self.plan = self.terms.plan

    def study(self, **parts: Any) -> Any:
        """The study as it is now."""
        name = self.post.study
        return optuna.load_study(study_name=name, storage=self.storage, **parts)

    def take(self) -> trials.Taken | None:
        """The next trial of this worker, its parameters not yet chosen."""
        study = self.study()
        trials.recover(study, self.storage, self.sweep_dir)
        return trials.take(study, self.storage, self.sweep_dir, self.open)

    def open(self, waiting: Any) -> Any:
        """Optuna's trial, with the sampler and the pruner that it is to have."""
        study = self.study(
            sampler=sampler_of(self.terms, waiting.number),
            pruner=pruner_of(self.terms, steps_of(self.plan.base)),
        )
        return optuna.trial.Trial(study, waiting._trial_id)

    def waiting(self) -> bool:
        """Whether there is a trial that nobody works on."""
        return bool(trials.all_trials(self.study(), "WAITING"))


def steps_of(config: Config) -> int:
    """The last step of a run, as far as the config alone says; for the pruners."""
    return config.train.steps or max(1, config.train.epochs) * 1000


class Reporter:
    """Passes the evaluations of a trial's first run on to the pruner.

    known: steps that the study has heard of: a trial taken up again tells some twice.
    """

    def __init__(self, desk: Desk, trial: Any):
        self.trial = trial
        frozen = desk.storage.get_trial(trial._trial_id)
        self.known = set(frozen.intermediate_values)

    def report(self, step: int, value: float) -> None:
        """Raises TrialPruned where the trial is to end, Lost where it is closed."""
        try:
            if step not in self.known:
                persistent(lambda: self.trial.report(value, step))
            self.known.add(step)
            if self.trial.should_prune():
                raise TrialPruned
        except UpdateFinishedTrialError:
            raise Lost from None


def persistent(ask: Callable[[], T]) -> T:
    """What `ask` gives, asked again for a minute while the storage does not answer."""
    for attempt in range(STORAGE_RETRIES):
        try:
            return ask()
        except StorageInternalError:
            time.sleep(2**attempt)
    return ask()


class heartbeats:
    """Within this context the trials give signs of life."""

    def __init__(self, desk: Desk, taken: Sequence[trials.Taken]):
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._beat, args=(desk, taken))
        self.thread.daemon = True

    def _beat(self, desk: Desk, taken: Sequence[trials.Taken]) -> None:
        while not self.ended.wait(desk.post.heartbeat):
            try:
                for one in taken:
                    trials.beat(desk.storage, one.trial._trial_id)
            except Exception as error:  # the storage may come back before the next
                print(f"no heartbeat: {error}", file=sys.stderr, flush=True)

    def __enter__(self) -> None:
        self.thread.start()

    def __exit__(self, *_: Any) -> None:
        self.ended.set()
        self.thread.join()


def choose_fields(desk: Desk, taken: trials.Taken) -> dict[str, Any]:
    """What the search sets for a trial; the same again for one taken up again."""
    plan, trial = desk.plan, taken.trial
    fields = persistent(
        lambda: walk(plan.space, lambda node: suggest(trial, node), plan.values)
    )
    note(trial, fields=fields, host=socket.gethostname())
    print(f"trial {taken.origin}: {fields}", flush=True)
    return fields


def conclude(desk: Desk, taken: trials.Taken, came: Runs | BaseException) -> bool:
    """Tells the study what came of a trial: its runs, or what ended them; False if it
    was interrupted, and given back."""
    trial = taken.trial
    if isinstance(came, Interrupted | KeyboardInterrupt):
        trials.give_back(desk.study(), desk.storage, trial._trial_id)
        return False
    if isinstance(came, Lost):
        print(f"trial {taken.origin} is with another worker now", flush=True)
    elif isinstance(came, TrialPruned):
        tell(trial, state="PRUNED")
    elif isinstance(came, BaseException):
        tell(trial, **failure(came))
    else:
        value = statistics.fmean(run["valid"] for run in came)
        tell(trial, value=value, runs=came)
    return True


def failure(error: BaseException) -> dict[str, Any]:
    """How a trial ends that raised an error: a loss that left the numbers is a result
    (the search learns from it), anything else is a failure, told with its reason."""
    reason = " ".join(str(error).split())[:500]
    if isinstance(error, Diverged):
        return {"state": "PRUNED", "diverged": reason}
    traceback.print_exception(error)
    return {"state": "FAIL", "error": f"{type(error).__name__}: {reason}"}


def note(trial: Any, **attributes: Any) -> None:
    """Writes attributes of a trial; Lost where it is closed."""
    try:
        for key, value in attributes.items():
            persistent(lambda key=key, value=value: trial.set_user_attr(key, value))
    except UpdateFinishedTrialError:
        raise Lost from None


def tell(
    trial: Any, value: float | None = None, state: str = "COMPLETE", **attributes: Any
) -> None:
    """Ends the trial in the study, unless another worker has it by now."""
    try:
        note(trial, **attributes)
    except Lost:
        return
    persistent(
        lambda: trial.study.tell(
            trial.number, value, state=TrialState[state], skip_if_finished=True
        )
    )


def summary_of(directory: Path) -> dict[str, Any]:
    """What the study keeps of a run, for who cannot see its directory."""
    summary = read_json(directory / "summary.json")
    valid = summary["valid"]["nats_per_token"]
    if not math.isfinite(float(valid)):
        raise RunError(f"{directory}: the validation loss is {valid}")
    kept = ("best_step", "steps", "parameters", "seconds", "tokens_per_second")
    return {
        "valid": valid,
        "test": summary["test"]["nats_per_token"],
        **{key: summary[key] for key in kept},
    }

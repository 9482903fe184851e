"""An open study, as a worker sees it: trials in work, and how each of them ends."""

import json
import math
import socket
import statistics
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import optuna
from optuna import TrialPruned
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from experiments.config import RunConfig
from experiments.run.files import RunError, read_json
from experiments.run.provenance import code
from experiments.sweep import trials
from experiments.sweep.directory import check_run
from experiments.sweep.sampling import pruner_of, sampler_of
from experiments.sweep.space import Fields
from experiments.sweep.storage import open_storage
from experiments.sweep.study import Terms, terms_of
from experiments.sweep.trials import Taken
from experiments.train.run_state import Diverged

T = TypeVar("T")
STORAGE_RETRIES = 6
Runs = list[dict[str, Any]]


@dataclass(frozen=True)
class WorkerOrders:
    """What a worker works on.

    storage, study  where the trials are.
    sweep_dir       where the runs go.
    heartbeat       seconds between signs of life.
    engine          processes or population.
    program         the text of a Python space, which no storage is believed for.
    """

    storage: str
    study: str
    sweep_dir: str
    heartbeat: int = 15
    engine: str = "processes"
    program: str = ""

    def text(self) -> str:
        """As the worker reads it."""
        return json.dumps(asdict(self))


class Interrupted(Exception):
    """Training was asked to stop, and has saved."""


class Lost(Exception):
    """Another worker has taken the trial up: this one was thought dead."""


class OpenStudy:
    """A study in an open storage, with the sampler and the pruner of its terms."""

    def __init__(self, orders: WorkerOrders, storage: BaseStorage):
        self.orders, self.storage = orders, storage
        self.sweep_dir = Path(orders.sweep_dir)
        self.terms: Terms = terms_of(self.study())
        if self.terms.program != orders.program:
            raise RunError("the study's SPACE(trial) is not the one of this sweep")
        if self.terms.code not in (None, code()):
            raise RunError("the code that trains was changed while the sweep went on")
        self.plan = self.terms.plan

    def study(self, **parts: Any) -> optuna.Study:
        """The study as it is now."""
        name = self.orders.study
        return optuna.load_study(study_name=name, storage=self.storage, **parts)

    def take(self) -> Taken | None:
        """The next trial of this worker, its parameters not yet chosen."""
        study = self.study()
        trials.recover(study)
        return trials.take(study, self.storage, self.sweep_dir, self.open)

    def open(self, waiting: FrozenTrial) -> Trial:
        """Optuna's trial, with the sampler and the pruner that it is to have."""
        terms, train = self.terms, self.plan.base.train
        seed, conditional = terms.sampler_seed, bool(terms.program)
        sampler = sampler_of(terms.sampler, seed, waiting.number, conditional)
        steps = train.steps or max(1, train.epochs) * 1000  # as far as a config says
        pruner = pruner_of(terms.pruner, steps)
        return Trial(self.study(sampler=sampler, pruner=pruner), waiting._trial_id)

    def waiting(self) -> bool:
        """Whether there is a trial that nobody works on."""
        return bool(trials.all_trials(self.study(), "WAITING"))

    def choose_fields(self, taken: Taken) -> Fields:
        """What the search sets for a trial; the same again for one taken up again."""
        trial = taken.trial
        fields = persistent(lambda: self.plan.space.suggest(trial))
        note(trial, fields=fields, host=socket.gethostname())
        print(f"trial {taken.origin}: {fields}", flush=True)
        return fields

    def finished(self, folder: Path, config: RunConfig) -> bool:
        """Whether a run is there and has ended.

        Raises:
          RunError: where what is there is not this run, in any field that matters.
        """
        if folder.is_symlink():
            raise RunError(f"{folder} is a link, which a sweep does not follow")
        if (folder / "config.json").exists():
            check_run(folder, config)
        return (folder / "summary.json").exists()

    def summary_of(self, folder: Path) -> dict[str, Any]:
        """What the study keeps of a run, for who cannot see its directory."""
        summary = read_json(folder / "summary.json")
        kept = ("best_step", "steps", "parameters", "seconds", "tokens_per_second")
        try:
            found = {split: self.score(summary, split) for split in ("valid", "test")}
            found |= {key: summary[key] for key in kept}
        except (KeyError, TypeError) as error:
            raise RunError(f"{folder}/summary.json lacks {error}") from None
        if not math.isfinite(found["valid"]):
            raise RunError(f"{folder}: the validation loss is {found['valid']}")
        return found

    def score(self, summary: dict[str, Any], split: str) -> float:
        """What a sweep makes as small as it can, of a run's summary.json."""
        if "scores" in summary:
            scores = {name: float(x) for name, x in summary["scores"][split].items()}
        else:  # made before scores had names
            scores = {"loss": float(summary[split]["nats_per_token"])}
        return self.plan.application.monitored(scores)

    def conclude(self, taken: Taken, came: Runs | BaseException) -> bool:
        """Tells the study what came of a trial: its runs, or what ended them; False if
        it was interrupted, and given back."""
        trial = taken.trial
        if isinstance(came, Interrupted | KeyboardInterrupt):
            trials.give_back(self.study(), self.storage, trial._trial_id)
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

    @contextmanager
    def heartbeats(self, taken: Sequence[Taken]) -> Iterator[None]:
        """Within this context the trials give signs of life."""
        ended = threading.Event()

        def give() -> None:
            while not ended.wait(self.orders.heartbeat):
                try:
                    for one in taken:
                        trials.beat(self.storage, one.trial._trial_id)
                except Exception as error:  # the storage may come back before the next
                    print(f"no heartbeat: {error}", file=sys.stderr, flush=True)

        thread = threading.Thread(target=give, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


@contextmanager
def open_study(orders: WorkerOrders) -> Iterator[OpenStudy]:
    """The study that a worker is sent to."""
    with open_storage(orders.storage, orders.heartbeat, trials.again) as storage:
        yield OpenStudy(orders, storage)


class Reporter:
    """Passes the evaluations of a trial's first run on to the pruner.

    known: steps that the study has heard of: a trial taken up again tells some twice.
    """

    def __init__(self, storage: BaseStorage, trial: Trial):
        self.trial = trial
        self.known = set(storage.get_trial(trial._trial_id).intermediate_values)

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


def failure(error: BaseException) -> dict[str, Any]:
    """How a trial ends that raised an error: a loss that left the numbers is a result
    (the search learns from it), anything else is a failure, told with its reason."""
    reason = " ".join(str(error).split())[:500]
    if isinstance(error, Diverged):
        return {"state": "PRUNED", "diverged": reason}
    traceback.print_exception(error)
    return {"state": "FAIL", "error": f"{type(error).__name__}: {reason}"}


def note(trial: Trial, **attributes: Any) -> None:
    """Writes attributes of a trial; Lost where it is closed."""
    try:
        for key, value in attributes.items():
            persistent(lambda key=key, value=value: trial.set_user_attr(key, value))
    except UpdateFinishedTrialError:
        raise Lost from None


def tell(
    trial: Trial, value: float | None = None, state: str = "COMPLETE", **attributes: Any
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

"""A study: the trials of one sweep, in a storage that any number of workers share.

All trials are put into the storage at the start, waiting: with the parameters of a
grid's points, or with none where the sampler chooses when a trial is taken. A worker
takes a waiting trial, and the storage gives each to one worker only; so however many
work, and whenever one of them dies, there are exactly as many as were asked for.

A study belongs to what made it: `Terms` are kept with it, and whoever would go on with
it has to have the same in every field that its numbers depend on.
"""

import hashlib
import json
import time
import uuid
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

import optuna
from optuna.storages import BaseStorage

from experiments.config import flatten, from_dict, load_named, of_kinds, to_dict
from experiments.run.files import RunError
from experiments.sweep.sampling import grid, looked_at
from experiments.sweep.space import Fields
from experiments.sweep.space_file import (
    BASE,
    RUNNING,
    Plan,
    Source,
    nested,
    plan_of,
)

READY_SECONDS = 60


@dataclass(frozen=True)
class Terms:
    """What all workers of a study have to agree on; kept with the study.

    name, space   the space, and its content as JSON.
    seeds         runs of each trial.
    sampler, sampler_seed, pruner   how the search goes.
    threads       XLA's threads in each worker: the last digits depend on them.
    program       the text of a Python file with SPACE(trial), or empty.
    base          the base config; None in studies made before it was kept.
    texts         fingerprints of the texts read; None likewise.
    code          digest of the code that trains, see `provenance.code`; None likewise.
    draws         digest of what the program gives, whatever it imports; or empty.
    """

    name: str
    space: dict[str, Any]
    seeds: int
    sampler: str
    sampler_seed: int
    pruner: str
    threads: int
    program: str = ""
    base: dict[str, Any] | None = field(default=None, repr=False)
    texts: list[str] | None = None
    code: str | None = None
    draws: str = ""

    @cached_property
    def plan(self) -> Plan:
        """The space, read again."""
        source = Source(self.name, self.space, self.program)
        if self.base is None:
            return plan_of(source)
        kind = type(load_named(self.space.get("config", BASE)))
        return plan_of(source, from_dict(self.base, kind))

    def meaning(self) -> Fields:
        """What the values of trials depend on, but for text and code."""
        space = self.plan.space
        varied = {name for node in space.varied for name in node.fields}
        kind = type(self.plan.base)
        without = of_kinds(kind, "pacing", "probe", "place") | varied
        values = {**flatten(to_dict(self.plan.base)), **space.fixed}
        kept = {k: v for k, v in values.items() if k not in without}
        kept["application"] = kind.application
        kept |= {k: v for k, v in self.space.items() if k in varied or k == "zip"}
        if self.program:
            kept["SPACE(trial)"] = digest(self.program)[:12]
        return flatten(json.loads(json.dumps({**kept, "--seeds": self.seeds})))


def digest(text: str) -> str:
    """A hash of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def terms_of_plan(plan: Plan, **how: Any) -> Terms:
    """Terms of a space that is read here and now. how: the other fields."""
    source = plan.source
    space = {k: v for k, v in source.raw.items() if k not in RUNNING}
    kept = {"program": source.program, "base": to_dict(plan.base)}
    if source.program:
        drawn = [fields for _, fields in looked_at(plan)]
        kept["draws"] = digest(json.dumps(drawn, sort_keys=True))
    return Terms(source.name, space, **kept, **how)


def join(
    storage: BaseStorage, study_name: str, terms: Terms, trials: int, resume: bool
) -> tuple[optuna.Study, Terms]:
    """Makes the study with its waiting trials, or joins the one that is there.

    Args:
      trials: how many there are to be; a grid has as many as it has points.
      resume: whether to enlarge a study that has fewer.

    Returns:
      (study, terms): the terms are those that the study was made with.

    Raises:
      RunError: for a study of another space, or of another number of trials.
    """
    try:
        study = optuna.create_study(study_name=study_name, storage=storage)
    except optuna.exceptions.DuplicatedStudyError:
        study = optuna.load_study(study_name=study_name, storage=storage)
        agreed = _agreed(study, terms, trials, resume)
        if "identity" not in study.user_attrs:  # made before there was one
            study.set_user_attr("identity", uuid.uuid4().hex)
        return study, agreed
    study.set_user_attr("identity", uuid.uuid4().hex)
    study.set_user_attr("terms", asdict(terms))
    _fill(study, terms, trials)
    return study, terms


def find_study(storage: BaseStorage, study_name: str) -> optuna.Study | None:
    """The study of this name, if it is there."""
    try:
        return optuna.load_study(study_name=study_name, storage=storage)
    except KeyError:
        return None


def terms_of(study: optuna.Study) -> Terms:
    """The terms that a study was made with.

    Raises:
      RunError: where it is not a sweep's.
    """
    attributes = study.user_attrs
    try:
        terms = Terms(**attributes["terms"])
        if terms.base is None:  # made before the base was kept as a whole
            flat = attributes["space"].items()
            base = {k[5:]: v for k, v in flat if k.startswith("base ")}
            terms = replace(terms, base=nested(base))
        return terms
    except (KeyError, TypeError, AttributeError):
        raise RunError(
            f"study {study.study_name!r} was not made by experiments.sweep: give "
            "another --study"
        ) from None


def _agreed(study: optuna.Study, terms: Terms, trials: int, resume: bool) -> Terms:
    """The terms of a study that is there already, after checking that it is ours."""
    _wait_until_ready(study)
    old, name = terms_of(study), study.study_name
    check_same(name, old, terms)
    for option in ("sampler", "pruner", "sampler_seed"):
        was, now = getattr(old, option), getattr(terms, option)
        if was != now:
            flag = option.replace("_", "-")
            raise RunError(
                f"study {name!r} was made with --{flag} {was}, this asks for {now}: "
                f"give --{flag} {was}, or another --study and --sweep-dir"
            )
    there = study.user_attrs["trials"]
    if trials > there and resume:
        _fill(study, old, trials, there)
    elif trials != there and not resume:
        raise RunError(
            f"study {name!r} has {there} trials, this asks for {trials}: give --trials "
            f"{there}, or --resume to enlarge it"
        )
    return old


def check_same(name: str, old: Terms, new: Terms) -> None:
    """Raises RunError where a study's numbers would not be those of `new`.

    What a study of before did not keep, its text and its code, cannot be compared.
    """
    texts = old.texts is not None
    was, now = old.meaning(), new.meaning()
    keys = [k for k in {**was, **now} if was.get(k) != now.get(k)]
    where = of_kinds(type(new.plan.base), "text")  # their fingerprints say more
    keys = [key for key in keys if not (texts and key in where)]
    if keys:
        told = ", ".join(f"{k} was {was.get(k)!r}, is {now.get(k)!r}" for k in keys[:3])
        what, then = f"has another space: {told}", "the space as it was"
    elif old.draws != new.draws:
        what = "has another space: SPACE(trial) does not give the fields that it gave"
        what, then = f"{what}, so what it imports was changed", "that as it was"
    elif texts and old.texts != new.texts:
        told = f"was {_short(old.texts)}, is {_short(new.texts)}"
        what = f"was made of another text: its fingerprint {told}"
        then = "the text as it was"
    elif old.code not in (None, new.code):
        what = f"was made by other code: what trains here was {old.code}, is {new.code}"
        what += " (Python's version, digest of lm, data_pipeline and the loop)"
        then = "the code as it was"
    else:
        return
    raise RunError(
        f"study {name!r} {what}; give {then}, or another --study and --sweep-dir"
    )


def _short(texts: list[str] | None) -> str:
    return ", ".join(text[:12] for text in texts or ["unknown"])


def _fill(study: optuna.Study, terms: Terms, trials: int, there: int = 0) -> None:
    """Puts in waiting trials up to so many."""
    gridded = terms.sampler == "grid"
    points = [point.params for point in grid(terms.plan)] if gridded else [{}] * trials
    for origin in range(there, trials):
        study.enqueue_trial(points[origin], user_attrs={"origin": origin})
    study.set_user_attr("trials", trials)


def _wait_until_ready(study: optuna.Study) -> None:
    """While another process is still putting the trials in."""
    seen, seen_at = -1, time.monotonic()
    while "trials" not in study.user_attrs:
        there = len(study.get_trials(deepcopy=False))
        if there != seen:
            seen, seen_at = there, time.monotonic()
        if time.monotonic() - seen_at > READY_SECONDS:
            raise RunError(
                f"study {study.study_name!r} was never finished being made: give "
                "another --study and --sweep-dir"
            )
        time.sleep(0.2)

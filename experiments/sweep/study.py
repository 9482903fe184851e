"""A study: the trials of one sweep, in a storage that any number of workers share.

All trials are put into the storage at the start, waiting: with the parameters of a
grid's points, or with none where the sampler chooses when a trial is taken. A worker
takes a waiting trial, and the storage gives each to one worker only; so however many
work, and whenever one of them dies, there are exactly as many as were asked for.
"""

import hashlib
import json
import time
from dataclasses import asdict, dataclass
from typing import Any

import optuna
from optuna import pruners, samplers

from experiments.config import Config, flatten, of_kinds
from experiments.run.files import RunError
from experiments.sweep.reading import Plan, plan_of
from experiments.sweep.space import (
    Choice,
    Interval,
    Zip,
    alternatives,
    decisions,
    every,
)

SAMPLERS = ("grid", "random", "tpe", "cma-es", "qmc")
PRUNERS = ("none", "median", "hyperband")
READY_SECONDS = 60


@dataclass(frozen=True)
class Terms:
    """What all workers of a study have to agree on; kept with the study.

    name, space   the space, and its content as JSON.
    seeds         runs of each trial.
    sampler, sampler_seed, pruner   how the search goes.
    threads       XLA's threads in each worker: the last digits depend on them.
    """

    name: str
    space: dict[str, Any]
    seeds: int
    sampler: str
    sampler_seed: int
    pruner: str
    threads: int

    @property
    def plan(self) -> Plan:
        """The space, read again."""
        return plan_of(self.name, self.space)

    def meaning(self) -> dict[str, Any]:
        """Space, base config and seeds: two studies of one meaning can share trials."""
        space = {k: v for k, v in self.space.items() if k not in _RUNNING_ONLY}
        values = self.plan.values
        base = {f"base {k}": v for k, v in values.items() if k not in _NO_MATTER}
        return json.loads(json.dumps({**space, **base, "--seeds": self.seeds}))


def digest(meaning: dict[str, Any]) -> str:
    """A hash of what the values of trials depend on."""
    return hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()


_NO_MATTER = of_kinds(Config, "pacing", "probe")
_RUNNING_ONLY = ("trials", "seeds", "sampler", "pruner", "small")


def sampler_of(terms: Terms, number: int) -> Any:
    """Optuna's sampler for trial `number`.

    A sampler that draws at random starts from its own seed at every trial; so the
    draws do not depend on which worker takes which trial, and no two workers draw the
    same. The points of a quasi-random sequence are counted in the storage instead.
    """
    seed = (terms.sampler_seed * 1_000_003 + number) % 2**32
    match terms.sampler:
        case "tpe":
            conditional = any(key in terms.space for key in ("chain", "when"))
            return samplers.TPESampler(
                seed=seed, multivariate=True, group=conditional, constant_liar=True
            )
        case "cma-es":
            return samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)
        case "qmc":
            return samplers.QMCSampler(
                seed=terms.sampler_seed,
                scramble=True,
                independent_sampler=samplers.RandomSampler(seed=seed),
                warn_independent_sampling=False,
            )
    return samplers.RandomSampler(seed=seed)


def pruner_of(terms: Terms, steps: int) -> Any:
    """Optuna's pruner for runs of at most `steps` steps."""
    if terms.pruner == "median":
        return pruners.MedianPruner(n_startup_trials=5)
    if terms.pruner == "hyperband":
        return pruners.HyperbandPruner(
            min_resource=max(1, steps // 27), max_resource=steps, reduction_factor=3
        )
    return pruners.NopPruner()


def suggest(trial: Any, node: Any) -> Any:
    """The trial's answer to a decision of the space."""
    if isinstance(node, Interval):
        if node.whole:
            return trial.suggest_int(
                node.name, int(node.low), int(node.high), log=node.log
            )
        return trial.suggest_float(node.name, node.low, node.high, log=node.log)
    found = alternatives(node)
    labels = labels_of(node)
    return found[labels.index(trial.suggest_categorical(node.name, labels))]


def labels_of(node: Any) -> list[Any]:
    """What Optuna calls the alternatives of a decision: plain values as they are, rows
    and lists as text, the parts of a chain by number."""
    match node:
        case Choice(values=values):
            plain = all(isinstance(v, str | int | float | None) for v in values)
            return list(values) if plain else [json.dumps(v) for v in values]
        case Zip(rows=rows):
            return [" & ".join(str(v) for v in row) for row in rows]
    return list(alternatives(node))


def grid(plan: Plan) -> list[dict[str, Any]]:
    """Optuna's parameters at every point of the grid."""
    nodes = {node.name: node for node in decisions(plan.space)}

    def label(name: str, answer: Any) -> Any:
        node = nodes[name]
        if isinstance(node, Interval):
            return answer
        return labels_of(node)[list(alternatives(node)).index(answer)]

    return [
        {name: label(name, answer) for name, answer in answers.items()}
        for answers, _ in every(plan.space, plan.values)
    ]


def join(storage: Any, study_name: str, terms: Terms, trials: int, resume: bool) -> Any:
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
        return study, _agreed(study, terms, trials, resume)
    study.set_user_attr("terms", asdict(terms))
    meaning = terms.meaning()
    study.set_user_attr("space", meaning)
    study.set_user_attr("space_hash", digest(meaning))
    _fill(study, terms, trials)
    return study, terms


def terms_of(study: Any) -> Terms:
    """The terms that a study was made with."""
    try:
        return Terms(**study.user_attrs["terms"])
    except (KeyError, TypeError):
        raise RunError(
            f"study {study.study_name!r} was not made by experiments.sweep: give "
            "another --study"
        ) from None


def _agreed(study: Any, terms: Terms, trials: int, resume: bool) -> Terms:
    """The terms of a study that is there already, after checking that it is ours."""
    _wait_until_ready(study)
    old = terms_of(study)
    meaning = terms.meaning()
    if study.user_attrs["space_hash"] != digest(meaning):
        was, now = flatten(study.user_attrs["space"]), flatten(meaning)
        keys = [key for key in {**was, **now} if was.get(key) != now.get(key)]
        told = ", ".join(f"{k} was {was.get(k)!r}, is {now.get(k)!r}" for k in keys[:3])
        raise RunError(
            f"study {study.study_name!r} has another space: {told}; give another "
            "--study or --sweep-dir, or the space as it was"
        )
    for option in ("sampler", "pruner", "sampler_seed"):
        was, now = getattr(old, option), getattr(terms, option)
        if was != now:
            flag = option.replace("_", "-")
            raise RunError(
                f"study {study.study_name!r} was made with --{flag} {was}, this asks "
                f"for {now}: give --{flag} {was}, or another --study"
            )
    there = study.user_attrs["trials"]
    if trials > there and resume:
        _fill(study, old, trials, there)
    elif trials != there and not resume:
        raise RunError(
            f"study {study.study_name!r} has {there} trials, this asks for {trials}: "
            f"give --trials {there}, or --resume to enlarge it"
        )
    return old


def _fill(study: Any, terms: Terms, trials: int, there: int = 0) -> None:
    """Puts in waiting trials up to so many."""
    points = grid(terms.plan) if terms.sampler == "grid" else [{}] * trials
    for origin in range(there, trials):
        study.enqueue_trial(points[origin], user_attrs={"origin": origin})
    study.set_user_attr("trials", trials)


def _wait_until_ready(study: Any) -> None:
    """While another process is still putting the trials in."""
    seen, seen_at = -1, time.monotonic()
    while "trials" not in study.user_attrs:
        there = len(study.get_trials(deepcopy=False))
        if there != seen:
            seen, seen_at = there, time.monotonic()
        if time.monotonic() - seen_at > READY_SECONDS:
            raise RunError(
                f"study {study.study_name!r} was never finished being made: give "
                "another --study"
            )
        time.sleep(0.2)

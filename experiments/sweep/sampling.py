"""Who chooses the points of a space: Optuna's samplers and pruners, or a grid."""

import random
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import optuna
from optuna import pruners, samplers
from optuna.distributions import BaseDistribution, FloatDistribution

from experiments.sweep.space import Fields, Point, Space
from experiments.sweep.space_file import Plan
from experiments.sweep.storage import quiet
from lm.config import ConfigError

SAMPLERS = ("grid", "random", "tpe", "cma-es", "qmc")
LEARNING = ("tpe", "cma-es")
PRUNERS = ("none", "median", "hyperband")
LARGEST_GRID = 100_000
LARGEST_PROGRAM = 2_000  # points of a grid that a program makes; its cost is quadratic
LOOKED_AT = 60  # draws by which a space is known


class Corners(samplers.RandomSampler):
    """At random, half of the time at the ends of intervals: what has to be valid."""

    def __init__(self, seed: int = 0):
        super().__init__(seed)
        self.random = random.Random(seed)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: optuna.trial.FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        ends = [getattr(param_distribution, end, None) for end in ("low", "high")]
        if ends[0] is not None and self.random.random() < 0.5:
            return self.random.choice(ends)
        return super().sample_independent(study, trial, param_name, param_distribution)


def sampler_of(
    name: str, sampler_seed: int, number: int, conditional: bool = False
) -> samplers.BaseSampler:
    """Optuna's sampler for trial `number`.

    A sampler that draws at random starts from its own seed at every trial; so the
    draws do not depend on which worker takes which trial, and no two workers draw the
    same. The points of a quasi-random sequence are counted in the storage instead.

    conditional: whether some decisions are not made in every trial.
    """
    seed = (sampler_seed * 1_000_003 + number) % 2**32
    match name:
        case "tpe":
            return samplers.TPESampler(
                seed=seed, multivariate=True, group=conditional, constant_liar=True
            )
        case "cma-es":
            return samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)
        case "qmc":
            return samplers.QMCSampler(
                seed=sampler_seed,
                scramble=True,
                independent_sampler=samplers.RandomSampler(seed=seed),
                warn_independent_sampling=False,
            )
    return samplers.RandomSampler(seed=seed)


def pruner_of(name: str, steps: int) -> pruners.BasePruner:
    """Optuna's pruner for runs of at most `steps` steps."""
    if name == "median":
        return pruners.MedianPruner(n_startup_trials=5)
    if name == "hyperband":
        return pruners.HyperbandPruner(
            min_resource=max(1, steps // 27), max_resource=steps, reduction_factor=3
        )
    return pruners.NopPruner()


def examples(
    space: Space, choose: Callable[[int], samplers.BaseSampler], count: int
) -> Iterator[tuple[optuna.Trial, Fields]]:
    """Trials of a study that nothing keeps. choose: the sampler of each, by number."""
    quiet()
    study = optuna.create_study()
    for number in range(count):
        study.sampler = choose(number)
        trial = study.ask()
        yield trial, space.suggest(trial)
        study.tell(trial, 0.0)


def looked_at(plan: Plan, count: int = LOOKED_AT) -> list[tuple[optuna.Trial, Fields]]:
    """Trials by which a space is known, always the same."""
    sampler = Corners()
    return list(examples(plan.space, lambda _: sampler, count))


def corners(plan: Plan, count: int) -> Iterator[Fields]:
    """Points between which all others lie, as far as `count` goes, and random ones
    where that is not all of them."""
    space, whole = plan.space, plan.space.size() <= count
    if space.program is None:
        yield from (point.fields for point in islice(space.grid(not whole), count))
    if space.program is not None or not whole:
        yield from (fields for _, fields in looked_at(plan, count // 3))


def grid(plan: Plan) -> list[Point]:
    """Every point of a finite space.

    Raises:
      ConfigError: where it has too many.
    """
    space = plan.space
    if space.program is None:
        if space.size() > LARGEST_GRID:
            raise ConfigError(
                f"the grid has {space.size():,} points, more than {LARGEST_GRID:,}: "
                "list fewer values, or take another --sampler"
            )
        return list(space.grid())
    found: list[Point] = []

    def keep(trial: optuna.Trial) -> float:
        fields = space.suggest(trial)
        found.append(Point(trial.params, fields))
        return 0.0

    quiet()
    sampler = samplers.BruteForceSampler(seed=0)
    optuna.create_study(sampler=sampler).optimize(keep, LARGEST_PROGRAM + 1)
    if len(found) > LARGEST_PROGRAM:
        raise ConfigError(
            f"the grid of SPACE(trial) has more than {LARGEST_PROGRAM:,} points: take "
            "another --sampler"
        )
    return found


def gridded(plan: Plan) -> bool:
    """Whether a grid of the space exists."""
    if plan.space.program is None:
        return plan.space.size() < float("inf")
    return not any(
        isinstance(kind, FloatDistribution) and kind.step is None
        for trial, _ in looked_at(plan)
        for kind in trial.distributions.values()
    )


def varied_fields(plan: Plan) -> list[str]:
    """The fields that are not the same at every point, each once, in order."""
    own = [field for node in plan.space.varied for field in node.fields]
    drawn = [fields for _, fields in looked_at(plan)] if plan.space.program else []
    names = dict.fromkeys(name for fields in drawn for name in fields)
    apart = [n for n in names if any(f.get(n) != drawn[0].get(n) for f in drawn)]
    return list(dict.fromkeys(own + apart))


def log_fields(plan: Plan) -> set[str]:
    """The fields that are searched on a log scale."""
    kinds = [trial.distributions.items() for trial, _ in looked_at(plan)]
    return {name for k in kinds for name, kind in k if getattr(kind, "log", False)}

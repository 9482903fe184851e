"""`--dry-run`: the configs that a sweep would train."""

from collections.abc import Iterator

import optuna

from experiments.sweep.reading import Plan
from experiments.sweep.space import Fields, every, fields_of, walk
from experiments.sweep.storage import quiet
from experiments.sweep.study import Terms, sampler_of, suggest

EXAMPLES = 5
SEARCHING = ("tpe", "cma-es")


def configs(plan: Plan, sampler: str, seed: int, trials: int) -> Iterator[str]:
    """A line a trial: its number and the fields that it sets."""
    if sampler == "grid":
        points = [fields for _, fields in every(plan.space, plan.values)]
    else:
        shown = EXAMPLES if sampler in SEARCHING else trials
        points = drawn(plan, sampler, seed, shown)
        if sampler in SEARCHING:
            yield f"{sampler} chooses as it goes; it could begin with"
    fixed = {k: v for k, v in points[0].items() if k not in fields_of(plan.space)}
    if fixed:
        yield f"  all   {_told(fixed)}"
    for number, fields in enumerate(points):
        own = {key: value for key, value in fields.items() if key not in fixed}
        yield f"  {number:4}  {_told(own)}"


def drawn(plan: Plan, sampler: str, seed: int, trials: int) -> list[Fields]:
    """What the first trials of a sweep would be, asked of its own sampler."""
    quiet()
    terms = Terms(plan.name, plan.raw, 1, sampler, seed, "none", 1)
    study, points = optuna.create_study(), []
    for number in range(trials):
        study.sampler = sampler_of(terms, number)
        trial = study.ask()
        points.append(walk(plan.space, lambda n, t=trial: suggest(t, n), plan.values))
        study.tell(trial, 0.0)
    return points


def _told(fields: Fields) -> str:
    shown = {k: f"{v:.6g}" if isinstance(v, float) else v for k, v in fields.items()}
    return ", ".join(f"{key} {value}" for key, value in shown.items())

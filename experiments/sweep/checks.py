"""What is looked at before anything starts: every config that a space can give, the
text that it reads, and, for `--dry-run`, the configs that would be trained."""

from collections.abc import Iterator

from experiments.config import RunConfig, flatten, to_dict
from experiments.results.rows import shown
from experiments.sweep.sampling import (
    LEARNING,
    corners,
    examples,
    grid,
    sampler_of,
    varied_fields,
)
from experiments.sweep.space import Fields
from experiments.sweep.space_file import Plan

BATCHED = ("data.batch", "data.window")
CORNERS = 900
DATASETS = 8
EXAMPLES = 5


def check(plan: Plan) -> list[str]:
    """Builds configs at the extremes, what they train and their data; the fingerprints
    of the texts that they read.

    Raises:
      ConfigError, DataError: in one line, for a value that no run would accept.
    """
    found: dict[str, dict[str, RunConfig]] = {}
    for fields in corners(plan, CORNERS):
        config = plan.config(fields)
        values = flatten(to_dict(config))
        data = {k: v for k, v in values.items() if k.startswith("data.")}
        # How it is batched does not matter to whether the text can be read, nor a
        # number to whether a model can be built.
        text = str({k: v for k, v in data.items() if k not in BATCHED})
        words = str([v for v in values.values() if isinstance(v, bool | str)])
        found.setdefault(text, {}).setdefault(words, config)
    texts = []
    for configs in list(found.values())[:DATASETS]:
        prepared = plan.application.prepare(next(iter(configs.values())))
        texts.append(prepared.text.fingerprint)
        for config in configs.values():
            plan.application.problem(config, prepared)
    return texts


def listed(plan: Plan, sampler: str, seed: int, trials: int) -> Iterator[str]:
    """A line a trial: its number and the fields that it sets."""
    if sampler == "grid":
        points = [point.fields for point in grid(plan)]
    else:
        some = EXAMPLES if sampler in LEARNING else trials
        drawn = examples(plan.space, lambda n: sampler_of(sampler, seed, n), some)
        points = [fields for _, fields in drawn]
        if sampler in LEARNING:
            yield f"{sampler} chooses as it goes; it could begin with"
    varied = varied_fields(plan)
    fixed = {k: v for k, v in points[0].items() if k not in varied}
    if fixed:
        yield f"  all   {_told(fixed)}"
    for number, fields in enumerate(points):
        own = {key: value for key, value in fields.items() if key not in fixed}
        yield f"  {number:4}  {_told(own)}"


def _told(fields: Fields) -> str:
    return ", ".join(f"{key} {shown(value)}" for key, value in fields.items())

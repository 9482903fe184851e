"""What is looked at before anything starts: every config that a space can give, the
text that it reads, and, for `--dry-run`, the configs that would be trained."""

from collections.abc import Iterator
from typing import Any

from experiments.applications import load
from experiments.config import RunConfig, to_dict
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

CORNERS = 900
DATASETS = 8
EXAMPLES = 5


def check(plan: Plan) -> list[str]:
    """Builds configs at the extremes, their cells and their data; the fingerprints of
    the texts that they read.

    Raises:
      ConfigError, DataError: in one line, for a value that no run would accept.
    """
    application = load(plan.base.application)
    data: dict[str, RunConfig] = {}
    cells: dict[str, Any] = {}
    for fields in corners(plan, CORNERS):
        config: Any = plan.config(fields)
        data.setdefault(_text_of(config), config)
        cells.setdefault(config.model.cell, config)
    prepared = [
        application.prepare(config) for config in list(data.values())[:DATASETS]
    ]
    for config in cells.values():
        application.problem(config, prepared[0])
    return [found.text.fingerprint for found in prepared]


def _text_of(config: Any) -> str:
    """What decides whether the data can be read; not how they are batched."""
    values = to_dict(config.data)
    return repr({k: v for k, v in values.items() if k not in ("batch", "window")})


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

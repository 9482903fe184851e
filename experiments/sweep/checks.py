"""What is looked at before anything starts: every config that a space can give, the
text that it reads, and, for `--dry-run`, the configs that would be trained."""

from collections.abc import Iterator
from dataclasses import replace

from data_pipeline.config import DataConfig
from data_pipeline.dataset import prepare
from experiments.config import Config
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
from lm.models.language_model import build

CORNERS = 900
DATASETS = 8
EXAMPLES = 5


def check(plan: Plan) -> list[str]:
    """Builds configs at the extremes, their cells and their data; the fingerprints of
    the texts that they read.

    Raises:
      ConfigError, DataError: in one line, for a value that no run would accept.
    """
    data: dict[DataConfig, None] = {}
    cells: dict[str, Config] = {}
    for fields in corners(plan, CORNERS):
        config = plan.config(fields)
        # How it is batched does not matter to whether the text can be read.
        data[replace(config.data, batch=1, window=1)] = None
        cells.setdefault(config.model.cell, config)
    for config in cells.values():
        build(config.model, 3)
    return [prepare(found).corpus.fingerprint for found in list(data)[:DATASETS]]


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

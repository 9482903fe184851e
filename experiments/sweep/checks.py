"""What is checked before anything starts: every config that a space can give."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from data_pipeline.config import DataConfig
from data_pipeline.dataset import prepare
from experiments.config import Config
from experiments.sweep.reading import Plan
from experiments.sweep.space import draw, every, extremes, finite
from lm.model import build

CORNERS = 1000
DRAWS = 300
DATASETS = 8


def corners(plan: Plan) -> Iterator[Config]:
    """The configs at the extremes of a space: the whole grid where it is small, else
    its first corners and random ones.

    Raises:
      ConfigError, DataError: the config's own, where one of them is not valid.
    """
    base = plan.values
    options = {} if finite(plan.space) else {"options": extremes}
    for _, fields in islice(every(plan.space, base, **options), CORNERS):
        yield plan.config(fields)
    for seed in range(DRAWS):
        yield plan.config(draw(plan.space, base, seed))


def check(plan: Plan) -> None:
    """Builds configs at the extremes, their cells and their data.

    Raises:
      ConfigError, DataError: in one line, for a value that no run would accept.
    """
    data: dict[DataConfig, None] = {}
    cells: dict[str, Config] = {}
    for config in corners(plan):
        # How it is batched does not matter to whether the text can be read.
        data[replace(config.data, batch=1, window=1)] = None
        cells.setdefault(config.model.cell, config)
    _check_cells(list(cells.values()))
    _check_data(list(data)[:DATASETS])


def _check_cells(configs: list[Config]) -> None:
    """A name that is no cell is an error here, not in the first worker."""
    for config in configs:
        build(config.model, 3)


def _check_data(configs: list[DataConfig]) -> None:
    for config in configs:
        prepare(config)

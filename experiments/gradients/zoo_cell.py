"""One cell of the zoo: what it is asked, and the row that this comes to.

A row is `zoo_CELL.json`, as the rows of experiments/results are.
"""

import dataclasses
import math
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax

from data_pipeline.tasks import TASKS
from experiments.applications.memory.application import model_of
from experiments.applications.memory.config import MemoryConfig
from experiments.config import Config
from experiments.console.interrupts import Interrupt
from experiments.gradients.cells import Cells, config_of, row_of
from experiments.gradients.common import lag_profile
from experiments.gradients.directory import spent
from experiments.gradients.ladders import Climb, Ladder, climb, ladder, reach
from experiments.gradients.rates import tuned
from experiments.gradients.runs import AllDiverged, trained
from experiments.gradients.study import Job
from experiments.gradients.widths import parameters_in, width
from experiments.results.intervals import Mean
from experiments.results.rows import Row, row_files, write_row
from experiments.run.files import RunError, plain
from experiments.train.processes import Heard
from lm.cells import make_cell
from lm.config import ModelConfig, OptimConfig
from lm.structure import WHOLE
from lm.train import count_parameters

PREFIX = "zoo_"
STATE = 4_096  # numbers of one lane, at most
HEADS = 4  # widths are multiples of it, so that cells with heads have as many
KEPT = (
    "hidden",
    "parameters",
    "learning_rate",
    "seeds",
    "diverged",
    "perplexity",
    "perplexity_half",
    "horizon",
    "half_life",
    "horizon_of_h",
    "lags",
)


@dataclass(frozen=True)
class Zoo:
    """What a size sets."""

    text: Cells
    """Of the language models; widths by their budget of parameters."""
    memory: Climb
    """Of the memory tasks; the width is found for each by `budget`."""
    budget: int
    """Parameters of the networks for memory tasks."""
    tasks: tuple[str, ...] = ("adding", "copy_memory", "temporal_order_2")
    pilots: tuple[int, ...] = (1000,)
    """Seeds of the runs that find a cell's learning rate."""
    rounds: int = 15
    """Steps timed of the cell and of LSTM, in turns."""
    cells: tuple[str, ...] = ()
    """Cells to be measured where they have no row; none: the table of those that have
    one."""
    times: bool = False
    """Whether step times are measured of these, where their rows have none."""
    recorded: bool = False
    """Whether rows go to experiments/results; else into the study's directory."""

    @property
    def seeds(self) -> int:
        """Of every run."""
        return self.text.seeds


def settings_of(size: Zoo, seeds: int) -> dict[str, Any]:
    """What a row's numbers follow from."""
    size = replace(size, text=replace(size.text, seeds=seeds))
    values = dataclasses.asdict(replace(size, memory=replace(size.memory, seeds=seeds)))
    for name in ("cells", "times", "recorded", "rounds"):
        del values[name]
    return plain(values)


def rows_in(folder: Path | None, settings: dict[str, Any]) -> dict[str, Row]:
    """{cell: its row} of a folder; None: experiments/results.

    Raises:
      RunError: where one was measured with other settings.
    """
    found = {}
    for path, row in row_files(f"{PREFIX}*", folder):
        if row["metrics"]["settings"] != settings:
            raise RunError(
                f"{path} was measured with other settings than this size has: remove "
                "it, or ask for the size and the --seeds that it is of"
            )
        found[path.stem.removeprefix(PREFIX)] = row
    return found


def text_config(size: Zoo, cell: str) -> Config:
    """The run of a cell on the text, its seed and learning rate aside."""
    return config_of(size.text, ModelConfig(cell), evaluations=1, unit=HEADS)


def ladders(size: Zoo, cell: str, seeds: int) -> list[Ladder]:
    """A cell's trials: a ladder for each task."""
    rate = size.memory.learning_rate
    return [
        ladder(
            replace(size.memory, hidden=hidden_of(size, cell, task)),
            size.memory.lengths,
            seeds,
            variant=cell,
            network=cell,
            task=task,
            optim=OptimConfig("adam", rate, clip="norm", clip_at=1.0),
        )
        for task in size.tasks
    ]


def hidden_of(size: Zoo, cell: str, task: str) -> int:
    """The width of a network for a memory task, by the budget; less where its state
    would hold more than `STATE` numbers, as that of a matrix memory without recurrent
    weights does."""

    def count(hidden: int) -> int:
        config = MemoryConfig(model=ModelConfig(cell, 1, hidden, 0))
        return parameters_in(model_of(config, TASKS[task]))

    hidden = width(count, size.budget, HEADS)
    held = partial(numbers_held, cell)
    return width(held, STATE, HEADS) if held(hidden) > STATE else hidden


def numbers_held(cell: str, hidden: int) -> int:
    """How many numbers a cell's state holds, of one lane."""
    own = make_cell(cell, hidden)
    state = jax.eval_shape(
        lambda: own.initial_state(own.init(jax.random.key(0), hidden), 1)
    )
    return count_parameters(state)


class Share:
    """The display of one cell's work: its share of the whole is told to `tell`."""

    def __init__(self, left: float, tell: Heard):
        self.left, self.tell = left, tell

    def begin(self, total: float) -> None:
        """The whole was begun before."""

    def note(self, text: str) -> None:
        """Lines on a single cell would be too many."""

    note_once = note

    def advance(self, what: str, pieces: float) -> None:
        """So many more updates are done."""
        pieces = min(pieces, self.left)
        self.left -= pieces
        self.tell(what, pieces)


def work_of(size: Zoo, seeds: int) -> int:
    """Updates at most for one cell."""
    rates = len(size.text.rates)
    runs = seeds + (rates * len(size.pilots) if rates > 1 else 0)
    trials = len(size.tasks) * len(size.memory.lengths) * seeds
    return runs * size.text.steps + trials * size.memory.steps


def measured(
    size: Zoo,
    directory: Path,
    seeds: int,
    command: str,
    cell: str,
    stop: Interrupt,
    tell: Heard,
) -> None:
    """Measures a cell, or goes on with it, and writes its row.

    Raises:
      Interrupted: when `stop` says so; what was trained is saved.
    """
    own = directory / cell
    own.mkdir(parents=True, exist_ok=True)
    share = Share(work_of(size, seeds), tell)
    job = Job(own, seeds, share, 1, stop)
    began = time.perf_counter()
    try:
        text, memory = text_of(size, cell, job), memory_of(size, cell, job)
    finally:
        seconds = spent(own, time.perf_counter() - began)
    metrics = {
        "cell": cell,
        "text": text,
        "memory": memory,
        "settings": settings_of(size, seeds),
    }
    folder = None if size.recorded else directory
    name = f"{PREFIX}{cell}"
    write_row(name, f"{command} --cells {cell}", seconds, metrics, folder=folder)
    share.advance(cell, share.left)


def text_of(size: Zoo, cell: str, job: Job) -> dict[str, Any]:
    """Perplexity and horizons of the cell's language models at its best learning rate;
    "failed": why there are none."""
    measure = partial(lag_profile, lags=size.text.lags, lanes=size.text.lanes)
    config = text_config(size, cell)
    try:
        variants = tuned({cell: config}, size.text.rates, job, size.pilots)
        row = row_of(cell, trained(variants, measure, job)[cell])
    except AllDiverged:
        told = f"diverged at every one of {len(size.text.rates)} learning rates"
        return {"hidden": config.model.hidden, "failed": told}
    return {name: row[name] for name in KEPT}


def memory_of(size: Zoo, cell: str, job: Job) -> dict[str, Any]:
    """{task: the width, the lengths that were tried, seeds that solved each, and the
    longest that half of them solve; 0: none}; {} of a yardstick, which is asked of text
    alone."""
    found: dict[str, Any] = {}
    if cell in WHOLE:
        return found
    for rungs in ladders(size, cell, job.seeds):
        first = rungs[0][0]
        rows = climb(job.directory, rungs, job.stop, job.display.advance)
        found[first.task] = {
            "hidden": first.hidden,
            "lengths": [row["length"] for row in rows],
            "solved": [row["solved"] for row in rows],
            "seeds": job.seeds,
            "reach": reach(rows, first.task, cell),
        }
    return found


def perplexity_of(metrics: dict[str, Any]) -> tuple[float, float]:
    """(mean, half of its interval) of a row; infinite where every run diverged."""
    text = metrics["text"]
    if "failed" in text:
        return math.inf, math.nan
    return float(text["perplexity"]), float(text["perplexity_half"])


def mean_perplexity(metrics: dict[str, Any]) -> Mean | None:
    """Of a row, over its seeds; None where it is not a number, since some diverged."""
    mean, half = perplexity_of(metrics)
    return Mean(mean, half) if math.isfinite(mean) else None

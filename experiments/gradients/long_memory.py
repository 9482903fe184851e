"""Study 5: how long a memory each cell learns, on tasks that need nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import jax
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from data_pipeline.tasks import TASKS, Task
from experiments.applications.memory.application import head_of
from experiments.figures.style import INK, line_style, logarithmic, new_figure, styled
from experiments.gradients.ladders import (
    Climb,
    Ladder,
    climb_all,
    counts,
    ladder,
    reach,
)
from experiments.gradients.panels import Rows, beside, column, scale, success
from experiments.gradients.study import Job, Result, Study, Table
from lm.cells import is_gated
from lm.config import OptimConfig

NAMES = {
    "adding": "adding",
    "copy_memory": "copy memory",
    "temporal_order_2": "temporal order (2)",
    "temporal_order_3": "temporal order (3)",
    "embedded_reber": "embedded Reber",
    "multiplication": "multiplication",
}
MEMORYLESS = "no memory"


EXPECTS = (
    "No cell reaches further than the gated ones (GRU, LSTM) on any task; the tanh "
    "network falls to the loss of a predictor without memory first."
)


@dataclass(frozen=True)
class LongMemory(Climb):
    """What a size sets."""

    tasks: tuple[str, ...] = (
        "adding",
        "copy_memory",
        "temporal_order_2",
        "embedded_reber",
    )
    cells: tuple[str, ...] = ("tanh", "irnn", "gru", "lstm")
    lengths: tuple[int, ...] = (20, 60)
    seeds: int = 3
    steps: int = 1_500
    check: int = 100
    learning_rate: float = 0.003
    """Of Adam, behind clipping at norm 1."""


SIZES = {
    "small": LongMemory(),
    "medium": LongMemory(
        tasks=tuple(NAMES), lengths=(20, 60, 120), steps=8_000, check=250
    ),
    "full": LongMemory(
        tasks=tuple(NAMES),
        lengths=(20, 60, 120, 250, 500),
        seeds=5,
        hidden=100,
        steps=100_000,
        check=1_000,
        learning_rate=0.001,
    ),
    "tiny": LongMemory(
        tasks=("adding", "embedded_reber"),
        cells=("tanh", "gru"),
        lengths=(10, 12),
        seeds=2,
        hidden=8,
        batch=4,
        steps=20,
        check=10,
    ),
}


def lengths_of(size: LongMemory, task: str) -> tuple[int, ...]:
    """The lengths that are worth a trial: one where sequences are padded up to it."""
    return size.lengths[:1] if TASKS[task].padded else size.lengths


def ladders(size: LongMemory, seeds: int) -> list[Ladder]:
    """One for each task and cell."""
    optim = OptimConfig("adam", size.learning_rate, clip="norm", clip_at=1.0)
    return [
        ladder(
            size,
            lengths_of(size, task),
            seeds,
            variant=cell,
            network=cell,
            task=task,
            optim=optim,
        )
        for task in size.tasks
        for cell in size.cells
    ]


def run(size: LongMemory, job: Job) -> Result:
    """Climbs every ladder, and measures answers given without memory."""
    rows = climb_all(ladders(size, job.seeds), job)
    rows += memoryless_rows(size)
    return Result(
        headline=headline(rows),
        rows=rows,
        table=table(size, rows),
        figure=figure_of(size, rows),
    )


def memoryless_rows(size: LongMemory) -> list[dict[str, Any]]:
    """Loss on fresh sequences of the best answers without memory, beside its floor."""
    return [
        {
            "variant": MEMORYLESS,
            "task": task,
            "length": length,
            "loss": measured(TASKS[task], length),
            "floor": TASKS[task].floor(length),
        }
        for task in size.tasks
        if TASKS[task].memoryless
        for length in lengths_of(size, task)
    ]


def measured(task: Task, length: int, count: int = 10_000) -> float:
    """The loss per counted target of the best answers without memory, on fresh
    sequences; ValueError where the task has none."""
    batch = task.sample(jax.random.key(0), count, length)
    if task.memoryless is None:
        raise ValueError(f"task {task.name} has no answers without memory")
    outputs = task.memoryless(batch)
    total = head_of(task).total(outputs, batch.targets, batch.mask)
    return float(total.mean())


def tried(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of networks that were trained."""
    return [row for row in rows if row["variant"] != MEMORYLESS]


def headline(rows: Sequence[dict[str, Any]]) -> str:
    """The sentence, from the rows alone."""
    trained = tried(rows)
    tasks, cells = (
        list(dict.fromkeys(row[name] for row in trained))
        for name in ("task", "variant")
    )
    pairs = product(tasks, cells)
    far = {(task, cell): reach(trained, task, cell) for task, cell in pairs}
    outlasted = [
        task
        for task in tasks
        if max(far[task, cell] for cell in cells)
        > max((far[task, cell] for cell in cells if is_gated(cell)), default=0)
    ]
    longest = (f"{cell} {max(far[task, cell] for task in tasks)}" for cell in cells)
    found = (
        f"on {len(outlasted)} of {len(tasks)} tasks a cell without gates solves longer "
        "sequences than any gated one, unexpected"
        if outlasted
        else f"on {len(tasks)} tasks no cell without gates solves longer sequences "
        "than a gated one, as expected"
    )
    return f"{found[0].upper()}{found[1:]}; longest T: {', '.join(longest)}."


def table(size: LongMemory, rows: Sequence[dict[str, Any]]) -> Table:
    """Seeds that solve a task, of those tried, at each length."""
    trained = tried(rows)
    head = ("task, cell", *(f"T {length}" for length in size.lengths), "reaches")
    body = []
    for task in size.tasks:
        for cell in size.cells:
            solved = counts(trained, task, cell, size.lengths)
            far = str(reach(trained, task, cell) or "–")
            body.append((f"{NAMES[task]}, {cell}", *solved, far))
    return Table(head, body)


def figure_of(size: Any, rows: Rows) -> Figure:
    """For each task the share of seeds that solve it and the loss, against T."""
    reading = (
        "Above: the share of seeds that solve a task of length T (bars: 95 %, "
        "Wilson); a line ends where no seed did, and longer sequences were not tried. "
        "Below: the median loss on fresh sequences when training ended; the grey line "
        "is the exact loss of the best answers without memory, crosses are such "
        "answers, measured. A network on the grey line remembers nothing."
    )
    with styled():
        figure, axes = new_figure(
            reading,
            max(6.0, 2.35 * len(size.tasks)),
            5.6,
            nrows=2,
            ncols=len(size.tasks),
            sharex=True,
            squeeze=False,
        )
        for number, task in enumerate(size.tasks):
            above, below = axes[:, number]
            of = [row for row in rows if row["task"] == task]
            for style, cell in enumerate(size.cells):
                mine = [row for row in of if row["variant"] == cell]
                success(above, mine, cell, style, len(size.cells))
                losses(below, mine, style, len(size.cells))
            floor(below, size, task)
            answers = [row for row in of if row["variant"] == MEMORYLESS]
            below.plot(*column(answers, "loss"), "x", color=INK, ms=6, zorder=5)
            above.set_title(NAMES[task])
            above.set_ylim(-0.05, 1.05)
            scale(below, size.lengths)
            logarithmic(below)
            low, high = below.get_ylim()
            below.set_ylim(min(low, high / 10), high)
            below.set_xlabel("T, in steps")
        axes[0, 0].set_ylabel("seeds that solve it")
        axes[1, 0].set_ylabel("loss per answer, nats\nor squared error")
        figure.legend(
            *axes[0, 0].get_legend_handles_labels(),
            loc="outside upper center",
            ncols=len(size.cells),
        )
    return figure


def losses(axes: Axes, rows: Rows, number: int, count: int) -> None:
    """Losses; what is not finite is not drawn."""
    lengths, values = column(rows, "loss")
    places = [beside(length, number, count) for length in lengths]
    axes.plot(places, values, **line_style(number))


def floor(axes: Axes, size: Any, task: str) -> None:
    """The exact loss without memory at each length."""
    values = [TASKS[task].floor(length) for length in size.lengths]
    axes.plot(size.lengths, values, color=INK, linewidth=4, alpha=0.3, zorder=1)


STUDY = Study(
    expects=EXPECTS,
    sizes=SIZES,
    run=run,
    headline=headline,
)

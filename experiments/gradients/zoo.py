"""Study 8: every cell at one budget: perplexity, speed, horizons, memory.

Its rows stand by themselves, one a cell; the table, the sentence and the figure are
made of those that there are. `--cells lstm,gru` or `--cells all` measures cells that
have none; `--times` the step times, when nothing else runs. `--cells transformer` adds
a yardstick: of as many parameters, in the same loop and on the same text, asked for no
memory task, and in no comparison of cells.
"""

import math
from collections.abc import Sequence
from functools import partial
from statistics import median
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.figures.style import (
    COLOURS,
    INK,
    MARKERS,
    new_figure,
    nothing_here,
    styled,
)
from experiments.gradients import copying
from experiments.gradients.cells import Cells
from experiments.gradients.ladders import Climb
from experiments.gradients.panels import Rows
from experiments.gradients.study import Job, Result, Study, Table
from experiments.gradients.zoo_cell import (
    PREFIX,
    Zoo,
    mean_perplexity,
    measured,
    perplexity_of,
    rows_in,
    settings_of,
    work_of,
)
from experiments.gradients.zoo_times import BESIDE, timed
from experiments.results.intervals import rounded, span
from experiments.run.files import RunError
from experiments.train.processes import run_all
from lm.cells import CELLS
from lm.cells.papers import PAPERS, family_of
from lm.structure import WHOLE

COPYING = "copy_memory"
NOT_ASKED = {"reach": 0}
# Expected to copy longest.
LASTING = (*copying.LASTING, "janet_chrono")
YARDSTICKS = "yardsticks"
FAR = 2.0  # of the median perplexity; what is beyond has no point
COMMAND = "python -m experiments.gradients zoo"
EXPECTS = (
    "At one budget of parameters and of updates no cell predicts characters better "
    "than a plain LSTM by more than both their intervals (Jozefowicz 2015; Greff 2015; "
    "Melis 2018 of words); the longest copying is by a cell whose recurrence is kept "
    "orthogonal or starts with long time constants."
)
SIZES = {
    "small": Zoo(
        Cells(
            parameters=700,
            steps=4,
            seeds=1,
            batch=2,
            window=8,
            rates=(0.02,),
            embedding=2,
            lags=6,
            lanes=4,
        ),
        Climb((5, 8), seeds=1, steps=20, check=10, learning_rate=0.003, batch=4),
        budget=200,
        tasks=("adding",),
        rounds=3,
        cells=("lstm", "min_gru"),
    ),
    "full": Zoo(
        Cells(),
        Climb((10, 30, 100), seeds=3, steps=2_000, check=100, learning_rate=0.003),
        budget=10_000,
        rounds=200,
        recorded=True,
    ),
}


def run(size: Zoo, job: Job) -> Result:
    """Measures what is asked for and not there yet; the table of all rows.

    Raises:
      RunError: where there is no row, or one of other settings.
    """
    folder = None if size.recorded else job.directory
    settings = settings_of(size, job.seeds)
    left = [cell for cell in size.cells if cell not in rows_in(folder, settings)]
    if left:
        job.display.begin(len(left) * work_of(size, job.seeds))
        seeds = "" if job.seeds == size.seeds else f" --seeds {job.seeds}"
        do = partial(measured, size, job.directory, job.seeds, COMMAND + seeds)
        run_all(left, do, job.processes, job.stop, job.display.advance)
    if size.times:
        timed(size, folder, settings, job)
    found = rows_in(folder, settings)
    rows = [found[cell]["metrics"] for cell in (*CELLS, *WHOLE) if cell in found]
    if not rows:
        raise RunError(
            "no cell has a row yet: give --cells NAME,NAME or --cells all to measure"
        )
    return Result(headline(rows), rows, table(rows), figure_of(rows))


def headline(rows: Sequence[dict[str, Any]]) -> str:
    """The sentence, from the rows alone; yardsticks are left out."""
    rows = [row for row in rows if row["cell"] not in WHOLE]
    if not rows:
        return "No cell has a row yet."
    found = {row["cell"]: perplexity_of(row) for row in rows}
    best = min(found, key=lambda cell: found[cell])
    opening = f"Of {len(rows)} cells {best} predicts best (perplexity "
    opening += rounded(found[best][0], 3)
    if BESIDE not in found:
        return f"{opening}); {BESIDE} is not among them, to compare."
    mean, half = found[BESIDE]
    better = [cell for cell, (m, h) in found.items() if m + h < mean - half]
    far, copied, lasting = reached(rows, COPYING), "none copies", False
    if any(far.values()):
        copied = f"the longest copying, T {max(far.values())}, is by {those(far)}"
        lasting = any(cell in LASTING for cell in longest(far))
    hopes = not better, lasting
    verdict = ("unexpected", "half as expected", "as expected")[sum(hopes)]
    return (
        f"{opening}; LSTM {rounded(mean, 3)}); {len(better)} beat LSTM beyond both "
        f"intervals; {copied}: {verdict}."
    )


def reached(rows: Rows, task: str) -> dict[str, int]:
    """{cell: the longest T that it solves}; 0: none."""
    return {row["cell"]: row["memory"].get(task, NOT_ASKED)["reach"] for row in rows}


def longest(far: dict[str, int]) -> list[str]:
    """Cells that come furthest."""
    return [cell for cell, length in far.items() if length == max(far.values())]


def those(far: dict[str, int]) -> str:
    """The ones that come furthest, or one and how many others do."""
    first, *others = longest(far)
    if len(others) > 1:
        return f"{first} and {len(others)} others"
    return " and ".join((first, *others))


def table(rows: Rows) -> Table:
    """A line a cell, best perplexity first."""
    tasks = list(dict.fromkeys(task for row in rows for task in row["memory"]))
    head = ("cell", "H", "parameters", "step", "rate", "perplexity")
    head += ("horizon: before", "after", *(task.replace("_", " ") for task in tasks))
    body = [
        (*line_of(row), *(solved(row["memory"].get(task)) for task in tasks))
        for row in sorted(rows, key=perplexity_of)
    ]
    return Table(head, body)


def line_of(row: dict[str, Any]) -> tuple[str, ...]:
    """What a line of the table says of the text."""
    text, step = row["text"], row.get("step")
    name = row["cell"] + (" (yardstick)" if row["cell"] in WHOLE else "")
    time = f"{step['ratio']:.2f}×" if step else "–"
    if "failed" in text:
        return name, str(text["hidden"]), "", time, "", "diverged", "", ""
    many = f" ({text['diverged']} diverged)" if text["diverged"] else ""
    before, after = (
        ("over " if horizon[0] >= text["lags"] else "") + span(horizon)
        for horizon in text["horizon"]
    )
    return (
        name,
        str(text["hidden"]),
        f"{text['parameters']:,}",
        time,
        f"{text['learning_rate']:g}",
        f"{mean_perplexity(row) or 'diverged'}{many}",
        before,
        after,
    )


def solved(found: dict[str, Any] | None) -> str:
    """The longest T that half of the seeds solve, "≥" where none longer was tried."""
    if found is None or not found["reach"]:
        return "–"
    last = found["reach"] == found["lengths"][-1]
    return f"{'≥ ' if last else ''}{found['reach']}"


def figure_of(rows: Rows) -> Figure:
    """Perplexity against the time of a step, a point a cell; cells of more than `FAR`
    times the median are named instead."""
    timed_rows = [row for row in rows if "step" in row and math.isfinite(place(row)[1])]
    middle = median([place(row)[1] for row in timed_rows] or [1.0])
    shown = [row for row in timed_rows if place(row)[1] <= FAR * middle]
    beyond = ", ".join(row["cell"] for row in timed_rows if row not in shown)
    reading = (
        "Perplexity of held-out characters against the time of a training step, LSTM's "
        "being 1: lower and further left is better (bars: 95 % over seeds). The line "
        "joins cells that none is both faster and better than; they and LSTM are "
        "named. Cells of which a run diverged have no point"
    )
    reading += f"; above the picture: {beyond}." if beyond else "."
    with styled():
        figure, axes = new_figure(reading, 7.6, 5.8)
        if not shown:
            nothing_here(axes, "no step times yet: --times measures them")
            return figure
        for number, family in enumerate((*PAPERS, "others", YARDSTICKS)):
            own = [row for row in shown if kind_of(row["cell"]) == family]
            draw_family(axes, number, family, own)
        front = undominated([row for row in shown if row["cell"] not in WHOLE])
        axes.plot(*zip(*map(place, front), strict=True), color=INK, lw=0.8, alpha=0.5)
        name_points(axes, front, (8, -14))
        named = (*WHOLE, BESIDE)
        others = [row for row in shown if row["cell"] in named and row not in front]
        name_points(axes, others, (8, 12))
        axes.set_xscale("log")
        axes.set_yscale("log")
        ticks = doublings([place(row)[0] for row in shown])
        axes.set_xticks(ticks, [f"{tick:g}×" for tick in ticks])
        axes.set_xticks([], minor=True)
        low = min(place(row)[1] for row in shown)
        axes.set_ylim(0.82 * low, FAR * middle)
        ticks = [n for n in range(1, 1_000) if 0.82 * low <= n <= FAR * middle]
        ticks = ticks[:: 1 + len(ticks) // 12]
        axes.set_yticks(ticks, [f"{tick}" for tick in ticks])
        axes.set_yticks([], minor=True)
        axes.set_xlabel("time of a training step, LSTM's being 1")
        axes.set_ylabel("validation perplexity, per character")
        handles = axes.get_legend_handles_labels()
        figure.legend(*handles, loc="outside upper center", ncols=2)
    return figure


def name_points(axes: Axes, rows: Rows, away: tuple[int, int]) -> None:
    """Names of cells, so far from their points, each by a thin line: of neighbours
    in turns once and twice as far, so that they do not meet."""
    for number, row in enumerate(rows):
        right, up = away
        axes.annotate(
            row["cell"].replace("_", " "),
            place(row),
            xytext=(right, up * (1 + number % 2)),
            textcoords="offset points",
            fontsize=8,
            arrowprops={"arrowstyle": "-", "lw": 0.4, "color": INK},
        )


def kind_of(cell: str) -> str:
    """The family that a point is marked by."""
    return YARDSTICKS if cell in WHOLE else family_of(cell)


def doublings(ratios: Sequence[float]) -> list[float]:
    """The powers of two from below the least to above the largest."""
    low, high = math.floor(math.log2(min(ratios))), math.ceil(math.log2(max(ratios)))
    return [2.0**power for power in range(low, max(high, low + 1) + 1)]


def place(row: dict[str, Any]) -> tuple[float, float]:
    """Where a cell's point stands."""
    return row["step"]["ratio"], perplexity_of(row)[0]


def draw_family(axes: Axes, number: int, family: str, rows: Rows) -> None:
    """The points of one family, with their intervals."""
    if not rows:
        return
    xs, ys = zip(*map(place, rows), strict=True)
    halves = [perplexity_of(row)[1] for row in rows]
    axes.errorbar(
        xs,
        ys,
        yerr=[0.0 if math.isnan(half) else half for half in halves],
        linestyle="none",
        marker=MARKERS[number],
        color=COLOURS[number],
        elinewidth=0.6,
        alpha=0.85,
        label=family,
    )


def undominated(rows: Rows) -> list[dict[str, Any]]:
    """The cells that no other is both as fast and better than, the fastest first."""
    front: list[dict[str, Any]] = []
    for row in sorted(rows, key=place):
        if not front or place(row)[1] < place(front[-1])[1]:
            front.append(row)
    return front


STUDY = Study(
    expects=EXPECTS,
    sizes=SIZES,
    run=run,
    headline=headline,
    usual="full",
    own_rows=PREFIX,
)

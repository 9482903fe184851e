"""The rows of the table: which components each mixes, tuned on valid, used on test."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.applications.language_model.segment_passes import Pass
from experiments.evaluate.tuning import climb, edges
from lm.adaptive.mixture import em_weights, mixed
from lm.losses import perplexity

FIXED, ADAPTIVE = "fixed", "adaptive"
T, THETA = "T", "θ"


class Row(NamedTuple):
    """A line of the table.

    runs      which of the runs read.
    dynamic   they adapt; else their parameters stay.
    tempered, cached
              whether T is chosen, and whether each run's cache is a component.
    others    names of components that are no run's.
    """

    name: str
    runs: tuple[str, ...]
    dynamic: bool = False
    tempered: bool = False
    cached: bool = False
    others: tuple[str, ...] = ()

    @property
    def parameters(self) -> str:
        """Whether they are those that were trained."""
        return ADAPTIVE if self.dynamic else FIXED


class Tuned(NamedTuple):
    """A row, what was chosen on valid ({(T or θ, run): value}), the weight of each
    component, nats per token there, and what was chosen at the edge of its grid."""

    row: Row
    values: dict[tuple[str, str], float]
    weights: dict[str, float]
    nats: float
    edges: list[tuple[str, str]]


class Split(NamedTuple):
    """What is known of a split: each run's passes, {(run, dynamic): Pass}, and the nats
    (N,) of other components."""

    passes: Mapping[tuple[str, bool], Pass]
    others: Mapping[str, np.ndarray]


def rows_for(
    runs: Sequence[str],
    others: Sequence[str],
    tempered: bool,
    cached: bool,
    dynamic: bool,
) -> list[Row]:
    """Each run alone, all of them, each thing more by itself, and all things."""
    every = tuple(runs)
    named = len(every) > 1
    rows = [Row(f"static: {run}" if named else "static", (run,)) for run in every]
    if named:
        rows.append(Row("ensemble", every))
    more = [Row("+ temperature", every, tempered=True)] if tempered else []
    more += [Row("+ cache", every, cached=True)] if cached else []
    more += [Row("+ dynamic", every, dynamic=True)] if dynamic else []
    more += [Row(f"+ {name}", every, others=(name,)) for name in others]
    rows += more
    fixed = Row("all but dynamic", every, False, tempered, cached, tuple(others))
    if dynamic and len(more) > 2:
        rows.append(fixed)
    if len(more) > 1:
        rows.append(fixed._replace(name="all of it", dynamic=dynamic))
    return rows


def components(row: Row, values: Mapping, split: Split) -> dict[str, np.ndarray]:
    """{name: nats (N,)} of a row's components by the values chosen."""
    found = {}
    for run in row.runs:
        by, lone = split.passes[run, row.dynamic], len(row.runs) == 1
        found["model" if lone else run] = by.model[values[T, run]]
        if row.cached:
            cache = "cache" if lone else f"cache of {run}"
            found[cache] = by.cache[values[THETA, run]]
    return found | {name: split.others[name] for name in row.others}


def tuned(
    row: Row, valid: Split, temperatures: Sequence[float], θs: Sequence[float]
) -> Tuned:
    """The row with its temperatures, θs and weights chosen on valid: grids by their
    neighbours, weights by EM at each of their values."""
    grids: dict[tuple[str, str], Sequence[float]] = {}
    for run in row.runs:
        grids[T, run] = temperatures if row.tempered else (1.0,)
        if row.cached:
            grids[THETA, run] = θs
    begin = {name: _begin(name[0], grid) for name, grid in grids.items()}

    def weights(values: Mapping):
        parts = components(row, values, valid)
        return parts, em_weights(np.stack(list(parts.values())))

    found = climb(grids, begin, lambda values: weights(values)[1].nats)
    parts, best = weights(found.values)
    shares = dict(zip(parts, best.weights_K.tolist(), strict=True))
    return Tuned(row, found.values, shares, best.nats, edges(grids, found.values))


def _begin(what: str, grid: Sequence[float]) -> float:
    """1 for a temperature, .3 for a θ, or what is nearest."""
    wanted = 1.0 if what == T else 0.3
    return min(grid, key=lambda value: abs(value - wanted))


def wanted(
    found: Sequence[Tuned], run: str, dynamic: bool
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The temperatures and θs that some row has chosen for a run, read so."""
    own = [t for t in found if t.row.dynamic == dynamic and run in t.row.runs]
    temperatures = {t.values[T, run] for t in own}
    θs = {t.values[THETA, run] for t in own if t.row.cached}
    return tuple(sorted(temperatures)), tuple(sorted(θs))


def mixture(of: Tuned, split: Split) -> np.ndarray:
    """nats (N,) of a row on a split, by the weights chosen on valid."""
    parts = components(of.row, of.values, split)
    weights_K = np.array([of.weights[name] for name in parts])
    return mixed(np.stack(list(parts.values())), weights_K)


def record(of: Tuned, splits: Mapping[str, Split]) -> dict[str, Any]:
    """A row as JSON: perplexity on each split, and what was chosen on valid."""
    scores = {
        name: perplexity(float(np.mean(mixture(of, split))))
        for name, split in splits.items()
    }
    names = {
        (what, run): f"{what} of {run}" if len(of.row.runs) > 1 else what
        for what, run in of.values
        if what == THETA or of.row.tempered
    }
    return {
        "name": of.row.name,
        "parameters": of.row.parameters,
        **scores,
        "chosen": {name: of.values[key] for key, name in names.items()},
        "weights": of.weights if len(of.weights) > 1 else {},
        "edges": [names[edge] for edge in of.edges],
    }

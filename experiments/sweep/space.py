"""Search spaces over dotted config fields, as questions to an Optuna trial."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import OptunaError
from optuna.trial import Trial

from lm.config import ConfigError

Fields = dict[str, Any]
Program = Callable[[Trial], Fields | None]
Kind = CategoricalDistribution | FloatDistribution | IntDistribution


class Point(NamedTuple):
    """What Optuna calls the answers, by the name of each decision, and the fields that
    they set."""

    params: dict[str, Any]
    fields: Fields


@dataclass(frozen=True)
class Decision:
    """One question to a trial.

    fields  that it sets.
    kind    Optuna's distribution of the answers.
    rows    of a list, the values of the fields by its answers; None: the answer itself.
    points  how many of an interval a grid takes; 0: all, where they are whole numbers.
    """

    fields: tuple[str, ...]
    kind: Kind
    rows: tuple[tuple[Any, ...], ...] | None = None
    points: int = 0

    @property
    def name(self) -> str:
        """What the search calls it."""
        return " & ".join(self.fields)

    def sets(self, answer: Any) -> Fields:
        """The fields by an answer."""
        if self.rows is None or not isinstance(self.kind, CategoricalDistribution):
            return {self.name: answer}
        row = self.rows[self.kind.choices.index(answer)]
        return dict(zip(self.fields, row, strict=True))

    def suggest(self, trial: Trial) -> Fields:
        """The fields by the trial's answer."""
        return self.sets(trial._suggest(self.name, self.kind))

    def answers(self, ends: bool = False) -> Sequence[Any]:
        """Those that a grid takes, none where it cannot; or, with `ends`, those between
        which all others lie."""
        kind = self.kind
        if isinstance(kind, CategoricalDistribution):
            return kind.choices
        if ends:
            return [kind.low, kind.high]
        if self.points:
            return spread(kind, self.points)
        return (
            range(kind.low, kind.high + 1) if isinstance(kind, IntDistribution) else ()
        )


def listed(columns: Mapping[str, Sequence[Any]]) -> Decision:
    """Fields that take a row of a list together. columns: the values of each.

    Optuna calls plain values by themselves, all else by its text.

    Raises:
      ConfigError: for a row that stands twice, and would count twice.
    """
    rows = tuple(zip(*columns.values(), strict=True))
    if len(columns) > 1:
        labels = [" & ".join(map(str, row)) for row in rows]
    else:
        labels = [row[0] for row in rows]
        if not all(isinstance(value, str | int | float | None) for value in labels):
            labels = [json.dumps(value) for value in labels]
    for label in labels:
        if labels.count(label) > 1:
            raise ConfigError(f"{' & '.join(columns)} lists {label!r} twice")
    return Decision(tuple(columns), CategoricalDistribution(labels), rows)


def spread(kind: FloatDistribution | IntDistribution, count: int) -> list[float]:
    """So many numbers, evenly spread on the interval's own scale, both ends among them;
    the inner ones with six digits, which are easier to read again."""
    space = np.geomspace if kind.log else np.linspace
    inner = [float(f"{x:.6g}") for x in space(kind.low, kind.high, max(count, 3))[1:-1]]
    inner = [min(max(x, kind.low), kind.high) for x in inner]
    found = {1: inner, 2: [kind.low, kind.high]}
    numbers = found.get(count, [kind.low, *inner, kind.high])
    whole = isinstance(kind, IntDistribution)
    return list(dict.fromkeys(map(round, numbers))) if whole else numbers


@dataclass(frozen=True)
class Space:
    """Fields and how they come to their values.

    fixed    fields of one value.
    varied   decisions that every trial makes.
    program  SPACE(trial) of a Python file: whatever it suggests under the name of a
             field is that field's value, and so is what it returns.
    known    all fields that there are.
    """

    fixed: Fields
    varied: tuple[Decision, ...]
    program: Program | None
    known: frozenset[str]

    def suggest(self, trial: Trial) -> Fields:
        """The fields that a trial sets.

        Raises:
          ConfigError: where the program fails, or sets what it may not.
        """
        fields = dict(self.fixed)
        for decision in self.varied:
            fields |= decision.suggest(trial)
        if self.program is None:
            return fields
        return fields | self._of_program(self.program, trial, set(fields))

    def _of_program(self, program: Program, trial: Trial, before: set[str]) -> Fields:
        try:
            returned = program(trial) or {}
        except OptunaError:
            raise
        except Exception as error:  # it is the user's, and may raise anything
            kind = type(error).__name__
            raise ConfigError(f"SPACE(trial): {kind}: {error}") from None
        if not isinstance(returned, dict):
            raise ConfigError(f"SPACE(trial) returns {returned!r}: must return a dict")
        own = {decision.name for decision in self.varied}
        asked = {k: v for k, v in trial.params.items() if k not in own}
        found = {k: v for k, v in asked.items() if k in self.known} | returned
        for field in found:
            if field in before:
                raise set_twice(field)
            if field not in self.known or field == "seed":
                raise ConfigError(f"SPACE(trial) sets {field!r}, which no space can")
        return found

    def size(self) -> float:
        """Points of the grid, the program's left out; infinite without a grid."""
        return math.prod(len(node.answers()) or math.inf for node in self.varied)

    def grid(self, ends: bool = False) -> Iterator[Point]:
        """Every point, the last decision fastest; or those at the ends of intervals."""
        for answers in product(*(node.answers(ends) for node in self.varied)):
            fields, params = dict(self.fixed), {}
            for node, answer in zip(self.varied, answers, strict=True):
                params[node.name] = answer
                fields |= node.sets(answer)
            yield Point(params, fields)


def set_twice(field: str) -> ConfigError:
    """What is wrong with a space that gives a field two values."""
    return ConfigError(f"{field} is set twice in the space: set it in one place")

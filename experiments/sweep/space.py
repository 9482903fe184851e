"""Search spaces over dotted config fields, as questions to an Optuna trial.

Listed    fields that take one row of a list, together; a choice has one field.
Interval  a field that takes a number between two ends, on a linear or a log scale.
Space     what is fixed, such decisions, and a program that decides whatever else.
"""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

from optuna.exceptions import OptunaError
from optuna.trial import Trial

from lm.config import ConfigError

Fields = dict[str, Any]
Program = Callable[[Trial], Fields | None]


class Point(NamedTuple):
    """What Optuna calls the answers, by the name of each decision, and the fields that
    they set."""

    params: dict[str, Any]
    fields: Fields


@dataclass(frozen=True)
class Listed:
    """`fields` are one of `rows`, together."""

    fields: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    @property
    def name(self) -> str:
        """What the search calls the decision."""
        return " & ".join(self.fields)

    @property
    def labels(self) -> list[Any]:
        """What Optuna calls the rows: plain values as they are, all else as text."""
        if len(self.fields) > 1:
            return [" & ".join(str(value) for value in row) for row in self.rows]
        values = [row[0] for row in self.rows]
        plain = all(isinstance(value, str | int | float | None) for value in values)
        return values if plain else [json.dumps(value) for value in values]

    def suggest(self, trial: Trial) -> Fields:
        """The trial's answer."""
        found = self.labels.index(trial.suggest_categorical(self.name, self.labels))
        return dict(zip(self.fields, self.rows[found], strict=True))

    def points(self) -> list[Point]:
        """All answers."""
        return [
            Point({self.name: label}, dict(zip(self.fields, row, strict=True)))
            for label, row in zip(self.labels, self.rows, strict=True)
        ]

    extremes = points

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Interval:
    """`name`, a field, lies in [low, high].

    log     whether a step is a factor rather than a sum.
    whole   whether only whole numbers count.
    count   how many of it a grid takes; 0: a grid cannot, unless it is whole.
    """

    name: str
    low: float
    high: float
    log: bool = False
    whole: bool = False
    count: int = 0

    @property
    def fields(self) -> tuple[str, ...]:
        """The one field that it sets."""
        return (self.name,)

    def suggest(self, trial: Trial) -> Fields:
        """The trial's answer."""
        if self.whole:
            low, high = int(self.low), int(self.high)
            return {self.name: trial.suggest_int(self.name, low, high, log=self.log)}
        found = trial.suggest_float(self.name, self.low, self.high, log=self.log)
        return {self.name: found}

    def points(self) -> list[Point]:
        """Those that a grid takes."""
        whole = range(int(self.low), int(self.high) + 1)
        return self._of(self.spread() if self.count else whole)

    def __len__(self) -> int:
        return len(self.spread()) if self.count else int(self.high - self.low) + 1

    def extremes(self) -> list[Point]:
        """The answers between which all others lie."""
        return self._of([self.low, self.high])

    def _of(self, values: Sequence[float]) -> list[Point]:
        kind = int if self.whole else float
        return [Point({self.name: kind(x)}, {self.name: kind(x)}) for x in values]

    def between(self, share: float) -> float:
        """The number so far along the interval, on its own scale."""
        if self.log:
            value = self.low * (self.high / self.low) ** share
        else:
            value = self.low + share * (self.high - self.low)
        return round(value) if self.whole else min(max(value, self.low), self.high)

    def spread(self) -> list[float]:
        """`count` numbers, evenly spread on the interval's own scale, both ends among
        them; the inner ones with six digits, which are easier to read again."""
        if self.count == 1:
            return [self.between(0.5)]
        steps = self.count - 1
        inner = (float(f"{self.between(n / steps):.6g}") for n in range(1, steps))
        kept = [min(max(x, self.low), self.high) for x in inner]
        found = [self.low, *kept, self.high]
        return list(dict.fromkeys(map(round, found))) if self.whole else found


Decision = Listed | Interval


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
                raise ConfigError(
                    f"{field} is set twice in the space: set it in one place"
                )
            if field not in self.known or field == "seed":
                raise ConfigError(f"SPACE(trial) sets {field!r}, which no space can")
        return found

    def finite(self) -> bool:
        """Whether every decision outside the program has a list of answers."""
        intervals = [node for node in self.varied if isinstance(node, Interval)]
        return all(node.count or node.whole for node in intervals)

    def size(self) -> float:
        """Points of the grid, the program's left out; infinite without a grid."""
        if not self.finite():
            return math.inf
        return math.prod(len(node) for node in self.varied)

    def grid(self, extremes: bool = False) -> Iterator[Point]:
        """Every point, the last decision fastest; or those at the ends of intervals."""
        lists = [n.extremes() if extremes else n.points() for n in self.varied]
        for answers in product(*lists):
            params: dict[str, Any] = {}
            fields = dict(self.fixed)
            for point in answers:
                params, fields = params | point.params, fields | point.fields
            yield Point(params, fields)

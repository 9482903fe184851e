"""Search spaces over dotted config fields: a small algebra and one walk through it.

A space is a tree. Its leaves set fields, its inner nodes combine spaces:

    Fixed     a field has one value.
    Choice    a field takes one of the values listed.
    Interval  a field takes a number between two ends, on a linear or a log scale.
    Zip       several fields move together, row by row.
    Product   all of the parts, independently of one another.
    Chain     one of the parts: the union of spaces.
    When      a part that only counts where other fields have certain values.

`walk` goes through a space once and asks `choose` at every decision. All else is a
way to choose: Optuna's trial suggests, a grid counts through, a draw is random.
"""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from lm.config import ConfigError

Fields = dict[str, Any]
COUNTED = 100_000  # grid points beyond which a size is no longer counted


@dataclass(frozen=True)
class Fixed:
    """`field` is `value`."""

    field: str
    value: Any


@dataclass(frozen=True)
class Choice:
    """`field` is one of `values`. `name` is what the search calls the decision."""

    name: str
    field: str
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Interval:
    """`field` lies in [low, high].

    log     whether a step is a factor rather than a sum.
    whole   whether only whole numbers count.
    points  how many of it a grid takes; 0: a grid cannot, unless it is whole.
    """

    name: str
    field: str
    low: float
    high: float
    log: bool = False
    whole: bool = False
    points: int = 0


@dataclass(frozen=True)
class Zip:
    """`fields` are one of `rows`, together."""

    name: str
    fields: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True)
class Product:
    """Every part."""

    parts: "tuple[Space, ...]"


@dataclass(frozen=True)
class Chain:
    """One of the parts."""

    name: str
    parts: "tuple[Space, ...]"


@dataclass(frozen=True)
class When:
    """`then`, where each field in `conditions` has one of the values beside it."""

    conditions: tuple[tuple[str, tuple[Any, ...]], ...]
    then: "Space"


Decision = Choice | Interval | Zip | Chain
Space = Fixed | Decision | Product | When
Choose = Callable[[Decision], Any]


def walk(space: Space, choose: Choose, base: Fields) -> Fields:
    """The fields that one way through the space sets.

    Args:
      choose: answers a Choice or an Interval with a value, a Zip with a row, a Chain
        with the number of a part.
      base: the values that fields have which the space leaves alone.

    Raises:
      ConfigError: where two parts set one field.
    """
    found: Fields = {}

    def put(field: str, value: Any) -> None:
        if field in found:
            raise ConfigError(f"{field} is set twice in the space: set it in one place")
        found[field] = value

    def visit(node: Space) -> None:
        match node:
            case Fixed(field, value):
                put(field, value)
            case Choice(field=field) | Interval(field=field):
                put(field, choose(node))
            case Zip(fields=fields):
                for field, value in zip(fields, choose(node), strict=True):
                    put(field, value)
            case Product(parts):
                for part in sorted(parts, key=lambda part: isinstance(part, When)):
                    visit(part)
            case Chain(parts=parts):
                visit(parts[choose(node)])
            case When(conditions, then):
                now = {**base, **found}
                if all(now[field] in values for field, values in conditions):
                    visit(then)

    visit(space)
    return found


def decisions(space: Space) -> Iterator[Decision]:
    """Every decision in the space, whether or not it is always asked."""
    match space:
        case Product(parts):
            inner = parts
        case Chain(parts=parts):
            yield space
            inner = parts
        case When(then=then):
            inner = (then,)
        case Fixed():
            inner = ()
        case _:
            yield space
            inner = ()
    for part in inner:
        yield from decisions(part)


def fields_of(space: Space) -> list[str]:
    """The fields that are not the same at every point, each once, in order."""
    return list(dict.fromkeys(_varied(space, sometimes=False)))


def _varied(space: Space, sometimes: bool) -> Iterator[str]:
    """`sometimes`: the part is not always reached, so what it fixes varies too."""
    match space:
        case Fixed(field, _):
            yield from [field] if sometimes else []
        case Choice(field=field) | Interval(field=field):
            yield field
        case Zip(fields=fields):
            yield from fields
        case Product(parts):
            for part in parts:
                yield from _varied(part, sometimes)
        case Chain(parts=parts):
            for part in parts:
                yield from _varied(part, True)
        case When(then=then):
            yield from _varied(then, True)


def finite(space: Space) -> bool:
    """Whether every decision has a list of alternatives, so that a grid exists."""
    return all(
        node.points > 0 or node.whole
        for node in decisions(space)
        if isinstance(node, Interval)
    )


def alternatives(node: Decision) -> Sequence[Any]:
    """All answers to a decision of a finite space."""
    match node:
        case Choice(values=values):
            return values
        case Zip(rows=rows):
            return rows
        case Chain(parts=parts):
            return range(len(parts))
    if node.points:
        return _spread(node)
    return range(int(node.low), int(node.high) + 1)


def extremes(node: Decision) -> Sequence[Any]:
    """The answers between which all others lie: what has to be valid."""
    if isinstance(node, Interval):
        return (int(node.low), int(node.high)) if node.whole else (node.low, node.high)
    return alternatives(node)


def between(node: Interval, share: float) -> float:
    """The number so far along the interval, on its own scale."""
    if node.log:
        value = node.low * (node.high / node.low) ** share
    else:
        value = node.low + share * (node.high - node.low)
    return round(value) if node.whole else min(max(value, node.low), node.high)


def _spread(node: Interval) -> list[float]:
    """`points` numbers, evenly spread on the interval's own scale, both ends among
    them; the inner ones with six digits, which are easier to read again."""
    if node.points == 1:
        return [between(node, 0.5)]
    steps = node.points - 1
    inner = (between(node, number / steps) for number in range(1, steps))
    rounded = (float(f"{x:.6g}") for x in inner)
    found = [node.low, *(min(max(x, node.low), node.high) for x in rounded), node.high]
    return list(dict.fromkeys(round(x) for x in found)) if node.whole else found


def every(
    space: Space,
    base: Fields,
    options: Callable[[Decision], Sequence[Any]] = alternatives,
) -> Iterator[tuple[dict[str, Any], Fields]]:
    """Counts through the space: (answers by decision name, fields), the last decision
    fastest. A decision that a way does not reach multiplies nothing."""
    prefix: list[int] = []
    while True:
        way = _follow(space, base, options, prefix)
        yield way.answers, way.fields
        while way.taken and way.taken[-1] + 1 == way.sizes[-1]:
            way.taken.pop()
            way.sizes.pop()
        if not way.taken:
            return
        way.taken[-1] += 1
        prefix = way.taken


class _Way(NamedTuple):
    """One way through a space: which of how many answers each decision had."""

    taken: list[int]
    sizes: list[int]
    answers: dict[str, Any]
    fields: Fields


def _follow(
    space: Space, base: Fields, options: Callable[[Decision], Sequence], prefix: list
) -> _Way:
    """The way whose first answers `prefix` numbers; from there the first ones."""
    taken: list[int] = []
    sizes: list[int] = []
    answers: dict[str, Any] = {}

    def choose(node: Decision) -> Any:
        found = options(node)
        taken.append(prefix[len(taken)] if len(taken) < len(prefix) else 0)
        sizes.append(len(found))
        answers[node.name] = found[taken[-1]]
        return answers[node.name]

    return _Way(taken, sizes, answers, walk(space, choose, base))


def size(space: Space, base: Fields) -> float:
    """Number of points of the grid; infinite without one. Counted to `COUNTED`."""
    if not finite(space):
        return math.inf
    return sum(1 for _ in islice(every(space, base), COUNTED))


def draw(space: Space, base: Fields, seed: int) -> Fields:
    """The fields at one random point, and at the ends of intervals half of the time."""
    rng = random.Random(seed)

    def choose(node: Decision) -> Any:
        if isinstance(node, Interval) and rng.random() < 0.5:
            return between(node, rng.random())
        return rng.choice(extremes(node))

    return walk(space, choose, base)

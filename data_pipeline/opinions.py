"""`opinions`: sentences about films whose sentiment is exact, and hides in their order.

A clause praises or blames, plainly or through a negation, which turns it round, or two
of them, which do not. A sentence is one clause, or two: what stands after `but` counts,
and what stands outside `although`; joined by `and` both say the same. A neutral clause
may lead or follow. The words of a sentence without their order say little: in those
with a contrast both sides appear as often with either label.
"""

import random
from collections.abc import Sequence
from typing import NamedTuple

LABELS = ("negative", "positive")
KINDS = ("plain", "negated", "twice negated", "and", "but", "although")

SUBJECTS = (
    "the film|the plot|the acting|the ending|the script|her voice|this story|the camera"
).split("|")
GOOD = "good great moving funny clever honest warm brilliant fresh charming".split()
BAD = "bad dull boring weak silly tired flat clumsy hollow tedious".split()
DEGREES = ("", "very", "really", "quite", "so")
ONE_NOT = ("is not", "is never", "is hardly", "was not")
TWO_NOTS = ("is never not", "is not hardly")
IS = ("is", "was", "remains", "seems")
NEUTRAL = (
    "it opened in march|we saw it on a sunday|it runs for two hours|my sister came too|"
    "it was shot in rome|the cinema was full"
).split("|")


class Opinion(NamedTuple):
    """A sentence of words between blanks, its label (1: positive), and its kind."""

    text: str
    label: int
    kind: str


def sample(count: int, seed: int | str) -> list[Opinion]:
    """`count` independent sentences, kinds and labels alike often; a pure function of
    the seed."""
    chance = random.Random(f"opinions:{seed}")
    return [_opinion(chance) for _ in range(count)]


def _opinion(chance: random.Random) -> Opinion:
    label = int(chance.random() < 0.5)
    kind = _pick(chance, KINDS)
    words = {
        "plain": lambda: _clause(chance, label, 0),
        "negated": lambda: _clause(chance, label, 1),
        "twice negated": lambda: _clause(chance, label, 2),
        "and": lambda: f"{_any(chance, label)} and {_any(chance, label)}",
        "but": lambda: f"{_any(chance, 1 - label)} but {_any(chance, label)}",
        "although": lambda: _although(chance, label),
    }[kind]()
    if chance.random() < 0.3:
        words = f"{_pick(chance, NEUTRAL)} and {words}"
    if chance.random() < 0.3:
        words = f"{words} , and {_pick(chance, NEUTRAL)}"
    return Opinion(words, label, kind)


def _although(chance: random.Random, label: int) -> str:
    main, other = _any(chance, label), _any(chance, 1 - label)
    if chance.random() < 0.5:
        return f"although {other} , {main}"
    return f"{main} although {other}"


def _any(chance: random.Random, label: int) -> str:
    """A clause that is negated once in one of three."""
    return _clause(chance, label, int(chance.random() < 1 / 3))


def _clause(chance: random.Random, label: int, negations: int) -> str:
    said = label if negations % 2 == 0 else 1 - label
    verb = _pick(chance, (IS, ONE_NOT, TWO_NOTS)[negations])
    degree = _pick(chance, DEGREES)
    words = (
        _pick(chance, SUBJECTS),
        verb,
        degree,
        _pick(chance, GOOD if said else BAD),
    )
    return " ".join(word for word in words if word)


def _pick(chance: random.Random, choices: Sequence[str]) -> str:
    return choices[int(chance.random() * len(choices))]

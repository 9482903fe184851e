"""Minimal pairs of subject and verb in `grammar`, whose right answers are exact.

A sentence `subject verb-phrase .` of the grammar (`corpora/grammar.py`), and the same
with its main verb in the other number. The grammar gives the first a probability above
0 and the second none: no reading of it is a sentence. Between the subject's noun and
the verb may stand nouns of the other number, attractors (Bock & Miller 1991; Linzen,
Dupoux & Goldberg 2016): a model that lets the last noun decide is wrong there. Pairs
are drawn from the grammar's own distribution until each number of attractors has as
many.
"""

import bisect
import functools
import itertools
import random
from collections.abc import Iterator
from itertools import islice

from data_pipeline.corpora.grammar import rules
from data_pipeline.minimal_pairs import MinimalPair

ATTRACTORS = (0, 1, 2, 3)
LONGEST = 24  # words of a sentence
EACH = 100  # pairs of a number of attractors and a number of the subject
OTHER = {"sg": "pl", "pl": "sg"}


def agreement_pairs(each: int = EACH, seed: int = 0) -> list[MinimalPair]:
    """`each` different pairs with a singular and with a plural subject for each number
    of ATTRACTORS, so that neither form of a verb is the better bet; a pure function.

    Groups: attractors; intervening, how many nouns stand between subject and verb;
    subject, its number.
    """
    chance = random.Random(f"agreement:{seed}")
    found: dict[tuple[int, str], dict[str, MinimalPair]] = {
        group: {} for group in itertools.product(ATTRACTORS, OTHER)
    }
    while any(len(group) < each for group in found.values()):
        number = chance.choice(list(OTHER))
        subject = list(islice(_words(f"NP_{number}", chance), LONGEST))
        between = [one for word in subject if (one := _nouns().get(word))][1:]
        group = found.get((between.count(OTHER[number]), number))
        if group is None or len(group) == each:
            continue
        rest = list(islice(_words(f"VP_{number}", chance), LONGEST))
        if len(subject) + len(rest) < LONGEST:  # and a full stop
            pair = _pair(subject, rest, number, between)
            group[pair.good] = pair
    return [pair for group in found.values() for pair in group.values()]


def _pair(
    subject: list[str], rest: list[str], number: str, between: list[str]
) -> MinimalPair:
    verbs = rest[0], _turned()[rest[0]]
    good, bad = (" ".join([*subject, verb, *rest[1:], "."]) for verb in verbs)
    groups = {
        "attractors": str(between.count(OTHER[number])),
        "intervening": str(len(between)),
        "subject": number,
    }
    return MinimalPair(good, bad, "", groups, "grammar")


def _words(symbol: str, chance: random.Random) -> Iterator[str]:
    """The words of a phrase, drawn by the grammar's probabilities one by one."""
    stack = [symbol]
    while stack:
        if (name := stack.pop()) not in rules():
            yield name
            continue
        bounds, bodies = _bodies(name)
        stack += bodies[
            bisect.bisect_right(bounds, chance.random(), hi=len(bounds) - 1)
        ]


@functools.cache
def _bodies(symbol: str) -> tuple[list[float], list[tuple[str, ...]]]:
    """Sums of the probabilities of a symbol's productions, and these from the right."""
    productions = rules()[symbol]
    bounds = list(itertools.accumulate(p for p, _ in productions))
    return bounds, [symbols[::-1] for _, symbols in productions]


@functools.cache
def _nouns() -> dict[str, str]:
    """The number of each noun; places (`garden`) are singular."""
    named = {"Noun_sg": "sg", "Noun_pl": "pl", "Spot": "sg"}
    return {
        word: number for name, number in named.items() for (word,) in _bodies(name)[1]
    }


@functools.cache
def _turned() -> dict[str, str]:
    """Each verb in its other number."""
    pairs = [
        pair
        for name in ("Runs", "Sees", "Says")
        for pair in zip(_bodies(f"{name}_sg")[1], _bodies(f"{name}_pl")[1], strict=True)
    ]
    return {a: b for (one,), (other,) in pairs for a, b in ((one, other), (other, one))}

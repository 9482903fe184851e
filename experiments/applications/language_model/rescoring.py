"""n-best lists rescored: acoustic score + λ ln P(text) + β words.

A recogniser's (or a translator's) best hypotheses of each utterance get a language
model's weight λ and a word's bonus β, chosen so that development lists have the fewest
word errors when the best of each group is taken; of equally few the smallest λ, then
the smallest |β|. What is reported of other lists is then no choice of theirs.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from data_pipeline.errors import DataError
from experiments.applications.lines import Line

# A coarse grid of both weights, in natural logarithms, and finer steps around its best.
LAMBDAS = (0.0, *(2.0 ** (k / 2) for k in range(-12, 13)))
BETAS = (0.0, *(s * 2.0**k for k in range(-4, 6) for s in (-1, 1)))
STEPS = tuple(2.0**-k for k in range(1, 6))  # of a weight's size


class Hypothesis(NamedTuple):
    """A line of an n-best list: its text, group and place, and its acoustic score (a
    log-probability, larger is better)."""

    line: Line
    acoustic: float


class Lists(NamedTuple):
    """Hypotheses by group as arrays, (N,): rows of a group stand together.

    begins (G + 1,) where each group begins; acoustic, language (ln P) and words
    (their number) float64; errors int64, word errors against the group's reference.
    spoken: words in all references.
    """

    begins: np.ndarray
    acoustic: np.ndarray
    language: np.ndarray
    words: np.ndarray
    errors: np.ndarray
    spoken: int


class Weights(NamedTuple):
    """λ of the language model and β of a word."""

    language: float
    word: float


ALONE = Weights(0.0, 0.0)  # the acoustic score by itself


def hypotheses(lines: Iterable[Line]) -> Iterator[Hypothesis]:
    """Lines `group ||| acoustic score ||| text`, or as Moses writes them, `group |||
    text ||| features ||| score`.

    Raises:
      DataError: for a line that is neither, with its place.
    """
    for line in lines:
        fields = [field.strip() for field in line.text.split("|||")]
        if not line.text.strip():
            raise DataError(f"{line.place} is empty: each line is a hypothesis")
        if len(fields) not in (3, 4):
            raise DataError(
                f"{line.place}: the group {fields[0]!r} has a hypothesis without a "
                "score; lines are `group ||| acoustic score ||| text`, or Moses' "
                "`group ||| text ||| features ||| score`"
            )
        score, text = (fields[1], fields[2]) if len(fields) == 3 else fields[3:0:-2]
        try:
            number = float(score)
        except ValueError:
            number = np.nan
        if not np.isfinite(number):
            raise DataError(f"{line.place}: the score {score!r} is no finite number")
        yield Hypothesis(line._replace(text=text, group=fields[0]), number)


def references(
    lines: Iterable[Line], groups: Sequence[str], source: str
) -> list[list[str]]:
    """The words of what was said, by group: lines `group ||| text` in any order, those
    of other groups among them, or texts in the order of the groups.

    Raises:
      DataError: where a group has none or two, or some lines name theirs and some do
        not. source: what the lines are from, for messages.
    """
    lines = list(lines)
    if not any("|||" in line.text for line in lines):
        if len(lines) != len(groups):
            raise DataError(
                f"{source}: {len(lines)} references for {len(groups)} groups; give a "
                "line a group in their order, or `group ||| text`"
            )
        return [line.text.split() for line in lines]
    found: dict[str, list[str]] = {}
    for line in lines:
        name, bar, text = line.text.partition("|||")
        name = name.strip()
        if not bar:
            raise DataError(
                f"{line.place} names no group, as other lines do: `group ||| text`"
            )
        if name in found:
            raise DataError(f"{line.place}: a second one for the group {name!r}")
        found[name] = text.split()
    if missing := [group for group in groups if group not in found]:
        raise DataError(f"{source}: no reference for the group {missing[0]!r}")
    return [found[group] for group in groups]


def group_order(found: Sequence[Hypothesis]) -> tuple[np.ndarray, list[str]]:
    """(the hypotheses' order with groups together, the groups by first appearance)."""
    groups = list(dict.fromkeys(str(one.line.group) for one in found))
    rank = {group: at for at, group in enumerate(groups)}
    ranks = [rank[str(one.line.group)] for one in found]
    return np.argsort(ranks, kind="stable"), groups


def lists_of(
    found: Sequence[Hypothesis], language: np.ndarray, said: Sequence[Sequence[str]]
) -> Lists:
    """Hypotheses, in `group_order`, with their ln P (N,) and their groups' references.

    Without references (an empty `said`) errors are 0.
    """
    named = [str(one.line.group) for one in found]
    begins = [at for at, name in enumerate(named) if not at or name != named[at - 1]]
    texts = [one.line.text.split() for one in found]
    owners = np.repeat(np.arange(len(begins)), np.diff([*begins, len(found)]))
    errors = [
        word_errors(text, said[owner]) if said else 0
        for text, owner in zip(texts, owners.tolist(), strict=True)
    ]
    return Lists(
        begins=np.array([*begins, len(found)]),
        acoustic=np.array([one.acoustic for one in found]),
        language=np.asarray(language, np.float64),
        words=np.array([len(text) for text in texts], np.float64),
        errors=np.array(errors, np.int64),
        spoken=sum(map(len, said)),
    )


def word_errors(said: Sequence[str], wanted: Sequence[str]) -> int:
    """The fewest substitutions, insertions and deletions of words between the two
    (Levenshtein 1966)."""
    row = list(range(len(wanted) + 1))
    for i, word in enumerate(said, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(wanted, 1):
            best = min(before + (word != other), row[j] + 1, row[j - 1] + 1)
            before, row[j] = row[j], best
    return row[-1]


def chosen(lists: Lists, weights: Weights) -> np.ndarray:
    """(G,) the row of each group's best hypothesis, the first of equals; one without
    words, which a language model here says nothing of, only where there is no other."""
    scores = lists.acoustic + weights.language * lists.language
    scores = np.where(lists.words > 0, scores + weights.word * lists.words, -np.inf)
    bounds = zip(lists.begins[:-1], lists.begins[1:], strict=True)
    return np.array([a + int(np.argmax(scores[a:b])) for a, b in bounds])


def errors_of(lists: Lists, weights: Weights) -> int:
    """Word errors of the best hypotheses."""
    return int(lists.errors[chosen(lists, weights)].sum())


def oracle(lists: Lists) -> int:
    """The fewest word errors that any choice has."""
    return int(np.minimum.reduceat(lists.errors, lists.begins[:-1]).sum())


def choose_weights(dev: Lists) -> Weights:
    """The weights with the fewest errors: of a grid, then coordinate by coordinate in
    finer steps around its best."""

    def worth(weights: Weights) -> tuple[int, float, float]:
        return errors_of(dev, weights), weights.language, abs(weights.word)

    best = min((Weights(a, b) for a in LAMBDAS for b in BETAS), key=worth)
    for step in STEPS:
        for name in Weights._fields:
            size = step * max(abs(getattr(best, name)), 2.0**-4)
            at = getattr(best, name)
            tried = (best._replace(**{name: at + k * size}) for k in (-1, 0, 1))
            best = min((t for t in tried if t.language >= 0), key=worth)
    return best

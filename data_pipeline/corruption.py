"""Sentences with a mistake in them, what they may have been, and edits between them.

A mistake is one of `KINDS`: a word with one letter changed, left out, put in or swapped
with the next (`typing`); a frequent word left out (`missing`); a word twice
(`doubled`); two neighbours in each other's place (`swapped`).
"""

from collections.abc import Collection, Iterator, Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

from data_pipeline.order import random_uniform

KINDS = ("typing", "missing", "doubled", "swapped")
LETTERS = "abcdefghijklmnopqrstuvwxyz"

Words = tuple[str, ...]
Edit = tuple[int, int, Words]


class Corrupted(NamedTuple):
    """A sentence as it was, as it is written, and the kind of its mistake; "none" where
    there is none."""

    target: Words
    source: Words
    kind: str


def corrupt(
    sentence: Words, frequent: Collection[str], intact: float, *key: int
) -> Corrupted:
    """The sentence with one mistake, or none in a share `intact` of all keys.

    Args:
      frequent: words that may be left out.
    """
    chance = random_uniform(8, *key)
    kind = "none" if chance[0] < intact else KINDS[int(chance[1] * len(KINDS))]
    spots = {
        "none": [],
        "typing": [n for n, w in enumerate(sentence) if len(w) > 2 and w.isalpha()],
        "missing": [n for n, w in enumerate(sentence) if w in frequent],
        "doubled": [n for n, w in enumerate(sentence) if w.isalpha()],
        "swapped": [
            n
            for n, (a, b) in enumerate(zip(sentence, sentence[1:], strict=False))
            if a != b and a.isalpha() and b.isalpha()
        ],
    }[kind]
    if not spots:
        return Corrupted(sentence, sentence, "none")
    at = spots[int(chance[2] * len(spots))]
    before, word, after = sentence[:at], sentence[at], sentence[at + 1 :]
    if kind == "typing":
        written = (mistyped(word, *chance[3:6]),)
    elif kind == "swapped":
        written, after = (after[0], word), after[1:]
    else:
        written = () if kind == "missing" else (word, word)
    return Corrupted(sentence, (*before, *written, *after), kind)


def mistyped(word: str, how: float, where: float, which: float) -> str:
    """A word with one letter changed, left out, put in, or swapped with the next; the
    numbers, in [0, 1), say which."""
    at, letter = int(where * len(word)), LETTERS[int(which * len(LETTERS))]
    if letter == word[at]:
        letter = LETTERS[(LETTERS.index(letter) + 1) % len(LETTERS)]
    before, own, after = word[:at], word[at], word[at + 1 :]
    found = (
        before + letter + after,
        before + after,
        before + letter + own + after,
        before + after[:1] + own + after[1:],
    )[int(how * 4)]
    return found if found != word else before + letter + after


def near(word: str) -> Iterator[str]:
    """All that is one such step from a word (Norvig 2007)."""
    for at in range(len(word) + 1):
        before, after = word[:at], word[at:]
        for letter in LETTERS:
            yield before + letter + after
            yield before + letter + after[1:]
        yield before + after[1:]
        yield before + after[1:2] + after[:1] + after[2:]


def candidates(
    source: Words, known: Collection[str], frequent: Sequence[str]
) -> list[Words]:
    """What a sentence may have been: itself first, then whatever one mistake of `KINDS`
    makes it of.

    Args:
      known: words that a mistyped one may have been.
      frequent: words that may have been left out.
    """
    found = {source: None}
    for at, word in enumerate(source):
        before, after = source[:at], source[at + 1 :]
        if word.isalpha():
            for other in near(word):
                if other in known and other != word:
                    found[(*before, other, *after)] = None
        if after and word == after[0]:
            found[(*before, *after)] = None
        if after and word != after[0]:
            found[(*before, after[0], word, *after[1:])] = None
    for at in range(len(source) + 1):
        for word in frequent:
            found[(*source[:at], word, *source[at:])] = None
    return list(found)


def edits_of(source: Words, target: Words) -> set[Edit]:
    """(first, last + 1, words in their place) of what turns one into the other, by the
    alignment of the standard library's difflib."""
    match = SequenceMatcher(None, source, target, autojunk=False)
    return {
        (first, last, target[begin:end])
        for how, first, last, begin, end in match.get_opcodes()
        if how != "equal"
    }


def judged(
    sources: Sequence[Words], answers: Sequence[Words], targets: Sequence[Words]
) -> dict[str, float]:
    """Sentence accuracy; precision, recall and F0.5 of edits.

    F0.5 = 1.25·P·R/(.25·P + R), over the edits of all sentences together, an edit being
    right where the reference has the same words in the same place (M², Dahlmeier & Ng
    2012, here with one reference and difflib's alignment). Precision is 1 where nothing
    was changed, recall where nothing had to be.
    """
    right = made = wanted = same = 0
    for source, answer, target in zip(sources, answers, targets, strict=True):
        ours, theirs = edits_of(source, answer), edits_of(source, target)
        right, made = right + len(ours & theirs), made + len(ours)
        wanted, same = wanted + len(theirs), same + (answer == target)
    precision = right / made if made else 1.0
    recall = right / wanted if wanted else 1.0
    below = 0.25 * precision + recall
    return {
        "sentence_accuracy": same / max(len(targets), 1),
        "precision": precision,
        "recall": recall,
        "f0.5": 1.25 * precision * recall / below if below else 0.0,
    }

"""Sequences of a rule as batches, and which part is which split."""

import numpy as np

from data_pipeline.order import shuffled
from data_pipeline.rules import Example, Rule, padded
from lm.types import Batch

STREAMS = {"train": 1, "valid": 2, "seen": 2, "unseen_steps": 3, "unseen_starts": 4}
STREAMS |= {"longer": 5}
ROUNDED = 16  # lengths of batches are multiples of this


def lengths_of(rule: Rule, part: str, lengths, longer) -> tuple[int, int]:
    """Least and largest length of a part."""
    if part == "longer":
        return rule.longer if tuple(longer) == (0, 0) else tuple(longer)
    return rule.lengths if tuple(lengths) == (0, 0) else tuple(lengths)


def longest_of(examples: list[Example]) -> int:
    """Steps that hold each of them."""
    most = max(len(one.inputs) for one in examples)
    return -(-most // ROUNDED) * ROUNDED


class Fresh:
    """For training: each batch is drawn by (seed, its number)."""

    def __init__(self, rule: Rule, lengths: tuple[int, int], batch: int, steps: int):
        self.rule, self.lengths, self.batch, self.steps = rule, lengths, batch, steps
        self._longest = longest_of(rule.make((0, 0), 256, "seen", (lengths[1],) * 2))

    def batch_at(self, seed: int, epoch: int, step: int) -> Batch:
        """Batch `step` of an epoch: (T, B) fields, T the same in all but by chance."""
        key = (seed, STREAMS["train"], epoch * self.steps + step)
        found = self.rule.make(key, self.batch, "seen", self.lengths)
        return padded(found, self.batch, max(self._longest, longest_of(found)))


class Fixed:
    """For evaluation: the examples, in order; what is left of the last batch counts
    nothing."""

    def __init__(self, examples: list[Example], batch: int):
        self.examples, self.batch = examples, batch
        self.steps = -(-len(examples) // batch)
        self._longest = longest_of(examples)

    def batch_at(self, seed: int, epoch: int, step: int) -> Batch:
        """Batch `step`: (T, B) fields."""
        own = self.examples[step * self.batch : (step + 1) * self.batch]
        return padded(own, self.batch, self._longest)


def examples_of(rule: Rule, part: str, count: int, lengths, longer) -> list[Example]:
    """The fixed examples of a part, the same in every run."""
    limits = lengths_of(rule, part, lengths, longer)
    return rule.make((0, STREAMS[part]), count, part, limits)


def some_of(examples: list[Example], count: int) -> list[Example]:
    """The longest of them, as many as `count`."""
    order = shuffled(len(examples), 0)
    lengths = np.array([len(examples[n].inputs) for n in order])
    return [examples[order[n]] for n in np.argsort(-lengths, kind="stable")[:count]]

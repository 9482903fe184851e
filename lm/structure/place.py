"""A layer's place in a stack: what a structure is told, and what it makes layers of."""

from collections.abc import Callable
from typing import NamedTuple

from lm.config import ModelConfig
from lm.types import Layer


class Place(NamedTuple):
    """One place of a stack of L.

    number  0, 1, … from the bottom.
    config  of the whole.
    one     () -> the cell over a sequence, reading one way.
    of      (units) -> the same with so many units; ConfigError for a cell of one's own,
            which is as wide as it is.
    whole   (layer that reads one way) -> two of it, one reading from the right, where
            the stack reads both ways.
    drop    (layer) -> the same with the config's dropout on what it reads.
    """

    number: int
    config: ModelConfig
    one: Callable[[], Layer]
    of: Callable[[int], Layer]
    whole: Callable[[Layer], Layer]
    drop: Callable[[Layer], Layer]

    @property
    def last(self) -> bool:
        """Whether nothing is above."""
        return self.number == self.config.layers - 1

    def plain(self) -> Layer:
        """The cell alone: both ways where the stack reads both, dropout before it."""
        return self.drop(self.whole(self.one()))

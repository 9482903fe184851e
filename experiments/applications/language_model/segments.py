"""A split in the order of its text, cut into segments that are read one by one."""

from typing import NamedTuple

import numpy as np

from data_pipeline.batches import Sentences
from data_pipeline.config import DataConfig
from data_pipeline.errors import DataError
from data_pipeline.streams import gather
from data_pipeline.types import TokenArray
from lm.types import Batch


class Segments(NamedTuple):
    """S segments of at most T tokens in each of B lanes, each lane a stretch of the
    text in its order; what a lane lacks are segments of no tokens at its end.

    starts, lengths  (S, B) int64: which tokens.
    fresh            (S, B) bool: begins from the initial state.
    """

    ids: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray
    fresh: np.ndarray
    window: int

    @property
    def steps(self) -> int:
        """S."""
        return len(self.starts)

    @property
    def lanes(self) -> int:
        """B."""
        return self.starts.shape[1]

    def at(self, step: int) -> tuple[Batch, np.ndarray]:
        """(batch, at_TB): a segment of each lane, and where its targets stand."""
        within_T1 = np.arange(self.window)[:, None]
        at_TB = self.starts[step] + within_T1
        real_TB = within_T1 < self.lengths[step]
        return gather(self.ids, at_TB, real_TB, self.fresh[step]), at_TB


def segments_of(
    config: DataConfig, tokens: TokenArray, lanes: int, window: int
) -> Segments:
    """As the config's reading has it: a stream's state is carried through each lane;
    a sentence (of more than max_length tokens: each piece) begins from the initial
    state and is cut into segments that carry it on.

    Raises:
      DataError: where there are fewer tokens, or sentences, than lanes.
    """
    if config.reading == "streams":
        begins = -(-len(tokens.ids) // lanes) * np.arange(lanes)
        ends = np.minimum(np.append(begins[1:], len(tokens.ids)), len(tokens.ids))
        starts, lengths = begins, ends - begins
        lane_of = np.arange(lanes)
    else:
        pieces = Sentences(tokens, 1, config.max_length, shuffle=False)
        starts, lengths = pieces.starts, pieces.lengths
        cuts = -(-lengths // window)
        lane_of = (np.cumsum(cuts) - cuts) * lanes // cuts.sum()
    if len(set(lane_of.tolist())) < lanes or lengths.min() < 1:
        raise DataError(
            f"a split of {len(tokens.ids):,} tokens is too short for {lanes} lanes: "
            "lower --lanes"
        )
    return _in_lanes(tokens.ids, starts, lengths, lane_of, lanes, window)


def _in_lanes(ids, starts, lengths, lane_of, lanes: int, window: int) -> Segments:
    """The pieces of each lane, cut at the window."""
    cuts = -(-lengths // window)
    piece = np.repeat(np.arange(len(cuts)), cuts)
    rank = np.arange(len(piece)) - np.repeat(np.cumsum(cuts) - cuts, cuts)
    lane = lane_of[piece]
    counts = np.bincount(lane, minlength=lanes)
    row = np.arange(len(piece)) - (np.cumsum(counts) - counts)[lane]
    shape = (int(counts.max()), lanes)
    starts_SB, lengths_SB = np.zeros((2, *shape), np.int64)
    fresh_SB = np.zeros(shape, bool)
    starts_SB[row, lane] = starts[piece] + rank * window
    lengths_SB[row, lane] = np.minimum(lengths[piece] - rank * window, window)
    fresh_SB[row, lane] = rank == 0
    return Segments(ids, starts_SB, lengths_SB, fresh_SB, window)


def beginning(tokens: TokenArray, count: int) -> TokenArray:
    """The first tokens of a split, whole sentences, `count` or a few more; 0: all. A
    split that is one piece is cut where it is."""
    if not count or count >= len(tokens.ids):
        return tokens
    if len(tokens.starts) == 2:
        return TokenArray(tokens.ids[:count], np.array([0, count], np.int64))
    last = int(np.searchsorted(tokens.starts, count))
    starts = tokens.starts[: last + 1]
    return TokenArray(tokens.ids[: starts[-1]], starts)

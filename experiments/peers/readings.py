"""The text whose batches are made, an epoch a turn, and how this project makes them."""

from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any

import numpy as np

from data_pipeline.batches import Sentences
from data_pipeline.streams import Streams
from data_pipeline.types import TokenArray
from experiments.peers.case import TEXT, Case

MEAN, LONGEST = 21, 80  # tokens of a sentence: Penn Treebank's, with its end


def text_of(case: Case) -> TokenArray:
    """Random words in sentences of random lengths after one that belongs to none, the
    same every time."""
    draw = np.random.default_rng(0)
    ids = draw.integers(0, case.vocabulary, TEXT + 1).astype(np.uint16)
    spread = draw.gamma(4.0, MEAN / 4.0, 2 * TEXT // MEAN).astype(int)
    ends = np.cumsum(spread.clip(1, LONGEST))
    starts = np.concatenate([[0], ends[ends < TEXT], [TEXT]])
    return TokenArray(ids, starts + 1)


def sentence(text: TokenArray, number: int) -> tuple[np.ndarray, np.ndarray]:
    """(inputs, targets) of one: its first input is the token before it."""
    begin, end = text.starts[number : number + 2]
    return text.ids[begin - 1 : end - 1], text.ids[begin:end]


def window(case: Case, text: TokenArray, number: int) -> tuple[np.ndarray, np.ndarray]:
    """(inputs, targets) of one lane; in a row they are those of a batch's lanes."""
    step, lane = divmod(number, case.lanes)
    begin = lane * (TEXT // case.lanes) + step * case.steps
    ids = text.ids[begin : begin + case.steps + 1]
    return ids[:-1], ids[1:]


def windows_in(case: Case) -> int:
    """Of an epoch: whole ones."""
    return TEXT // case.lanes // case.steps * case.lanes


def pieces(case: Case, text: TokenArray) -> tuple[int, Callable[[int], Any]]:
    """How many windows or sentences an epoch has, and what gives one by its number."""
    if case.does == "windows":
        return windows_in(case), partial(window, case, text)
    return len(text.starts) - 1, partial(sentence, text)


def reader(case: Case) -> Callable[[], None]:
    """An epoch of this project's batches."""
    text = text_of(case)
    if case.does == "windows":
        reading = Streams(text.ids, case.lanes, case.steps)
    else:
        reading = Sentences(text, case.lanes, LONGEST)
    epochs = count()

    def read() -> None:
        epoch = next(epochs)
        for step in range(reading.steps):
            reading.batch_at(0, epoch, step)

    return read

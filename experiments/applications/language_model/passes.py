"""A trained model read over a text: what a step gives at each of its tokens."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import numpy as np

from data_pipeline.types import TokenArray
from experiments.applications.language_model.pieces import (
    lone_line_batches,
    whole_text_batches,
)
from experiments.applications.language_model.reading import (
    evaluation_batches,
    setting_of,
)
from experiments.applications.language_model.trained import Trained
from lm.models.language_model import one_hot_rows
from lm.types import Batch

LOGITS = 1 << 26  # numbers in the logits of a batch of lines, at most
# Of lines by themselves, at most. Twice as many of either took 1.5 times as long on two
# cores (V = 6,500): logits that leave the caches. An accelerator is idle with so few.
LANES, WINDOW, LANES_THERE = 32, 32, 512

Batches = Iterable[tuple[Batch, np.ndarray]]
Reader = Callable[[TokenArray], Any]


def reader_of(
    trained: Trained,
    make_step: Callable[[Any], Any],
    alone: bool,
    watch: Callable[[int], None] = lambda count: None,
) -> Reader:
    """(tokens) -> a tree of (N, …) arrays, of N tokens in the order of the text; the
    step is compiled once a shape, for all texts that the reader is given.

    Args:
      make_step: (model) -> step(params, carry, batch) -> (carry, tree of (T, B, …)).
      alone: each of the token array's pieces from the initial state; else as training
        evaluates a text, which is the same where it reads sentences.
      watch: called with the number of tokens that were read, after each batch.
    """
    step = jax.jit(make_step(trained.model), donate_argnums=1)
    choose = _lone if alone or by_itself(trained) else _whole

    def read(tokens: TokenArray) -> Any:
        lanes, batches = choose(trained, tokens)
        count, found = len(tokens.ids), None
        for real_TB, at_TB, tree in _one_behind(
            _outputs(trained, step, batches, lanes)
        ):
            leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]
            if found is None:
                structure = jax.tree.structure(tree)
                found = [np.zeros((count, *x.shape[2:]), x.dtype) for x in leaves]
            for whole, leaf in zip(found, leaves, strict=True):
                whole[at_TB[real_TB]] = leaf[real_TB]
            watch(int(real_TB.sum()))
        return jax.tree.unflatten(structure, found or [])

    return read


def by_itself(trained: Trained) -> bool:
    """Whether training read each sentence by itself."""
    return trained.config.data.reading == "sentences"


def _lone(trained: Trained, tokens: TokenArray) -> tuple[int, Batches]:
    """(lanes, batches) of pieces by themselves. A power of two of lanes, so that texts
    of all sizes have few shapes; a model of sentences cuts them as in training."""
    config = trained.config
    most = LANES if jax.default_backend() == "cpu" else LANES_THERE
    lanes = min(most, 1 << (len(tokens.starts) - 2).bit_length())
    while lanes > 1 and lanes * WINDOW * trained.vocabulary.size > LOGITS:
        lanes //= 2
    start = setting_of(config, trained.vocabulary).start
    longest = config.data.max_length if by_itself(trained) else 0
    return lanes, lone_line_batches(tokens, lanes, WINDOW, start, longest)


def _whole(trained: Trained, tokens: TokenArray) -> tuple[int, Batches]:
    """The same of one text, in as many lanes as training evaluates it in."""
    reading = evaluation_batches(trained.config, tokens)
    places = TokenArray(np.arange(len(tokens.ids)), tokens.starts)
    at = evaluation_batches(trained.config, places)
    return reading.batch, whole_text_batches(reading, at)


def _outputs(
    trained: Trained, step: Any, batches: Batches, lanes: int
) -> Iterator[tuple[np.ndarray, np.ndarray, Any]]:
    """(real_TB, at_TB, tree) of each batch, the last still on the device."""
    model, params = trained.model, trained.params
    carry = model.initial_state(params, lanes)
    for batch, at_TB in batches:
        real_TB = batch.mask > 0
        if trained.config.data.one_hot:
            batch = one_hot_rows(batch, model.vocabulary)
        carry, tree = step(params, carry, batch)
        yield real_TB, at_TB, tree


def _one_behind(items: Iterator[Any]) -> Iterator[Any]:
    """The same items, each when the next one is under way."""
    held = next(items, None)
    for item in items:
        yield held
        held = item
    if held is not None:
        yield held

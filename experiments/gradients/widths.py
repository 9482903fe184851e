"""Widths by a budget: how many units a model has that has so many parameters."""

from collections.abc import Callable
from dataclasses import replace

import jax

from lm.config import ModelConfig
from lm.models.language_model import LanguageModel, build
from lm.train import count_parameters


def parameters_in(model: LanguageModel) -> int:
    """How many parameters a model has; nothing is drawn."""
    return count_parameters(jax.eval_shape(model.init, jax.random.key(0)))


def parameters_of(model: ModelConfig, vocabulary: int) -> int:
    """How many a language model has."""
    return parameters_in(build(model, vocabulary))


def width(count: Callable[[int], int], budget: int, unit: int = 1) -> int:
    """The multiple H of `unit` whose count(H) is nearest to the budget, by bisection:
    the count grows with H.

    unit: cells with heads have as many as divide H, so that their counts grow from one
    multiple of that number to the next, and not between.
    """

    def of(number: int) -> int:
        return count(unit * number)

    low, high = 1, 2
    while of(high) < budget:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if of(middle) < budget else (low, middle)
    return unit * min((low, high), key=lambda number: abs(of(number) - budget))


def with_parameters(
    model: ModelConfig, vocabulary: int, budget: int, unit: int = 1
) -> ModelConfig:
    """The model of a language with the width that comes nearest to the budget."""

    def count(hidden: int) -> int:
        return parameters_of(replace(model, hidden=hidden), vocabulary)

    return replace(model, hidden=width(count, budget, unit))

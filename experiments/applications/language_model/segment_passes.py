"""A trained model reads a split once, as it is or adapting: probabilities of the
targets, and no more of it, are kept."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from data_pipeline.types import TokenArray
from experiments.applications.language_model.passes import LOGITS
from experiments.applications.language_model.segments import (
    Segments,
    beginning,
    segments_of,
)
from experiments.applications.language_model.trained import Trained
from lm.adaptive.cache import empty_memory, make_cache_step
from lm.adaptive.dynamic import (
    Outputs,
    Rule,
    Statistics,
    make_dynamic_step,
    make_fixed_step,
    make_squares_step,
    statistics_of,
)
from lm.types import Batch

STATISTICS_LANES = 100  # Krause's program


class Pass(NamedTuple):
    """nats (N,) float32 of each token: of the model by each softmax temperature, and of
    its cache by each θ."""

    model: dict[float, np.ndarray]
    cache: dict[float, np.ndarray]


class Reader:
    """A model with its programs, compiled once for all passes.

    tell  (words) -> None: how far a pass is.
    """

    def __init__(self, trained: Trained, tell: Callable[[str], None]):
        self.trained, self.tell = trained, tell
        model = trained.model
        self._fixed = jax.jit(make_fixed_step(model), donate_argnums=1)
        self._dynamic = jax.jit(make_dynamic_step(model), donate_argnums=(0, 1))
        self._squares = jax.jit(make_squares_step(model), donate_argnums=(0, 2))
        self._cache = jax.jit(make_cache_step(model.vocabulary), donate_argnums=0)

    def segments(self, tokens: TokenArray, lanes: int, window: int) -> Segments:
        """A split as this model reads it."""
        return segments_of(self.trained.config.data, tokens, lanes, window)

    def fixed(
        self,
        segments: Segments,
        temperatures: Sequence[float],
        size: int,
        θs: Sequence[float],
    ) -> Pass:
        """By the trained parameters. size: of the cache, 0 without."""
        params = self.trained.params

        def step(carry, batch: Batch, temperatures_K):
            return self._fixed(params, carry, batch, temperatures_K)

        carry = self.trained.model.initial_state(params, segments.lanes)
        return self._read(step, carry, segments, temperatures, size, θs, "fixed")

    def dynamic(
        self,
        segments: Segments,
        temperatures: Sequence[float],
        size: int,
        θs: Sequence[float],
        statistics: Statistics,
        rule: Rule,
    ) -> Pass:
        """By parameters that begin as the trained ones and learn from each segment."""
        first = self.trained.params
        rule = Rule(*(jnp.float32(number) for number in rule))

        def step(state, batch: Batch, temperatures_K):
            params, carry = state
            params, carry, outputs = self._dynamic(
                params, carry, batch, temperatures_K, first, statistics, rule
            )
            return (params, carry), outputs

        carry = self.trained.model.initial_state(first, segments.lanes)
        state = jax.tree.map(jnp.array, first), carry
        return self._read(step, state, segments, temperatures, size, θs, "dynamic")

    def statistics(self, train: TokenArray, window: int, most: int, mean: str):
        """Of the gradients on the first `most` tokens of the training split (0: all),
        in 100 lanes, or fewer where it is short."""
        tokens = beginning(train, most)
        lanes = self._lanes(tokens, window)
        segments, params = self.segments(tokens, lanes, window), self.trained.params
        squares = jax.tree.map(jnp.zeros_like, params)
        carry = self.trained.model.initial_state(params, lanes)
        for number in range(segments.steps):
            self._progress("statistics of gradients", number, segments)
            batch, _ = segments.at(number)
            squares, carry = self._squares(squares, params, carry, batch)
        return statistics_of(squares, segments.steps, mean)

    def _lanes(self, tokens: TokenArray, window: int) -> int:
        """Lanes of statistics: at least two segments each, and logits in memory."""
        most = len(tokens.ids) // (2 * window)
        if self.trained.config.data.reading == "sentences":
            most = min(most, (len(tokens.starts) - 1) // 2)
        most = min(most, LOGITS // (window * self.trained.vocabulary.size))
        return max(1, min(STATISTICS_LANES, most))

    def _read(
        self,
        step: Callable[[Any, Batch, Any], tuple[Any, Outputs]],
        state: Any,
        segments: Segments,
        temperatures: Sequence[float],
        size: int,
        θs: Sequence[float],
        what: str,
    ) -> Pass:
        temperatures_K, θs_K = jnp.array(temperatures, float), jnp.array(θs, float)
        model_KN = np.zeros((len(temperatures), len(segments.ids)), np.float32)
        cache_KN = np.zeros((len(θs) if size else 0, len(segments.ids)), np.float32)
        memory, held = None, None

        def keep(at_TB, real_TB, model_TBK, cache_TBK):
            at = at_TB[real_TB]
            model_KN[:, at] = np.asarray(model_TBK)[real_TB].T
            if cache_TBK is not None:
                cache_KN[:, at] = np.asarray(cache_TBK)[real_TB].T

        for number in range(segments.steps):
            self._progress(what, number, segments)
            batch, at_TB = segments.at(number)
            state, outputs = step(state, batch, temperatures_K)
            cached = None
            if size:
                hidden = outputs.hs_TBH.shape[-1]
                memory = memory or empty_memory(segments.lanes, size, hidden)
                memory, cached = self._cache(
                    memory, outputs.hs_TBH, batch.targets, batch.mask, θs_K
                )
            if held is not None:  # the segment before, while this one is computed
                keep(*held)
            held = at_TB, batch.mask > 0, outputs.nats_TBK, cached
        if held is not None:
            keep(*held)
        return Pass(
            dict(zip(temperatures, model_KN, strict=True)),
            dict(zip(θs if size else (), cache_KN, strict=True)),
        )

    def _progress(self, what: str, number: int, segments: Segments) -> None:
        self.tell(f"{what}: segment {number:,} of {segments.steps:,}")

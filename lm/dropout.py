"""Dropout, by its kinds: pure functions of a key.

`rate` is the probability of being dropped, a number or a traced scalar below 1;
what is kept is divided by 1 − rate, so that evaluation needs nothing.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lm.config import DropoutConfig
from lm.types import Array, Cell, Params, State


class Rates(NamedTuple):
    """The probabilities of `DropoutConfig`, as numbers that a step may trace."""

    input: Any = 0.0
    hidden: Any = 0.0
    output: Any = 0.0
    embedding: Any = 0.0
    weight: Any = 0.0
    zoneout: Any = 0.0


class Lanes(NamedTuple):
    """Which lanes of the batch are here, where devices share it: B lanes from
    index·B of count·B on."""

    index: Any
    count: int


class PlaceKeys(NamedTuple):
    """One key a kind of dropout, of one place."""

    weight: Any
    embedding: Any
    features: Any
    zoneout: Any


class Dropout(NamedTuple):
    """What a model needs in training: the key, the probabilities and, where devices
    share the batch, the lanes here; their masks are those of the whole batch."""

    key: Any = None
    rates: Rates = Rates()
    lanes: Lanes | None = None
    here: PlaceKeys | None = None

    def at(self, number: Any) -> "Dropout":
        """The same at a place inside, a layer or the output, with keys of its own."""
        key = jax.random.fold_in(self.key, number)
        return self._replace(key=key, here=PlaceKeys(*jax.random.split(key, 4)))

    @property
    def keys(self) -> PlaceKeys:
        """What each kind of dropout draws from here."""
        return self.here or PlaceKeys(*jax.random.split(self.key, 4))


def features(dropout: Dropout | None, xs: Array, kind: str, rate: str) -> Array:
    """xs_TBD dropped by the kind and rate of these names; in evaluation as it is."""
    if dropout is None:
        return xs
    probability = getattr(dropout.rates, rate)
    return DROPOUTS[kind](dropout.keys.features, xs, probability, dropout.lanes)


def rates_of(config: DropoutConfig) -> Rates:
    """The config's probabilities."""
    return Rates(**config.rates)


def _drawn(key: Array, rate, shape: tuple[int, ...], lanes: Lanes | None) -> Array:
    """True where kept. With `lanes`, (T, B, …) is drawn for all lanes and cut out:
    what a lane keeps does not depend on how many devices share the batch."""
    if lanes is None:
        return jax.random.bernoulli(key, 1.0 - rate, shape)
    steps, here, *rest = shape
    whole = jax.random.bernoulli(key, 1.0 - rate, (steps, here * lanes.count, *rest))
    return jax.lax.dynamic_slice_in_dim(whole, lanes.index * here, here, axis=1)


def _kept(key: Array, rate, shape: tuple[int, ...], dtype, lanes=None) -> Array:
    """1/(1 − rate) where kept, 0 where dropped."""
    kept = _drawn(key, rate, shape, lanes)
    return jnp.where(kept, 1.0 / (1.0 - rate), 0.0).astype(dtype)


def none(key: Array, xs_TBD: Array, rate, lanes: Lanes | None = None) -> Array:
    """Nothing dropped."""
    return xs_TBD


def between(key: Array, xs_TBD: Array, rate, lanes: Lanes | None = None) -> Array:
    """A fresh mask at every step: Zaremba, Sutskever & Vinyals 2014, section 3.1."""
    return xs_TBD * _kept(key, rate, xs_TBD.shape, xs_TBD.dtype, lanes)


def locked(key: Array, xs_TBD: Array, rate, lanes: Lanes | None = None) -> Array:
    """One mask for all steps of a lane: Gal & Ghahramani 2016, section 4."""
    shape = (1, *xs_TBD.shape[1:])
    return xs_TBD * _kept(key, rate, shape, xs_TBD.dtype, lanes)


DROPOUTS: dict[str, Callable[..., Array]] = {
    "none": none,
    "between": between,
    "locked": locked,
}


def embedding_dropout(key: Array, embedding_VD: Array, rate) -> Array:
    """Whole words dropped for the window: Gal & Ghahramani 2016, section 4.2."""
    shape = (embedding_VD.shape[0], 1)
    return embedding_VD * _kept(key, rate, shape, embedding_VD.dtype)


def weight_drop(cell: Cell, key: Array, params: Params, rate) -> Params:
    """DropConnect on the recurrent matrices: Merity, Keskar & Socher 2017.

    One mask for the window; every other leaf is handed on as it is.
    """
    dropped = dict(params)
    for name in cell.recurrent:
        key, now = jax.random.split(key)
        w = params[name]
        dropped[name] = w * _kept(now, rate, w.shape, w.dtype)
    return dropped


def zoneout(
    key: Array, state: State, steps: int, rate, lanes: Lanes | None = None
) -> State:
    """Update weights of Krueger 2017: a state of (T, B, …), 0 where the old is kept.

    Unlike dropout nothing is scaled; evaluation uses `zoneout_mean`.
    """
    leaves, treedef = jax.tree.flatten(state)
    keys = jax.random.split(key, len(leaves))
    drawn = [
        _drawn(k, rate, (steps, *leaf.shape), lanes).astype(leaf.dtype)
        for k, leaf in zip(keys, leaves, strict=True)
    ]
    return jax.tree.unflatten(treedef, drawn)


def zoneout_mean(state: State, steps: int, rate) -> State:
    """The expectation of `zoneout`'s weights, 1 − rate, as (T, B, 1, …)."""

    def mean(leaf):
        shape = (steps, leaf.shape[0], *(1,) * (leaf.ndim - 1))
        return jnp.full(shape, 1.0 - rate, leaf.dtype)

    return jax.tree.map(mean, state)

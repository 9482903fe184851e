"""A layer with something of its own before it or behind it, step by step."""

from collections.abc import Callable
from typing import Any

import jax

from lm.types import Array, Context, Layer, Params, State
from lm.words import looked_up


def around(
    layer: Layer,
    init: Callable[[Array, int], dict[str, Params]],
    before: Callable[[Params, Array], Array] | None = None,
    behind: Callable[[Params, Array, Array], Array] | None = None,
    d_in: int | None = None,
) -> Layer:
    """The layer, its state its own; parameters: {"layer", and what `init` gives}.

    init    (key, d_in) -> the other parameters.
    before  (params, xs) -> what the layer reads, steps of any leading axes.
    behind  (params, xs, ys) -> what goes up.
    d_in    how wide `before` makes what the layer reads; None: as it was.
    """

    def init_params(key: Array, width: int) -> Params:
        inside, own = jax.random.split(key)
        return {"layer": layer.init(inside, d_in or width), **init(own, width)}

    def outer(params: Params, xs: Any, run: Callable[[Any], tuple[State, Array]]):
        xs = looked_up(xs) if before or behind else xs
        state, ys = run(before(params, xs) if before else xs)
        return state, behind(params, xs, ys) if behind else ys

    def apply(params: Params, xs: Any, state: State, context: Context = Context()):
        def run(xs):
            return layer.apply(params["layer"], xs, state, context)

        return outer(params, xs, run)

    def step(params: Params, state: State, x: Any) -> tuple[State, Array]:
        return outer(params, x, lambda x: layer.step(params["layer"], state, x))  # type: ignore[misc]

    return layer._replace(
        init=init_params,
        initial_state=lambda params, batch: layer.initial_state(params["layer"], batch),
        apply=apply,
        step=step if layer.step else None,
        parts=tuple(part.under("", "layer") for part in layer.parts),
    )

"""One pass over a window that keeps what every step of every layer saw."""

from typing import NamedTuple

from jax import lax

from lm.model import LanguageModel
from lm.types import Array, Params, State
from lm.unroll import one_step


class Recorded(NamedTuple):
    """One layer over a window.

    before, after  the states around each step, leaves (T, B, H).
    zs_TBG         the projected inputs.
    """

    before: State
    after: State
    zs_TBG: Array


def record(
    model: LanguageModel, params: Params, inputs_TB: Array, state: State
) -> tuple[Recorded, ...]:
    """The layers, from the bottom. Cost: a forward pass, and T·B·(2·N + G) numbers."""
    layers = []

    def recording(cell, params, zs, state, fresh, events, reverse):
        def body(old, at):
            new = one_step(cell, params, fresh, old, *at)
            return new, (old, new, cell.output(new))

        last, (before, after, hs) = lax.scan(body, state, (zs, events), reverse=reverse)
        layers.append(Recorded(before, after, zs))
        return last, hs

    model.apply(params, inputs_TB, state, driver=recording)
    return tuple(layers)

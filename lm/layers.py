"""Layers, and functions from layers to a layer: structure is said once, by composing.

    stack(recurrent(lstm), residual(dropped(recurrent(lstm), "locked", "hidden")))
    stack(bidirectional(recurrent(gru), recurrent(gru)), recurrent(gru))

    recurrent      a cell over a sequence
    stack          one on another
    residual       adds its input to its output (He 2016; Wu 2016, section 3.1)
    dropped        dropout on its input
    backward       reads from the last step to the first
    bidirectional  two layers, one of them backward, side by side (Schuster & Paliwal
                   1997); on top of each other they are deep (Graves 2013)
    truncated      gradients reach τ recurrent steps back, no further (lm.truncation)

A stack's parameters are a tuple; a bidirectional layer's {"forward", "backward"}; the
others hand on those of the layer inside. None draws a key of its own: a stack splits
the one it gets, or takes one key a layer.
"""

from typing import Any
from zlib import crc32

import jax
import jax.numpy as jnp

from lm import dropout as drop
from lm.config import ConfigError
from lm.recording import recorder
from lm.types import Array, Cell, Context, Layer, Params, Part, State
from lm.unroll import Events, one_output, unroll_projected
from lm.words import looked_up, project_any


def inside(context: Context, name: str, number: int | None = None) -> Context:
    """The context of a place inside: its name, and its key of dropout.

    number  folded into the key; by default one made of the name.
    """
    folded = crc32(name.encode()) if number is None else number
    dropout = context.dropout
    return context._replace(
        name=f"{context.name}.{name}" if context.name else name,
        dropout=None if dropout is None else dropout.at(folded),
    )


def on_real_steps(context: Context, mask_TB: Array) -> Context:
    """The context with padding masked, in the taps of the place as well: what reads
    from the right hands its first state through the padding, which is no lag of any
    step."""
    context = context._replace(mask_TB=mask_TB)
    if context.taps is None:
        return context

    def masked(leaf: Array) -> Array:
        return leaf * mask_TB.reshape(*mask_TB.shape, *(1,) * (leaf.ndim - 2))

    here = {
        name: jax.tree.map(masked, taps)
        for name, taps in context.taps.items()
        if name.startswith(context.name)
    }
    return context._replace(taps=context.taps | here)


def recurrent(cell: Cell, weight_drop: bool = False, zoneout: float = 0.0) -> Layer:
    """The cell over a sequence.

    weight_drop  whether training drops entries of the recurrent matrices (the rate is
                 the context's).
    zoneout      its probability, in evaluation; in training the context's.
    """

    def zone(context: Context, state: State, steps: int) -> State | None:
        if not zoneout:
            return None
        if context.dropout is None:
            return drop.zoneout_mean(state, steps, zoneout)
        dropout = context.dropout
        key, rate = dropout.keys.zoneout, dropout.rates.zoneout
        return drop.zoneout(key, state, steps, rate, dropout.lanes)

    def apply(params: Params, xs: Any, state: State, context: Context = Context()):
        dropout, name = context.dropout, context.name
        if dropout is not None and weight_drop:
            key, rate = dropout.keys.weight, dropout.rates.weight
            params = drop.weight_drop(cell, key, params, rate)
        zs = project_any(cell, params, xs)
        steps = len(jax.tree.leaves(zs)[0])
        events = Events(
            context.reset_TB,
            context.mask_TB,
            zone(context, state, steps),
            None if context.taps is None else context.taps.get(name),
        )
        driver = context.driver
        if context.recorded is not None:
            driver = recorder(context.recorded, name)
        return unroll_projected(
            cell, params, zs, state, events, reverse=context.reverse, driver=driver
        )

    def step(params: Params, state: State, x: Any) -> tuple[State, Array]:
        z = project_any(cell, params, x)
        new = cell.step(params, state, z)
        if zoneout:
            new = jax.tree.map(lambda n, o: (1 - zoneout) * n + zoneout * o, new, state)
        return new, one_output(cell, params, z, new)

    return Layer(
        d_out=cell.d_hidden,
        init=cell.init,
        initial_state=cell.initial_state,
        apply=apply,
        step=step,
        parts=(Part("", cell),),
    )


def stack(*layers: Layer) -> Layer:
    """Each layer on the one before."""

    def init(key: Any, d_in: int) -> Params:
        """key: one for all, or a list with one for each."""
        keys = key if isinstance(key, list) else jax.random.split(key, len(layers))
        widths = [d_in, *(layer.d_out for layer in layers[:-1])]
        each = zip(layers, keys, widths, strict=True)
        return tuple(layer.init(key, width) for layer, key, width in each)

    def initial_state(params: Params, batch: int) -> State:
        pairs = zip(layers, params, strict=True)
        return tuple(layer.initial_state(p, batch) for layer, p in pairs)

    def apply(params: Params, xs: Any, state: State, context: Context = Context()):
        after = []
        for n, (layer, p, s) in enumerate(zip(layers, params, state, strict=True)):
            new, xs = layer.apply(p, xs, s, inside(context, str(n), n))
            after.append(new)
        return tuple(after), xs

    def step(params: Params, state: State, x: Any) -> tuple[State, Array]:
        after = []
        for layer, p, s in zip(layers, params, state, strict=True):
            new, x = layer.step(p, s, x)  # type: ignore[misc]
            after.append(new)
        return tuple(after), x

    return Layer(
        d_out=layers[-1].d_out,
        init=init,
        initial_state=initial_state,
        apply=apply,
        step=step if all(layer.step for layer in layers) else None,
        parts=tuple(
            part.under(str(n), n)
            for n, layer in enumerate(layers)
            for part in layer.parts
        ),
    )


def residual(layer: Layer) -> Layer:
    """y = x + layer(x). The recurrent state is the layer's own, without the sum."""

    def apply(params: Params, xs: Any, state: State, context: Context = Context()):
        state, ys = layer.apply(params, xs, state, context)
        return state, looked_up(xs) + ys

    def step(params: Params, state: State, x: Any) -> tuple[State, Array]:
        state, y = layer.step(params, state, x)  # type: ignore[misc]
        return state, looked_up(x) + y

    return layer._replace(apply=apply, step=step if layer.step else None)


def dropped(layer: Layer, kind: str, rate: str) -> Layer:
    """Dropout on the layer's input, in training.

    kind  a name in lm.dropout.DROPOUTS.
    rate  which of `lm.dropout.Rates`.
    """

    def apply(params: Params, xs: Any, state: State, context: Context = Context()):
        if context.dropout is not None:
            xs = drop.features(context.dropout, looked_up(xs), kind, rate)
        return layer.apply(params, xs, state, context)

    return layer._replace(apply=apply)


def backward(layer: Layer) -> Layer:
    """The layer reading from the last step to the first, its outputs in their order.

    With a mask each lane starts at its last real step.
    """

    def apply(params: Params, xs: Any, state: State, context: Context = Context()):
        if context.reset_TB is not None:
            raise ConfigError(
                "a layer that reads from the right cannot be reset in mid-sequence: "
                "give each text a lane of its own (data.reading sentences)"
            )
        turned = context._replace(reverse=not context.reverse)
        return layer.apply(params, xs, state, turned)

    parts = tuple(part._replace(reverse=not part.reverse) for part in layer.parts)
    return layer._replace(apply=apply, step=None, parts=parts)


def bidirectional(there: Layer, back: Layer) -> Layer:
    """→h_t and ←h_t side by side, (T, B, 2H); `back` is turned around here.

    Only the forward state is carried from one sequence to the next.
    """
    back = backward(back)

    def init(key: Array, d_in: int) -> Params:
        forward, backward = jax.random.split(key)
        return {
            "forward": there.init(forward, d_in),
            "backward": back.init(backward, d_in),
        }

    def initial_state(params: Params, batch: int) -> State:
        return there.initial_state(params["forward"], batch)

    def apply(params: Params, xs: Any, state: State, context: Context = Context()):
        lanes = jax.tree.leaves(state)[0].shape[0]
        begin = back.initial_state(params["backward"], lanes)
        here = inside(context, "forward", 0)
        state, rightward = there.apply(params["forward"], xs, state, here)
        here = inside(context, "backward", 1)
        _, leftward = back.apply(params["backward"], xs, begin, here)
        return state, jnp.concatenate([rightward, leftward], axis=-1)

    sides = (("forward", there), ("backward", back))
    return Layer(
        d_out=there.d_out + back.d_out,
        init=init,
        initial_state=initial_state,
        apply=apply,
        step=None,
        parts=tuple(p.under(name, name) for name, side in sides for p in side.parts),
    )

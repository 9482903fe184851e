"""A recurrent language model: embedding, stacked cells, softmax.

    h⁰_t = E[x_t]        hˡ_t = cellˡ(hˡ⁻¹_t, stateˡ_{t−1})  [+ hˡ⁻¹_t, l ≥ 2]
    P(x_{t+1} | x_1 … x_t) = softmax(hᴸ_t·W + b)

With residual connections (He 2016; in recurrent stacks, Wu 2016, section 3.1) the
bracket is added: a layer hands on its output plus its input, from the second layer
on, where both are H wide. The recurrent state is the cell's own, without the sum.

`build` turns a `ModelConfig` into a record of pure functions. `apply` reads windows
(training, evaluation, scoring), `step` one token at a time (sampling); both are made
of the same cells.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import jax

from lm import dropout as drop
from lm.cells import make_cell
from lm.cells.forms import draw
from lm.config import ConfigError, ModelConfig
from lm.layers import embed, init_softmax, project_words, softmax_logits
from lm.types import Array, Cell, Params, State
from lm.unroll import Driver, unroll_projected

Dropout = tuple[Any, ...]  # drop.Dropout, or its fields


class LanguageModel(NamedTuple):
    """Pure functions; `params` and `state` are pytrees, `state` a tuple over layers.

    init           (key) -> params {embedding?, layers, softmax}.
    initial_state  (params, batch) -> state.
    apply          (params, inputs, state, *, dropout, mask_TB, reset_TB, taps,
                   driver) -> (state, hs_TBH). Inputs (T, B) ids or (T, B, V)
                   one-hot. `dropout` is a `Dropout` in training, else None;
                   `mask_TB`, `reset_TB`, `taps` (a tuple over layers) and
                   `driver` are those of `unroll`.
    logits         (params, hs (…, H)) -> logits (…, V).
    step           (params, state, token_B) -> (state, logits_BV).
    """

    config: ModelConfig
    vocabulary: int
    cells: tuple[Cell, ...]
    init: Callable[[Array], Params]
    initial_state: Callable[[Params, int], State]
    apply: Callable[..., tuple[State, Array]]
    logits: Callable[[Params, Array], Array]
    step: Callable[[Params, State, Array], tuple[State, Array]]


def build(
    config: ModelConfig, vocabulary: int, cell: Cell | None = None
) -> LanguageModel:
    """The language model that `config` describes, over `vocabulary` words.

    cell: one's own in place of the registry's `config.cell`, H = config.hidden wide
    (`lm.adapters` makes one of any step function); ConfigError if it is not.
    """
    if cell is None:
        cell = make_cell(config.cell, config.hidden, config.init, config.bias)
    if cell.d_hidden != config.hidden:
        raise ConfigError(
            f"model.hidden is {config.hidden} but the cell {cell.name!r} has "
            f"{cell.d_hidden} units: make them equal"
        )
    config = replace(config, cell=cell.name)
    cells = (cell,) * config.layers

    def init(key: Array) -> Params:
        key_embedding, key_softmax, *keys = jax.random.split(key, config.layers + 2)
        widths = [config.embedding or vocabulary] + [config.hidden] * config.layers
        layers = tuple(
            c.init(k, d_in) for c, k, d_in in zip(cells, keys, widths, strict=False)
        )
        params: dict[str, Any] = {"layers": layers}
        if config.embedding:
            shape = (vocabulary, config.embedding)
            params["embedding"] = draw(key_embedding, shape, config.init)
        params["softmax"] = init_softmax(key_softmax, config, vocabulary)
        return params

    def initial_state(params: Params, batch: int) -> State:
        pairs = zip(cells, params["layers"], strict=True)
        return tuple(c.initial_state(p, batch) for c, p in pairs)

    def logits(params: Params, hs: Array) -> Array:
        return softmax_logits(params["softmax"], params.get("embedding"), hs)

    return LanguageModel(
        config=config,
        vocabulary=vocabulary,
        cells=cells,
        init=init,
        initial_state=initial_state,
        apply=make_apply(config, cells),
        logits=logits,
        step=make_step(config, cells, logits),
    )


class LayerKeys(NamedTuple):
    """What each kind of dropout draws from in one layer; all None in evaluation."""

    weight: Any = None
    embedding: Any = None
    features: Any = None
    zoneout: Any = None
    lanes: drop.Lanes | None = None


def layer_keys(key: Array | None, number: int, lanes=None) -> LayerKeys:
    """Keys of layer `number`; number L is the output."""
    if key is None:
        return LayerKeys()
    weight, embedding, features, zoneout = jax.random.split(
        jax.random.fold_in(key, number), 4
    )
    return LayerKeys(weight, embedding, features, zoneout, lanes)


def make_apply(config: ModelConfig, cells: tuple[Cell, ...]):
    """`LanguageModel.apply`: every layer over the whole window, one after another."""
    c = config.dropout

    def features(keys, xs, probability, rate):
        """xs, dropped where there is a key and the config's probability is not 0."""
        if keys.features is None or not probability:
            return xs
        return drop.DROPOUTS[c.kind](keys.features, xs, rate, keys.lanes)

    def zone(keys, state, steps, rates):
        if not c.zoneout:
            return None
        if keys.zoneout is None:
            return drop.zoneout_mean(state, steps, c.zoneout)
        return drop.zoneout(keys.zoneout, state, steps, rates.zoneout, keys.lanes)

    def first(params, layer, inputs, keys, rates):
        """zs of the bottom layer."""
        table = params.get("embedding")
        if table is None:
            return cells[0].project(layer, inputs)
        if keys.embedding is not None and c.embedding:
            table = drop.embedding_dropout(keys.embedding, table, rates.embedding)
        if keys.features is None or not c.input:
            return project_words(cells[0], layer, table, inputs)
        xs = features(keys, embed(table, inputs), c.input, rates.input)
        return cells[0].project(layer, xs)

    def apply(
        params: Params,
        inputs: Array,
        state: State,
        *,
        dropout: Dropout | None = None,
        mask_TB: Array | None = None,
        reset_TB: Array | None = None,
        taps: Any = None,
        driver: Driver | None = None,
    ) -> tuple[State, Array]:
        key, rates, lanes = drop.Dropout(*(dropout or ()))
        hs, states = inputs, []
        for number, (cell, layer) in enumerate(
            zip(cells, params["layers"], strict=True)
        ):
            keys = layer_keys(key, number, lanes)
            if keys.weight is not None and c.weight:
                layer = drop.weight_drop(cell, keys.weight, layer, rates.weight)
            below = hs
            if number == 0:
                zs = first(params, layer, inputs, keys, rates)
            else:
                hs = features(keys, hs, c.hidden, rates.hidden)
                zs = cell.project(layer, hs)
            after, hs = unroll_projected(
                cell,
                layer,
                zs,
                state[number],
                reset_TB=reset_TB,
                mask_TB=mask_TB,
                zoneout=zone(keys, state[number], len(inputs), rates),
                taps=None if taps is None else taps[number],
                driver=driver,
            )
            hs = below + hs if config.residual and number else hs
            states.append(after)
        keys = layer_keys(key, len(cells), lanes)
        return tuple(states), features(keys, hs, c.output, rates.output)

    return apply


def make_step(config: ModelConfig, cells: tuple[Cell, ...], logits):
    """`LanguageModel.step`: one token through every layer."""
    keep = config.dropout.zoneout

    def step(params: Params, state: State, token_B: Array) -> tuple[State, Array]:
        x, states = token_B, []
        if "embedding" in params:
            x = embed(params["embedding"], token_B)
        layers = zip(cells, params["layers"], state, strict=True)
        for number, (cell, layer, old) in enumerate(layers):
            new = cell.step(layer, old, cell.project(layer, x))
            if keep:
                new = jax.tree.map(lambda n, o: (1 - keep) * n + keep * o, new, old)
            states.append(new)
            below, x = x, cell.output(new)
            x = below + x if config.residual and number else x
        return tuple(states), logits(params, x)

    return step

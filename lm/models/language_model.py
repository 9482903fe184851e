"""A recurrent language model: embedding, stacked cells, softmax.

    h⁰_t = E[x_t]        hˡ_t = cellˡ(hˡ⁻¹_t, stateˡ_{t−1})  [+ hˡ⁻¹_t, l ≥ 2]
    P(x_{t+1} | x_1 … x_t) = softmax(hᴸ_t·W + b)

With residual connections (He 2016; in recurrent stacks, Wu 2016, section 3.1) the
bracket is added: a layer hands on its output plus its input, from the second layer
on, where both are H wide. The recurrent state is the cell's own, without the sum.

`build` turns a `ModelConfig` into a record of pure functions. `apply` reads windows
(training, evaluation, scoring), `step` one token at a time (sampling); both are made
of the same layers.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lm import dropout as drop
from lm.cells.forms import draw
from lm.config import ConfigError, ModelConfig
from lm.models.stacks import stack_of, words
from lm.problem import InitNumbers, Problem, start, taps_of, with_numbers
from lm.truncation import truncated
from lm.types import Array, Batch, Cell, Context, Layer, Params, Part, State, Sum
from lm.words import init_softmax, softmax_logits, softmax_nats


class LanguageModel(NamedTuple):
    """Pure functions; `params` and `state` are pytrees, `state` a tuple over layers.

    init           (key) -> params {embedding?, layers, softmax}.
    initial_state  (params, batch) -> state.
    apply          (params, inputs, state, context) -> (state, hs_TBH). Inputs (T, B)
                   ids or (T, B, V) one-hot.
    logits         (params, hs (…, H)) -> logits (…, V).
    nats           (params, hs (…, H), targets (…,)) -> −ln P(target) (…,). No array
                   holds all logits where they are many (`lm.softmax`).
    step           (params, state, token_B) -> (state, logits_BV).
    stack          the recurrent layers alone.
    parts          their cells: names "0", "1", … from the bottom.
    problem        what is trained: −ln P of each next token.
    """

    config: ModelConfig
    vocabulary: int
    init: Callable[[Array], Params]
    initial_state: Callable[[Params, int], State]
    apply: Callable[..., tuple[State, Array]]
    logits: Callable[[Params, Array], Array]
    nats: Callable[[Params, Array, Array], Array]
    step: Callable[[Params, State, Array], tuple[State, Array]]
    stack: Layer
    parts: tuple[Part, ...]
    problem: Problem = None  # type: ignore[assignment]

    @property
    def layer(self) -> Layer:
        """The whole as one layer, from ids to logits."""

        def apply(params, ids_TB, state, context=Context()):
            state, hs_TBH = self.apply(params, ids_TB, state, context)
            return state, self.logits(params, hs_TBH)

        return Layer(
            d_out=self.vocabulary,
            init=lambda key, d_in: self.init(key),
            initial_state=self.initial_state,
            apply=apply,
            step=self.step,
            parts=self.parts,
        )


def build(
    config: ModelConfig, vocabulary: int, cell: Cell | None = None
) -> LanguageModel:
    """The language model that `config` describes, over `vocabulary` words.

    cell: one's own in place of the registry's `config.cell`, H = config.hidden wide
    (`lm.adapters` makes one of any step function); ConfigError if it is not.
    """
    named = with_cell(config, cell)
    layers, config = stack_of(config, cell), named

    def init(key: Array) -> Params:
        key_embedding, key_softmax, *keys = jax.random.split(key, config.layers + 2)
        d_in = config.embedding or vocabulary
        params: dict[str, Any] = {"layers": layers.init(keys, d_in)}
        if config.embedding:
            shape = (vocabulary, config.embedding)
            params["embedding"] = draw(key_embedding, shape, config.init)
        params["softmax"] = init_softmax(key_softmax, config, vocabulary)
        return params

    def initial_state(params: Params, batch: int) -> State:
        return layers.initial_state(params["layers"], batch)

    def logits(params: Params, hs: Array) -> Array:
        return softmax_logits(params["softmax"], params.get("embedding"), hs)

    def nats(params: Params, hs: Array, targets: Array) -> Array:
        return softmax_nats(params["softmax"], params.get("embedding"), hs, targets)

    def step(params: Params, state: State, token_B: Array) -> tuple[State, Array]:
        x = words(params, token_B)
        state, h_BH = layers.step(params["layers"], state, x)  # type: ignore[misc]
        return state, logits(params, h_BH)

    model = LanguageModel(
        config=config,
        vocabulary=vocabulary,
        init=init,
        initial_state=initial_state,
        apply=make_apply(config, layers),
        logits=logits,
        nats=nats,
        step=step,
        stack=layers,
        parts=tuple(part.under("", "layers") for part in layers.parts),
    )
    return model._replace(problem=make_problem(model, cell))


def make_problem(
    model: LanguageModel, cell: Cell | None, τ: int = 0, measure=None
) -> Problem:
    """−ln P of each next token that counts.

    cell     what `build` was given.
    τ        gradients reach so many recurrent steps back; 0: through the whole window.
    measure  (outputs_TBV, targets_TB, mask_TB) -> Sum, in place of that.
    """
    config, parts = model.config, model.parts
    layers = truncated(model.stack, τ) if τ else model.stack
    apply = make_apply(config, layers)

    def init(key: Array, numbers: InitNumbers | None = None) -> Params:
        if numbers is None:
            return model.init(key)
        return build(with_numbers(config, numbers), model.vocabulary, cell).init(key)

    def judged(params: Params, hs: Array, batch: Batch) -> Sum:
        if measure is not None:
            return measure(model.logits(params, hs), batch.targets, batch.mask)
        nats_TB = model.nats(params, hs, batch.targets)
        return Sum(jnp.sum(nats_TB * batch.mask), jnp.sum(batch.mask))

    def reading(apply):
        def loss(params: Params, carry: State, batch: Batch, context: Context):
            carry = start(model.initial_state, params, carry, batch.fresh)
            carry, hs = apply(params, batch.inputs, carry, context)
            return carry, judged(params, hs, batch)

        return loss

    def evaluate(params: Params, carry: State, batch: Batch):
        carry, total = reading(model.apply)(params, carry, batch, Context())
        return carry, {"loss": total}

    return Problem(
        init=init,
        carry=model.initial_state,
        loss=reading(apply),
        evaluate=evaluate,
        taps=lambda params, batch: taps_of(parts, params, *batch.targets.shape),
        parts=parts,
        focus=lambda batch: last_token(batch, parts),
        truncated=lambda τ: make_problem(model, cell, τ, measure),
    )


def by_rows(problem: Problem, vocabulary: int) -> Problem:
    """The problem whose batches of ids are read as one-hot rows: the same numbers, by
    products in place of look-ups."""

    def rows(batch: Batch) -> Batch:
        return one_hot_rows(batch, vocabulary)

    truncated = problem.truncated
    return problem._replace(
        loss=lambda p, c, batch, context: problem.loss(p, c, rows(batch), context),
        evaluate=lambda p, c, batch: problem.evaluate(p, c, rows(batch)),
        truncated=truncated and (lambda τ: by_rows(truncated(τ), vocabulary)),
    )


def one_hot_rows(batch: Batch, vocabulary: int) -> Batch:
    """The batch with inputs (T, B, V) float32 in place of ids."""
    return batch._replace(inputs=jax.nn.one_hot(batch.inputs, vocabulary))


def last_token(batch: Batch, parts: tuple[Part, ...]):
    """The batch with the loss of each lane's last counted token alone, and where it
    is: {part's name: (B,) steps}."""
    steps = jnp.arange(len(batch.mask))[:, None]
    origin_B = jnp.max(jnp.where(batch.mask > 0, steps, 0), axis=0)
    mask = (steps == origin_B[None]) & (batch.mask > 0)
    return batch._replace(mask=mask.astype(jnp.float32)), {
        part.name: origin_B for part in parts
    }


def with_cell(config: ModelConfig, cell: Cell | None) -> ModelConfig:
    """The config with the name of one's own cell.

    Raises:
      ConfigError: where that is not as wide as the config says.
    """
    if cell is None:
        return config
    if cell.d_hidden != config.hidden:
        raise ConfigError(
            f"model.hidden is {config.hidden} but the cell {cell.name!r} has "
            f"{cell.d_hidden} units: make them equal"
        )
    return replace(config, cell=cell.name)


def make_apply(config: ModelConfig, layers: Layer):
    """`LanguageModel.apply`: every layer over the whole window, one after another."""
    drops, output = config.dropout, config.layers

    def apply(params: Params, inputs: Any, state: State, context: Context = Context()):
        dropout = context.dropout
        xs = words(params, inputs, dropout, drops)
        state, hs = layers.apply(params["layers"], xs, state, context)
        if dropout is not None and drops.output:
            hs = drop.features(dropout.at(output), hs, drops.kind, "output")
        return state, hs

    return apply

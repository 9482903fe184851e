"""The same language model in Flax's own parts, as a peer to measure against.

`nnx.RNN` over Flax's cell with an `nnx.Embed` and an `nnx.Linear`; the loss, the
clipping and the optimizer are those of `lm`, so that only the model differs.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from lm.config import ModelConfig, OptimConfig
from lm.losses import cross_entropy
from lm.optim import Hyperparameters, clipper, optimizer
from lm.types import Array, Batch

FLAX_CELLS = {
    "lstm": nnx.OptimizedLSTMCell,
    "gru": nnx.GRUCell,
    "tanh": nnx.SimpleCell,
}


class FlaxLM(nnx.Module):
    """Embedding (or one-hot), a stack of nnx.RNN, softmax; batch-major inside."""

    def __init__(self, config: ModelConfig, vocabulary: int, *, rngs: nnx.Rngs):
        self.vocabulary = vocabulary
        if config.embedding:
            self.embed = nnx.Embed(vocabulary, config.embedding, rngs=rngs)
        widths = [config.embedding or vocabulary] + [config.hidden] * config.layers
        cell = FLAX_CELLS[config.cell]
        layers = [
            nnx.RNN(cell(a, b, rngs=rngs), time_major=True)
            for a, b in zip(widths[:-1], widths[1:], strict=True)
        ]
        self.layers = nnx.List(layers)
        self.softmax = nnx.Linear(config.hidden, vocabulary, rngs=rngs)

    def __call__(self, inputs_TB: Array, carries) -> tuple[list[Any], Any]:
        """(carries after the window, logits_TBV)."""
        xs: Any
        if hasattr(self, "embed"):
            xs = self.embed(inputs_TB)
        else:
            xs = jax.nn.one_hot(inputs_TB, self.vocabulary)
        after = []
        for layer, carry in zip(self.layers, carries, strict=True):
            carry, xs = layer(xs, initial_carry=carry, return_carry=True)
            after.append(carry)
        return after, self.softmax(xs)


def make_peer(
    config: ModelConfig,
    optim: OptimConfig,
    numbers: Hyperparameters,
    vocabulary: int,
    lanes: int,
):
    """(state, step): a functional training step of the Flax model.

    step(state, batch, numbers) -> (state, None), jit-compiled, its state donated.
    """
    model = FlaxLM(config, vocabulary, rngs=nnx.Rngs(0))
    graph, params, rest = nnx.split(model, nnx.Param, ...)
    carries = [
        layer.cell.initialize_carry((lanes, config.hidden), nnx.Rngs(0))
        for layer in model.layers
    ]
    carries = jax.tree.map(jnp.zeros_like, carries)
    state = (params, optimizer(optim, numbers).init(params), carries)

    def step(state, batch: Batch, numbers: Hyperparameters):
        params, opt_state, carries = state

        def loss(params):
            after, logits = nnx.merge(graph, params, rest)(batch.inputs, carries)
            total = cross_entropy(logits, batch.targets, batch.mask)
            tokens = total.count if optim.reduction == "token" else lanes
            return total.total / tokens, after

        raw, after = jax.grad(loss, has_aux=True)(params)
        raw, _ = clipper(optim, numbers.clip_at).update(raw, optax.EmptyState())
        rule = optimizer(optim, numbers)
        updates, opt_state = rule.update(raw, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state, after), None

    return state, jax.jit(step, donate_argnums=0)

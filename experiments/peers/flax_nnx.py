"""Flax: `nnx.RNN` over its cells, with an `nnx.Embed` and an `nnx.Linear`."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from experiments.peers.case import Case, cell_of, inputs_of, stepper
from experiments.results.timing import Stepper
from lm.types import Array, Batch

CELLS = {
    "lstm": nnx.OptimizedLSTMCell,
    "gru": nnx.GRUCell,
    "tanh": nnx.SimpleCell,
}


class FlaxLM(nnx.Module):
    """Embedding (or one-hot), a stack of nnx.RNN, softmax."""

    def __init__(self, case: Case, *, rngs: nnx.Rngs):
        self.case = case
        model, cell = case.model, cell_of(CELLS, case)
        if model.embedding:
            self.embed = nnx.Embed(case.vocabulary, model.embedding, rngs=rngs)
        layers = [
            nnx.RNN(cell(*widths, rngs=rngs), time_major=True) for widths in case.widths
        ]
        self.layers = nnx.List(layers)
        self.softmax = nnx.Linear(model.hidden, case.vocabulary, rngs=rngs)

    def __call__(self, ids_TB: Array, carries) -> tuple[list[Any], Any]:
        """(carries after the window, logits_TBV)."""
        table = self.embed.embedding[...] if self.case.model.embedding else None
        xs: Any = inputs_of(self.case, table, ids_TB)
        after = []
        for layer, carry in zip(self.layers, carries, strict=True):
            carry, xs = layer(xs, initial_carry=carry, return_carry=True)
            after.append(carry)
        return after, self.softmax(xs)


def make(case: Case, batch: Batch) -> Stepper:
    """Its training step."""
    model = FlaxLM(case, rngs=nnx.Rngs(0))
    graph, params, rest = nnx.split(model, nnx.Param, ...)
    shape = (case.lanes, case.model.hidden)
    carries = [
        layer.cell.initialize_carry(shape, nnx.Rngs(0)) for layer in model.layers
    ]
    carries = jax.tree.map(jnp.zeros_like, carries)

    def apply(params, ids_TB, carries):
        return nnx.merge(graph, params, rest)(ids_TB, carries)

    return stepper(case, batch, params, carries, apply)

"""Equinox: its cells, mapped over lanes and scanned over steps, as its documentation
has it."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from experiments.peers.case import Case, cell_of, inputs_of, stepper
from experiments.results.timing import Stepper
from lm.types import Batch

CELLS = {"lstm": eqx.nn.LSTMCell, "gru": eqx.nn.GRUCell}


def make(case: Case, batch: Batch) -> Stepper:
    """Its training step."""
    cell, model = cell_of(CELLS, case), case.model
    keys = jax.random.split(jax.random.key(0), model.layers + 2)
    pairs = zip(case.widths, keys[2:], strict=True)
    parts: dict[str, Any] = {
        "embedding": None,
        "layers": [cell(*widths, key=key) for widths, key in pairs],
        "softmax": eqx.nn.Linear(model.hidden, case.vocabulary, key=keys[0]),
    }
    if model.embedding:
        table = eqx.nn.Embedding(case.vocabulary, model.embedding, key=keys[1])
        parts["embedding"] = table.weight
    params, rest = eqx.partition(parts, eqx.is_array)
    zeros = jnp.zeros((case.lanes, model.hidden))
    carry = (zeros, zeros) if model.cell == "lstm" else zeros
    carries = [jax.tree.map(jnp.copy, carry) for _ in range(model.layers)]

    def apply(params, ids_TB, carries):
        parts = eqx.combine(params, rest)
        xs, after = inputs_of(case, parts["embedding"], ids_TB), []
        for layer, carry in zip(parts["layers"], carries, strict=True):

            def body(carry, x_BD, layer=layer):
                carry = jax.vmap(layer)(x_BD, carry)
                return carry, carry[0] if model.cell == "lstm" else carry

            carry, xs = jax.lax.scan(body, carry, xs)
            after.append(carry)
        return after, jax.vmap(jax.vmap(parts["softmax"]))(xs)

    return stepper(case, batch, params, carries, apply)

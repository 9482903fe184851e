"""Keras on JAX: its recurrent layers, called statelessly."""

import os

os.environ["KERAS_BACKEND"] = "jax"  # read when Keras is imported

import jax.numpy as jnp
import keras

from experiments.peers.case import Case, cell_of, inputs_of, stepper
from experiments.results.timing import Stepper
from lm.types import Batch

CELLS = {
    "lstm": keras.layers.LSTM,
    "gru": keras.layers.GRU,
    "tanh": keras.layers.SimpleRNN,
}


def make(case: Case, batch: Batch) -> Stepper:
    """Its training step; lanes come first in Keras, so both ends are turned around."""
    kind, model = cell_of(CELLS, case), case.model
    layers, carries = [], []
    for width, hidden in case.widths:
        layer = kind(hidden, return_sequences=True, return_state=True)
        layer.build((case.lanes, case.steps, width))
        layers.append(layer)
        parts = 2 if model.cell == "lstm" else 1
        carries.append([jnp.zeros((case.lanes, hidden)) for _ in range(parts)])
    softmax = keras.layers.Dense(case.vocabulary)
    softmax.build((case.lanes, case.steps, model.hidden))
    params = {
        "layers": [values(layer.trainable_variables) for layer in layers],
        "rest": [values(layer.non_trainable_variables) for layer in layers],
        "softmax": values(softmax.trainable_variables),
        "embedding": None,
    }
    rest = params.pop("rest")
    if model.embedding:
        table = keras.layers.Embedding(case.vocabulary, model.embedding)
        table.build()
        (params["embedding"],) = values(table.trainable_variables)

    def apply(params, ids_TB, carries):
        xs, after = inputs_of(case, params["embedding"], ids_TB).swapaxes(0, 1), []
        own = zip(layers, params["layers"], rest, carries, strict=True)
        for layer, weights, others, carry in own:
            given = weights, others, xs
            (xs, *carry), _ = layer.stateless_call(*given, initial_state=carry)
            after.append(carry)
        logits, _ = softmax.stateless_call(params["softmax"], [], xs)
        return after, logits.swapaxes(0, 1)

    return stepper(case, batch, params, carries, apply)


def values(variables) -> list:
    """Their arrays."""
    return [variable.value for variable in variables]

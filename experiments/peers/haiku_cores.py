"""Haiku: its cores under `hk.dynamic_unroll`; it has no tanh network (its VanillaRNN is
one of rectified units)."""

import haiku as hk
import jax
import jax.numpy as jnp

from experiments.peers.case import Case, cell_of, inputs_of, stepper
from experiments.results.timing import Stepper
from lm.types import Batch

CELLS = {"lstm": hk.LSTM, "gru": hk.GRU}


def make(case: Case, batch: Batch) -> Stepper:
    """Its training step."""
    core, model = cell_of(CELLS, case), case.model

    def forward(ids_TB, carries):
        shape = case.vocabulary, model.embedding
        table = hk.Embed(*shape).embeddings if model.embedding else None
        xs, after = inputs_of(case, table, ids_TB), []
        for carry in carries:
            xs, carry = hk.dynamic_unroll(core(model.hidden), xs, carry)
            after.append(carry)
        return after, hk.Linear(case.vocabulary)(xs)

    def zeros():
        return [core(model.hidden).initial_state(case.lanes) for _ in case.widths]

    carries = hk.without_apply_rng(hk.transform(zeros)).apply({})
    carries = jax.tree.map(jnp.copy, carries)
    pure = hk.without_apply_rng(hk.transform(forward))
    params = pure.init(jax.random.key(0), batch.inputs, carries)
    return stepper(case, batch, params, carries, pure.apply)

"""How surprised a model is: −ln P(token | everything before it), token by token."""

import jax.numpy as jnp

from lm.losses import token_nats
from lm.models.language_model import LanguageModel
from lm.problem import start
from lm.types import Array, Batch, Params, State


def make_score_step(model: LanguageModel):
    """score_step(params, carry, batch) -> (carry, nats_TB).

    The surprisal of each target, 0 where masked. Their sum is what
    `lm.train.make_eval_step` counts; the state is carried in the same way.
    """

    def score_step(params: Params, carry: State, batch: Batch) -> tuple[State, Array]:
        carry = start(model.initial_state, params, carry, batch.fresh)
        carry, hs = model.apply(params, batch.inputs, carry)
        nats_TB = token_nats(model.logits(params, hs), batch.targets)
        return carry, jnp.where(batch.mask > 0, nats_TB, 0.0)

    return score_step

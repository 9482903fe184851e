"""How surprised a model is: −ln P(token | everything before it), token by token; and
what else its guess says: entropy, the target's rank, the likeliest tokens."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from lm.checks import within
from lm.losses import token_nats
from lm.models.language_model import LanguageModel
from lm.problem import start
from lm.types import Array, Batch, Params, State


class Details(NamedTuple):
    """What a model says of each place of a text before it sees the token there.

    nats_TB      −ln p(target).
    entropy_TB   −Σ_w p(w) ln p(w) over the next token, in nats.
    rank_TB      int32, of the target: 1 is the likeliest; of equally likely tokens
                 the smaller id stands first, as in the guesses.
    guesses_TBK  int32, the K likeliest tokens, the likeliest first.
    logs_TBK     ln p of each.
    hs_TBH       the output of the top layer that all this was read from; None where it
                 was not asked for. It has seen the tokens before the target.

    The arrays of numbers are 0 where masked; guesses, logs and hs stay.
    """

    nats_TB: Array
    entropy_TB: Array
    rank_TB: Array
    guesses_TBK: Array
    logs_TBK: Array
    hs_TBH: Array | None = None


def make_score_step(model: LanguageModel):
    """score_step(params, carry, batch) -> (carry, nats_TB).

    The surprisal of each target, 0 where masked. Their sum is what
    `lm.train.make_eval_step` counts; the state is carried in the same way.
    """

    def score_step(params: Params, carry: State, batch: Batch) -> tuple[State, Array]:
        carry = start(model.initial_state, params, carry, batch.fresh)
        carry, hs = model.apply(params, batch.inputs, carry)
        nats_TB = model.nats(params, hs, batch.targets)
        return carry, jnp.where(batch.mask > 0, nats_TB, 0.0)

    return score_step


def make_details_step(model: LanguageModel, top: int = 0, states: bool = False):
    """details_step(params, carry, batch) -> (carry, Details); see `make_score_step`.

    top: how many guesses, 0 to V; ConfigError otherwise. states: hs_TBH too.
    """
    within("top", top, 0, model.vocabulary)

    def details_step(
        params: Params, carry: State, batch: Batch
    ) -> tuple[State, Details]:
        carry = start(model.initial_state, params, carry, batch.fresh)
        carry, hs = model.apply(params, batch.inputs, carry)
        found = details(model.logits(params, hs), batch.targets, batch.mask, top)
        return carry, found._replace(hs_TBH=hs if states else None)

    return details_step


def details(logits_TBV: Array, targets_TB: Array, mask_TB: Array, top: int) -> Details:
    """`Details` of logits (ln p + a constant at each place); K = top."""
    lse_TB1 = jax.nn.logsumexp(logits_TBV, axis=-1, keepdims=True)
    logs_TBV = logits_TBV - lse_TB1
    entropy_TB = -jnp.sum(
        jnp.where(logs_TBV > -jnp.inf, jnp.exp(logs_TBV) * logs_TBV, 0), -1
    )
    at_TB1 = targets_TB[..., None]
    own_TB1 = jnp.take_along_axis(logits_TBV, at_TB1, -1, mode="clip")
    ids = lax.broadcasted_iota(targets_TB.dtype, logits_TBV.shape, 2)
    before = (logits_TBV > own_TB1) | ((logits_TBV == own_TB1) & (ids < at_TB1))
    rank_TB = 1 + jnp.sum(before, -1, dtype=jnp.int32)
    best_TBK, guesses_TBK = lax.top_k(logits_TBV, top)
    real_TB = mask_TB > 0
    return Details(
        nats_TB=jnp.where(real_TB, token_nats(logits_TBV, targets_TB), 0.0),
        entropy_TB=jnp.where(real_TB, entropy_TB, 0.0),
        rank_TB=jnp.where(real_TB, rank_TB, 0),
        guesses_TBK=guesses_TBK,
        logs_TBK=best_TBK - lse_TB1,
    )

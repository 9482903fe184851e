"""How far a word that is written reaches into what it was written from.

    ‖∂ℓ_t/∂x_s‖        ℓ_t = −ln P(y_t | …), x_s the vector of source word s

along all paths: through the encoder's states to the decoder's first one, and through
attention. Exact, from a backward pass for each t. The vectors are told apart by giving
each place of the batch a row of its own in the encoder's table.
"""

from typing import Any

import jax
import jax.numpy as jnp

from lm.problem import Problem
from lm.types import Array, Context, Pairs, Params


def source_gradients(problem: Problem, params: Params, batch: Pairs) -> Array:
    """‖∂ℓ_t/∂x_s‖ of an encoder–decoder whose encoder looks words up: (T, S, B), 0 on
    padding. Memory: T·S·B·D numbers."""
    steps, lanes = batch.source.shape
    table_VD = params["encoder"]["embedding"]
    rows_ND = jnp.take(table_VD, batch.source.reshape(-1), axis=0)
    apart = batch._replace(source=jnp.arange(steps * lanes).reshape(steps, lanes))

    def term(rows_ND: Array, asked_T: Array) -> Array:
        encoder = params["encoder"] | {"embedding": rows_ND}
        one = apart._replace(mask=batch.mask * asked_T[:, None])
        whole = params | {"encoder": encoder}
        return problem.loss(whole, (), one, Context())[1].total

    def norms(asked_T: Array) -> Array:
        found_ND = jax.grad(term)(rows_ND, asked_T)
        return jnp.linalg.norm(found_ND, axis=-1).reshape(steps, lanes)

    return jax.lax.map(norms, jnp.eye(len(batch.mask)))


def along(norms_TSB: Any, mask_TB: Any, source_mask_SB: Any, bins: int = 10) -> Any:
    """How much of ‖∂ℓ_t/∂x_s‖ falls on source words by where they stand, over what
    would if all places had as much: (3, bins), 1 being as much as any other.

    Rows are words of the first, middle and last third of a target. The places of a
    source are spread over [0, 1]; each target word counts alike.
    """
    target_B, source_B = jnp.sum(mask_TB, axis=0), jnp.sum(source_mask_SB, axis=0)
    steps_T1, places_S1 = (
        jnp.arange(len(x))[:, None] for x in (mask_TB, source_mask_SB)
    )
    third_TB = steps_T1 * 3 // jnp.maximum(target_B, 1)[None]
    place_SB = (places_S1 + 0.5) / jnp.maximum(source_B, 1)[None] * bins
    in_third = jax.nn.one_hot(third_TB.astype(jnp.int32), 3) * mask_TB[..., None]
    in_bin = jax.nn.one_hot(jnp.clip(place_SB.astype(jnp.int32), 0, bins - 1), bins)
    here_TSB = mask_TB[:, None] * source_mask_SB[None]

    def shares(weights_TSB: Array) -> Array:
        total_T1B = jnp.sum(weights_TSB, axis=1, keepdims=True)
        of_each = weights_TSB / jnp.maximum(total_T1B, 1e-30)
        return jnp.einsum("tsb,tbk,sbn->kn", of_each, in_third, in_bin)

    return shares(norms_TSB * here_TSB) / jnp.maximum(shares(here_TSB), 1e-30)

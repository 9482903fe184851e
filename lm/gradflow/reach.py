"""How far back the loss of each token of a text reaches: into words and into states.

    ‖∂ℓ_t/∂x_s‖ and ‖∂ℓ_t/∂hˡ_s‖ for all t and s,        ℓ_t = −ln P(y_t | …)

x_s is what the bottom layer reads at step s: the vector of a word, or its one-hot row
in a model without vectors. Along all paths, and exact: one forward pass, and a backward
pass for each t, of which `chunk` go side by side. `lm.gradflow.through_time` has the
mean of the second over texts, by the lag t − s.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from lm.gradflow.through_time import hidden_gradient
from lm.losses import token_nats
from lm.models.language_model import LanguageModel
from lm.models.stacks import words
from lm.problem import start, taps_of
from lm.types import Array, Batch, Context, Params, State
from lm.words import looked_up

NUMBERS = 1 << 24  # in the gradients of the targets that go side by side, at most


class Reach(NamedTuple):
    """Norms of gradients, in nats per unit; the first T is t, the target, the second s.
    0 where s > t, where the target is masked, and across a reset.

    inputs_TTB  ‖∂ℓ_t/∂x_s‖.
    states      {part's name: ‖∂ℓ_t/∂h_s‖ (T, T, B)}, h as in `hidden_gradient`.
    """

    inputs_TTB: Array
    states: dict[str, Array]


def reach(
    model: LanguageModel,
    params: Params,
    carry: State,
    batch: Batch,
    reset_TB: Array | None = None,
    chunk: int = 0,
) -> Reach:
    """`Reach` over a window. Cost: a forward and T backward passes through the layers;
    memory: `chunk` times the gradients of one target, T·(D + the states' numbers).

    reset_TB  1 where the initial state replaces the state before the step.
    chunk     backward passes side by side; 0: as many as `NUMBERS` allows, 32 at most.
    """
    carry = start(model.initial_state, params, carry, batch.fresh)
    steps, lanes = batch.targets.shape
    xs_TBD = looked_up(words(params, batch.inputs))
    if jnp.issubdtype(xs_TBD.dtype, jnp.integer):
        xs_TBD = jax.nn.one_hot(xs_TBD, model.vocabulary)
    taps = taps_of(model.parts, params, steps, lanes)

    def read(xs_TBD, taps):
        context = Context(reset_TB=reset_TB, taps=taps)
        return model.stack.apply(params["layers"], xs_TBD, carry, context)[1]

    def loss(hs_TBH):
        nats_TB = token_nats(model.logits(params, hs_TBH), batch.targets)
        return jnp.sum(nats_TB * batch.mask)

    # ℓ_t depends on hs at t alone, so this holds the ∂ℓ_t/∂hs_t of all t.
    hs_TBH, pull = jax.vjp(read, xs_TBD, taps)
    δ_TBH = jax.grad(loss)(hs_TBH)

    def norms(t: Array) -> Reach:
        at_T11 = (jnp.arange(steps) == t)[:, None, None]
        x_TBD, states = pull(jnp.where(at_T11, δ_TBH, 0))
        hidden = {p.name: hidden_gradient(p.cell, states[p.name]) for p in model.parts}
        return jax.tree.map(_norm, Reach(x_TBD, hidden))

    count = sum(leaf.size for leaf in jax.tree.leaves((xs_TBD, taps)))
    chunk = chunk or max(1, min(32, steps, NUMBERS // count))
    turns = -(-steps // chunk)
    chunk = -(-steps // turns)
    asked = jnp.arange(turns * chunk).reshape(turns, chunk) % steps
    found = lax.map(jax.vmap(norms), asked)
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[:steps], found)


def _norm(x: Array) -> Array:
    return jnp.linalg.norm(x, axis=-1)

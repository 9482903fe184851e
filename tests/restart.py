"""∂L/∂state_t of every cell against starting again at state_t."""

import jax
import jax.numpy as jnp
import numpy as np

from lm.config import ModelConfig
from lm.gradflow.through_time import field_norms, state_gradients
from lm.losses import token_nats
from lm.models.language_model import build
from lm.recording import record
from lm.types import Batch, Context
from lm.unroll import scanned
from tests.zoo import ZOO, close

T, B, V, H = 4, 2, 7, 3
RNG = np.random.default_rng(0)
IDS, TARGETS = jnp.asarray(RNG.integers(0, V, (2, T, B)), jnp.int32)
WEIGHTS = jnp.asarray(RNG.normal(size=(T, B)), jnp.float32)
BATCH = Batch(IDS, TARGETS, WEIGHTS, jnp.zeros(B, bool))


def restarted(model, params, layers, number, t):
    """The gradient, with respect to the state of layer `number` after step t, of the
    weighted nats of step t and all later ones.

    The layers above take step t again from what they held before it; the steps up to
    t are masked in the run that follows.
    """

    def rest(own):
        states = [jax.tree.map(lambda s: s[t], layer.after) for layer in layers]
        states[number], h = own, model.parts[number].cell.output(own)
        for above in range(number + 1, len(layers)):
            cell, weights = model.parts[above].cell, params["layers"][above]
            old = jax.tree.map(lambda s: s[t], layers[above].before)
            states[above] = cell.step(weights, old, cell.project(weights, h))
            h = cell.output(states[above])
        now = WEIGHTS[t] * token_nats(model.logits(params, h), TARGETS[t])
        later_TB = jnp.broadcast_to(jnp.arange(T)[:, None] > t, (T, B))
        later = Context(mask_TB=later_TB, driver=scanned)
        _, hs = model.apply(params, IDS, tuple(states), later)
        nats = token_nats(model.logits(params, hs), TARGETS)
        return jnp.sum(now) + jnp.sum(jnp.where(later_TB, WEIGHTS * nats, 0))

    return jax.grad(rest)(jax.tree.map(lambda s: s[t], layers[number].after))


def check(name: str, depth: int):
    """Gradients of every layer at every step are those of a restart there, to 1e-5."""
    model = build(ModelConfig(name, layers=depth, hidden=H, embedding=3), V)

    @jax.jit
    def both():
        params = jax.tree.map(lambda p: 1.5 * p, model.init(jax.random.key(1)))
        state = jax.tree.map(lambda s: s + 0.5, model.initial_state(params, B))
        got = state_gradients(model.problem, params, state, BATCH)
        layers = list(record(model.apply, params, IDS, state).values())

        def at(t):
            numbers = range(depth)
            return {f"{n}": restarted(model, params, layers, n, t) for n in numbers}

        return got, jax.vmap(at)(jnp.arange(T))

    got, want = both()
    close(got, want, rtol=1e-5, atol=1e-5)
    assert max(float(abs(leaf).max()) for leaf in jax.tree.leaves(want)) > 1e-2
    norms = field_norms(got["0"])
    assert len(got) == depth and tuple(norms) == ZOO[name].fields
    close(norms["h"], np.linalg.norm(want["0"].h, axis=-1), atol=1e-5)

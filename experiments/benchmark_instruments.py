"""Seconds of every instrument of `lm.gradflow` at H = 256, T = 100, B = 32.

A one-layer LSTM over 10,000 words with an embedding of 256, and beside the instruments
one training step's gradient, as a yardstick. What is quadratic or cubic in the size of
the state (512 here) gets fewer lanes, steps or directions, as its name says.
"""

from typing import Any

HIDDEN, STEPS, LANES, WORDS = 256, 100, 32, 10_000


def instruments() -> dict[str, Any]:
    """{instrument: {"median", "minimum"}} in seconds, compiled, taking turns."""
    import jax
    import numpy as np

    from experiments.timing import interleaved

    sides = {name: jax.jit(call) for name, call in calls().items()}

    def blocking(call):
        return lambda: jax.block_until_ready(call())

    blocked = {name: blocking(call) for name, call in sides.items()}
    seconds = interleaved(blocked, rounds=5, warm=1)
    found = {
        name: {"median": round(float(np.median(s)), 4), "minimum": round(s.min(), 4)}
        for name, s in seconds.items()
    }
    return {"hidden": HIDDEN, "steps": STEPS, "lanes": LANES, "seconds": found}


def calls() -> dict[str, Any]:
    """{name: a function of no arguments}."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from lm.config import ModelConfig, OptimConfig
    from lm.gradflow import gates, jacobians, lyapunov, norms, terms, through_time
    from lm.gradflow.transitions import of_model
    from lm.model import build
    from lm.train import make_gradient
    from lm.types import Batch

    model = build(ModelConfig("lstm", hidden=HIDDEN, embedding=HIDDEN), WORDS)
    params = model.init(jax.random.key(0))
    state = model.initial_state(params, LANES)
    shape = (STEPS + 1, LANES)
    ids = jnp.asarray(np.random.default_rng(0).integers(0, WORDS, shape), jnp.int32)
    inputs, targets, mask = ids[:-1], ids[1:], jnp.ones((STEPS, LANES))
    batch = Batch(inputs, targets, mask, jnp.ones(LANES, bool))
    given = (model, params, inputs, targets)
    window = (model, params, inputs, state)
    step = of_model(model, params)
    gradient = make_gradient(model, OptimConfig())
    norms_LKB = jax.jit(through_time.lag_norms, static_argnums=0)(*given, state)
    four, one = (jax.tree.map(lambda s, n=n: s[:n], state) for n in (4, 1))

    def of_lane(lane):
        ids, targets, mask = (x[:, None] for x in lane)
        alone = Batch(ids, targets, mask, jnp.ones(1, bool))
        start = model.initial_state(params, 1)
        return gradient(params, start, alone, None, None)[0]

    def singular_values():
        found = jacobians.step_jacobians(step, four, inputs[:10, :4])
        return jacobians.singular_values(found)

    def products():
        found = jacobians.step_jacobians(step, one, inputs[:20, :1])
        return jacobians.product_singular_values(found[:, 0])

    lanes = tuple(x.T for x in (inputs, targets, mask))
    layer, cell = params["layers"][0], model.cells[0]
    key = jax.random.key(1)
    return {
        "gradient of a training step": lambda: gradient(
            params, state, batch, None, None
        )[0],
        "norms through time": lambda: through_time.norms_through_time(
            *given, mask, state
        ),
        "lag profile": lambda: through_time.lag_profile(*given, state),
        "bootstrap, 1000 resamples": lambda: through_time.bootstrap(key, norms_LKB),
        "BPTT's terms": lambda: terms.bptt_terms(*given, state),
        "truncation bias, 6 of tau up to 32": lambda: terms.truncation_bias(
            model, params, batch, state, [1, 2, 4, 8, 16, 32]
        ),
        "singular values, 10 steps of 4 lanes": singular_values,
        "product's singular values, 20 steps": products,
        "spectral radius and norm": lambda: (
            jacobians.spectral_radius(layer, cell),
            jacobians.spectral_norm(layer, cell),
        ),
        "Lyapunov, 10 exponents, 4 lanes": lambda: lyapunov.lyapunov_spectrum(
            step, four, inputs[:, :4], 20, 10
        ),
        "gates": lambda: gates.gate_statistics(*window),
        "state norms": lambda: gates.state_statistics(*window),
        "gradient noise scale": lambda: norms.noise_scale_of(of_lane, lanes, LANES),
    }

"""Seconds of every instrument of `lm.gradflow` at H = 256, T = 100, B = 32.

A one-layer LSTM over 10,000 words with an embedding of 256, and beside the instruments
one training step's gradient, as a yardstick. What is quadratic or cubic in the size of
the state (512 here) gets fewer lanes, steps or directions, as its name says.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmark import Benchmark
from experiments.benchmark.common import batch_of
from experiments.results.markdown import markdown
from experiments.results.rows import Row
from experiments.results.timing import interleaved
from lm.config import ModelConfig, OptimConfig
from lm.gradflow import gates, jacobians, norms, terms, through_time
from lm.gradflow.lyapunov import lyapunov_spectrum
from lm.gradflow.transitions import of_layer
from lm.models.language_model import build
from lm.train import make_gradient

HIDDEN, STEPS, LANES, WORDS = 256, 100, 32, 10_000


def measure() -> dict[str, Any]:
    """{instrument: {"median", "minimum"}} in seconds, compiled, taking turns."""
    model = build(ModelConfig("lstm", hidden=HIDDEN, embedding=HIDDEN), WORDS)
    params = model.init(jax.random.key(0))
    shape = (STEPS + 1, LANES)
    ids = jax.random.randint(jax.random.key(1), shape, 0, WORDS)

    def blocking(call):
        compiled = jax.jit(call)
        return lambda: jax.block_until_ready(compiled(params, ids))

    sides = calls(model)
    sides |= {"a training step's gradient": training_gradient(model)}
    seconds = interleaved({n: blocking(c) for n, c in sides.items()}, rounds=5, warm=1)
    found = {
        name: {
            "median": round(float(np.median(s)), 4),
            "minimum": round(float(s.min()), 4),
        }
        for name, s in seconds.items()
    }
    return {"hidden": HIDDEN, "steps": STEPS, "lanes": LANES, "seconds": found}


def training_gradient(model):
    """(params, ids) -> the gradient that a training step takes."""
    gradient = make_gradient(model.problem, OptimConfig())

    def call(params, ids):
        start = model.initial_state(params, ids.shape[1])
        return gradient(params, start, batch_of(ids), None, None)[0]

    return call


def given(model, params, ids):
    """What instruments of a problem take: the windows of `batch_of`."""
    return model.problem, params, model.initial_state(params, LANES), batch_of(ids)


Calls = dict[str, Callable[[Any, Any], Any]]


def calls(model) -> Calls:
    """{name: (params, ids) -> what the instrument finds}."""
    return along_calls(model) | system_calls(model) | gate_calls(model)


def along_calls(model) -> Calls:
    """Those of gradients along the window."""

    def steps(params, ids):
        start = model.initial_state(params, LANES)
        return model.layer, params, ids[:-1], ids[1:], start

    def norms(params, ids):
        return through_time.norms_through_time(*given(model, params, ids))

    def intervals(params, ids):
        norms_LKB = ids[None, :-1].astype(jnp.float32)
        return through_time.bootstrap(jax.random.key(ids[0, 0]), norms_LKB)

    def truncation(params, ids):
        start, τs = model.initial_state(params, LANES), [1, 2, 4, 8, 16, 32]
        return terms.truncation_bias(model.layer, params, batch_of(ids), start, τs)

    return {
        "norms through time": norms,
        "lag profile": lambda p, ids: through_time.lag_profile(*given(model, p, ids)),
        "its intervals, 1000 resamples": intervals,
        "terms of BPTT": lambda p, ids: terms.bptt_terms(*steps(p, ids)),
        "truncation bias at 6 τ, up to 32": truncation,
    }


def system_calls(model) -> Calls:
    """Those of the recurrence as a dynamical system."""

    def jacobian(params, ids, steps, lanes):
        start = model.initial_state(params, lanes)
        ids = ids[:steps, :lanes]
        return jacobians.step_jacobians(of_layer(model.layer, params), start, ids)

    def singular_values(params, ids):
        return jacobians.singular_values(jacobian(params, ids, 10, 4))

    def products(params, ids):
        found = jacobian(params, ids, 20, 1)
        return jacobians.product_singular_values(found[:, 0])

    def recurrent(params, ids):
        layer, cell = params["layers"][0], model.parts[0].cell
        radii = jacobians.spectral_radius(layer, cell)
        return radii, jacobians.spectral_norm(layer, cell)

    def exponents(params, ids):
        start = model.initial_state(params, 4)
        return lyapunov_spectrum(
            of_layer(model.layer, params), start, ids[:, :4], 20, 10
        )

    return {
        "singular values, 10 steps of 4 lanes": singular_values,
        "those of a product of 20 steps": products,
        "spectral radius and norm": recurrent,
        "Lyapunov, 10 exponents of 4 lanes": exponents,
    }


def gate_calls(model) -> Calls:
    """Those of gates, states and the gradient's noise."""
    gradient = training_gradient(model)

    def noise(params, ids):
        def of_lane(words):
            return gradient(params, words[:, None])

        return norms.noise_scale_of(of_lane, ids.T, LANES)

    return {
        "gates": lambda p, ids: gates.gate_statistics(*given(model, p, ids)),
        "state norms": lambda p, ids: gates.state_statistics(*given(model, p, ids)),
        "gradient noise scale": noise,
    }


def table(rows: Sequence[Row]) -> str:
    """Seconds of each instrument."""
    found = rows[0]["metrics"]["seconds"]
    lines = [(name, f"{seconds['median']:.2f}") for name, seconds in found.items()]
    return markdown(("instrument", "seconds"), lines)


BENCHMARK = Benchmark(measure, table)

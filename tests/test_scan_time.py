"""The time of a long scan grows as its length, not as its square.

jaxlib 0.11.1 copies small stacked outputs of a scan at every step (jax issue 40101):
a sequence four times as long then takes sixteen times as long.
"""

import time

import jax
import jax.numpy as jnp
import pytest

from lm.cells import make_cell
from lm.unroll import unroll

SHORT, LONG = 15_000, 60_000


def seconds(f, *args) -> float:
    """The fastest of several runs: what the machine does when nothing disturbs it."""
    jax.block_until_ready(f(*args))
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        jax.block_until_ready(f(*args))
        best = min(best, time.perf_counter() - start)
    return best


@pytest.mark.slow
@pytest.mark.parametrize("gradient", [False, True], ids=["values", "gradients"])
def test_a_long_scan_of_scalars_is_linear(gradient):
    cell = make_cell("tanh", 1)
    params = cell.init(jax.random.key(0), 1)

    def total(params, xs):
        state = cell.initial_state(params, 1)
        return jnp.sum(unroll(cell, params, xs, state)[1])

    f = jax.jit(jax.grad(total) if gradient else total)
    short, long = (seconds(f, params, jnp.ones((T, 1, 1))) for T in (SHORT, LONG))
    # Linear: 4, quadratic: 16. A few ms are forgiven to whatever else runs.
    assert long < 9 * short + 0.005, f"{SHORT} steps {short:.4f} s, {LONG} {long:.4f} s"

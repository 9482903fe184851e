"""How far back does the gradient of a cell of one's own reach?"""

import jax
import jax.numpy as jnp

from lm.adapters import cell_of
from lm.config import ModelConfig
from lm.gradflow.through_time import bootstrap, lag_norms, profile_of, stacked
from lm.models.language_model import build
from lm.types import Batch

H, V, STEPS, LANES = 64, 100, 60, 16
LEAK = 0.1


def init(key, d_in):
    key_x, key_h = jax.random.split(key)
    w_x = jax.random.normal(key_x, (d_in, H)) / d_in**0.5
    return {"w_x": w_x, "w_h": jax.random.orthogonal(key_h, H)}


def step(params, h, x):
    new = jnp.tanh(x @ params["w_x"] + h @ params["w_h"])
    return (1 - LEAK) * h + LEAK * new


cell = cell_of(step, init=init, d_hidden=H, name="leaky")
model = build(ModelConfig(hidden=H, embedding=32), V, cell)
params = model.init(jax.random.key(0))
words = jax.random.randint(jax.random.key(1), (STEPS + 1, LANES), 0, V)
start = model.initial_state(params, LANES)
ones = jnp.ones((STEPS, LANES))
batch = Batch(words[:-1], words[1:], ones, jnp.ones(LANES, bool))

measure = jax.jit(lag_norms, static_argnums=0)
norms_LKB = stacked(measure(model.problem, params, start, batch))
profile, intervals = profile_of(norms_LKB), bootstrap(jax.random.key(2), norms_LKB)
low, high = intervals.low.half_life_L[0], intervals.high.half_life_L[0]
print(f"half-life {profile.half_life_L[0]} steps, 95 % in [{low:.0f}, {high:.0f}]")

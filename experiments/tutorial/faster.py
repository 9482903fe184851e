# %% [markdown]
# # 2. Faster
#
# The same network with 1,000 hidden units on 5,000 points, and one gradient step of
# it: in NumPy, in JAX operation by operation, compiled by `jax.jit`, in float32, and
# on a GPU where there is one. This retells "Speeding up your neural network with
# Theano and the GPU" (Britz 2015), whose step took 250 ms on a CPU, 7.5 ms on a GPU.

# %%
"""Chapter 2: one gradient step in NumPy, JAX, compiled JAX, float32, on a GPU."""

import re
import time

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.datasets import make_moons

from experiments.figures.tutorial import curves
from experiments.results.timing import interleaved
from experiments.tutorial.shown import Claims, Grid, elsewhere, show

claims = Claims()

# %% tags=["parameters"]
SMALL = False  # True: sizes for a quick look

# %%
POINTS, UNITS, ROUNDS = (500, 50, 3) if SMALL else (5_000, 1_000, 15)
MANY = 3 if SMALL else 100
WIDTHS = (2, 64) if SMALL else (2, 8, 32, 128, 512, 1_024, 2_048)
STEPS = 1_000 if SMALL else 20_000

# %% [markdown]
# ## The step in NumPy
#
# $$W \leftarrow W - \eta\, \frac{\partial NL}{\partial W}$$
#
# with the gradients of chapter 1. `np` is an argument, so that the very same lines run
# in NumPy and in JAX.


# %%
def step(params, X, y, np=jnp, η=0.01, λ=0.01):
    """Parameters after one step of gradient descent; y one-hot, (N, 2)."""
    W1, b1, W2, b2 = params
    a1 = np.tanh(X @ W1 + b1)
    z2 = a1 @ W2 + b2
    ŷ = np.exp(z2 - z2.max(axis=1, keepdims=True))
    ŷ = ŷ / ŷ.sum(axis=1, keepdims=True)
    δ3 = ŷ - y
    δ2 = (1 - a1**2) * (δ3 @ W2.T)
    dW1, db1 = X.T @ δ2 + λ * W1, δ2.sum(axis=0, keepdims=True)
    dW2, db2 = a1.T @ δ3 + λ * W2, δ3.sum(axis=0, keepdims=True)
    return W1 - η * dW1, b1 - η * db1, W2 - η * dW2, b2 - η * db2


def draw(hidden, kind):
    """W1, b1, W2, b2 in a kind of floating-point numbers."""
    np.random.seed(0)
    W1, W2 = np.random.randn(2, hidden) / 2**0.5, np.random.randn(hidden, 2)
    arrays = (W1, np.zeros((1, hidden)), W2 / hidden**0.5, np.zeros((1, 2)))
    return tuple(array.astype(kind) for array in arrays)


# %%
np.random.seed(0)
X, labels = map(np.asarray, make_moons(POINTS, noise=0.20))
y = np.eye(2)[labels]
params = draw(UNITS, np.float64)


def many_steps(params, X, y):
    """MANY steps, one after another in one program."""
    return jax.lax.fori_loop(0, MANY, lambda _, p: step(p, X, y), params)


def on(device, kind, run=step, compiled=True, units=UNITS):
    """A call of the step on a device; its arrays were put there once, before."""
    with jax.enable_x64(kind is np.float64):
        given = (draw(units, kind), X.astype(kind), y.astype(kind))
        given = jax.device_put(given, device)
    run = jax.jit(run) if compiled else run

    def call():
        with jax.enable_x64(kind is np.float64):
            return jax.block_until_ready(run(*given))

    return call


# %% [markdown]
# ## The ways to run it
#
# JAX returns before its work is done; `block_until_ready` waits, and without it a clock
# measures nothing but the queue. The ways take turns, so that a slow moment of the
# machine hits them all; the table has medians. On a GPU the call itself takes longer
# than the work, which is why many steps in one program are timed there too.

# %%
cpu = jax.devices("cpu")[0]
given32 = (draw(UNITS, np.float32), X.astype(np.float32), y.astype(np.float32))
sides = {
    "NumPy, float64": lambda: step(params, X, y, np=np),
    "NumPy, float32": lambda: step(*given32, np=np),
    "JAX, operation by operation, float64": on(cpu, np.float64, compiled=False),
    "JAX, jit, float64": on(cpu, np.float64),
    "JAX, jit, float32": on(cpu, np.float32),
}
gpus = [device for device in jax.devices() if device.platform == "gpu"]
for gpu in gpus[:1]:
    sides["JAX, jit, float64, GPU"] = on(gpu, np.float64)
    sides["JAX, jit, float32, GPU"] = on(gpu, np.float32)
    sides[f"the same, {MANY} steps in a call"] = on(gpu, np.float32, many_steps)

# %%
by_numpy = sides["NumPy, float64"]()
for name in [name for name in sides if name.startswith("JAX, jit")]:
    ends = zip(by_numpy, jax.device_get(sides[name]()), strict=True)
    apart = max(abs(a - b).max() for a, b in ends)
    print(f"{name}: at most {apart:.0g} from NumPy's")
ms = {name: 1e3 * np.median(s) for name, s in interleaved(sides, ROUNDS).items()}
ms |= {name: t / MANY for name, t in ms.items() if name.endswith("in a call")}
slowest = ms["NumPy, float64"]
rows = [(name, f"{t:.1f}", f"{slowest / t:.1f}") for name, t in ms.items()]
show(Grid(("", "ms a step", "times as fast"), rows))

# %% tags=["claim"]
half, gpu = ms["JAX, jit, float32"], ms.get("JAX, jit, float32, GPU")
found = "this machine has none" + elsewhere(2, "the same on a GPU")
if gpu:
    many = ms[f"the same, {MANY} steps in a call"]
    found = (
        f"{gpu:.2f} ms, {slowest / gpu:.0f} times as fast as NumPy; {many:.3f} ms "
        f"where {MANY} steps are one call"
    )
told = (
    f"NumPy {slowest:.0f} ms, in float32 {ms['NumPy, float32']:.0f}; compiled "
    f"{ms['JAX, jit, float64']:.0f} ms, in float32 {half:.0f}"
)
claims.add(f"a step on a CPU, {POINTS:,} points, {UNITS:,} units", "250 ms", told)
claims.add(
    "the same on a GPU",
    "7.5 ms: 33 times as fast",
    found,
    gpu < half if gpu else None,
)
claims.add(
    "half the digits are faster",
    "a GPU needs float32",
    f"on this CPU {ms['JAX, jit, float64'] / half:.1f} times as fast as float64",
    half < ms["JAX, jit, float64"],
)

# %% [markdown]
# ## What jit removes
#
# Operation by operation, each `+`, `*` and `tanh` reads arrays of $N \times h$ numbers
# from memory and writes another one. The compiler fuses neighbours into one loop that
# reads and writes once. Counting says what that saves: the operations that we wrote,
# the kernels that the compiler made of them, and the bytes that each way moves, if an
# operation moves what it reads and writes,
#
# $$\text{bytes} = \sum_{\text{operations}} \Big( \sum_{\text{inputs}} +
# \sum_{\text{outputs}} \Big)\ \text{numbers} \times 4.$$

# %%
there32 = jax.device_put(given32, cpu)
compiled = jax.jit(step).lower(*there32).compile()
written = jax.make_jaxpr(step)(*given32).jaxpr.eqns
touched = [v.aval for one in written for v in (*one.invars, *one.outvars)]
megabytes = sum(getattr(aval, "size", 1) * 4 for aval in touched) / 1e6
costs: dict[str, float] = compiled.cost_analysis()  # type: ignore[assignment]
entry = compiled.as_text().partition("ENTRY")[2].splitlines()  # type: ignore[union-attr]
kernels = [k for k in entry if re.search(r" (fusion|dot|custom-call|call)\(", k)]
rows = [
    ("operations written, kernels made", len(written), len(kernels)),
    ("megabytes moved", f"{megabytes:.0f}", f"{costs['bytes accessed'] / 1e6:.0f}"),
]
show(Grid(("", "one by one", "compiled"), rows))

# %% tags=["claim"]
claims.add(
    "why compiled code is faster",
    "not shown",
    f"{len(written)} operations became {len(kernels)} kernels, {megabytes:.0f} MB "
    f"moved became {costs['bytes accessed'] / 1e6:.0f}",
    len(kernels) < len(written),
)

# %% [markdown]
# ## Where it does not help
#
# **One large product.** A matrix product is one operation already, and NumPy hands it
# to a library that is as good as the compiler's.
#
# **A function that is called once.** Compiling takes longer than running:
#
# $$\text{worth while after} \quad n > \frac{t_{\text{compile}}}{t_{\text{one by one}}
# - t_{\text{compiled}}} \quad \text{calls.}$$

# %%
square = np.random.RandomState(0).randn(UNITS, UNITS).astype(np.float32)
there = jax.device_put(square, cpu)
product = jax.jit(lambda a: a @ a)
pair = {
    "NumPy": lambda: square @ square,
    "JAX, jit": lambda: jax.block_until_ready(product(there)),
}
products = {name: 1e3 * np.median(s) for name, s in interleaved(pair, ROUNDS).items()}
told = ", ".join(f"{name} {t:.1f} ms" for name, t in products.items())
print(f"one product of {UNITS}×{UNITS}: {told}")
lowered = jax.jit(lambda *given: step(*given, η=0.011)).lower(*there32)
began = time.perf_counter()
lowered.compile()
compiling = 1e3 * (time.perf_counter() - began)
saved = ms["JAX, operation by operation, float64"] - ms["JAX, jit, float64"]
print(f"compiling: {compiling:.0f} ms, as much as {compiling / saved:.1f} calls save")

# %% [markdown]
# **Very small arrays.** A call of a compiled function costs some microseconds whatever
# it does. The curve shows how many times as fast as NumPy the compiled step is, both
# in float32, at widths from the two moons' own to twice the original's.

# %%
gains = {}
for units in WIDTHS:
    few = (draw(units, np.float32), *given32[1:])
    both = {
        "numpy": lambda few=few: step(*few, np=np),
        "jit": on(cpu, np.float32, units=units),
    }
    found = interleaved(both, ROUNDS)
    gains[units] = float(np.median(found["numpy"] / found["jit"]))
reading = f"{POINTS:,} points, two cores at most; above 1 the compiled step is faster."
lines = {"NumPy's time over the compiled step's": (list(gains), list(gains.values()))}
axes = ("hidden units", "times as fast as NumPy")
show(curves(lines, reading, *axes, log="x", limit=(1.0, "as fast as NumPy")))

# %% tags=["claim"]
claims.add(
    "compiled is faster at every size",
    "one size shown",
    ", ".join(f"{gain:.1f} times at {units}" for units, gain in gains.items()),
    min(gains.values()) > 1,
)

# %% [markdown]
# ## Exercise 1: many small steps
#
# Chapter 1 took twenty thousand steps of a network with three hidden units. Take them
# in NumPy, in one call of compiled code each, and all in **one** call
# (`jax.lax.fori_loop`). Which is fastest, and why?

# %% tags=["solution"]
network = jax.device_put(draw(3, np.float32), cpu)
points = (there32[1][:200], there32[2][:200])
one = jax.jit(step)
whole = jax.jit(lambda p: jax.lax.fori_loop(0, STEPS, lambda _, p: step(p, *points), p))


def timed(call):
    """Seconds of a call, after one that compiles."""
    jax.block_until_ready(call())
    began = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - began


# %% tags=["solution"]
def one_by_one(run):
    """All steps, each a call."""
    params = network if run is one else jax.device_get(network)
    data = points if run is one else jax.device_get(points)
    for _ in range(STEPS):
        params = run(params, *data)
    return params


ways = {
    "NumPy": lambda: one_by_one(lambda *given: step(*given, np=np)),
    "a compiled call a step": lambda: one_by_one(one),
    "one compiled call": lambda: whole(network),
}
rows = [(name, f"{1e6 * timed(call) / STEPS:.0f}") for name, call in ways.items()]
show(Grid((f"{STEPS:,} steps", "µs a step"), rows))

# %% [markdown] tags=["solution"]
# The work of such a step is a few microseconds; most of the time goes into calling. One
# call for all steps leaves only the work. `--train.fused` does this in the training
# loop of this project.

# %% [markdown]
# ## Exercise 2: new shapes
#
# A compiled function is compiled once more for every new shape. How many programs do
# batches of 1 to 32 points make, and how does padding help?

# %% tags=["solution"]
by_shape, padded = jax.jit(jnp.tanh), jax.jit(lambda a: jnp.tanh(a))
SIZES = 8 if SMALL else 32
for size in range(1, SIZES + 1):
    by_shape(jnp.ones(size))
    padded(jnp.ones(1 << (size - 1).bit_length()))
counts = by_shape._cache_size(), padded._cache_size()  # type: ignore[attr-defined]
print(f"{counts[0]} programs; {counts[1]} where sizes are rounded up to powers of two")

# %% [markdown] tags=["solution"]
# Rounded up, 32 sizes become 6. What is padded must not count: a mask says so, which is
# why batches of sentences carry one here (`lm.types.Batch`).

# %% [markdown]
# ## Exercise 3: memory of the old weights
#
# Each step makes new weights and throws the old away. `donate_argnums` lets the
# compiler write the new ones over the old. Show that the old array is gone.

# %% tags=["solution"]
donating = jax.jit(step, donate_argnums=0)
old = jax.device_put(draw(UNITS, np.float32), cpu)
new = donating(old, *there32[1:])
print("old weights deleted:", old[0].is_deleted(), "– new ones there:", new[0].shape)

# %% [markdown]
# ## What the original says, what we measured

# %% tags=["claim"]
show(claims.table())

# %% [markdown]
# # 5. Backpropagation through time and vanishing gradients
#
# The gradient of a recurrent network is a sum over how far back it looks, and its far
# terms are products of many matrices. This retells Part 3 (Britz 2015), which argues
# that they vanish and measures nothing. Here every step of the argument is measured,
# with the instruments of `lm.gradflow`.

# %%
"""Chapter 5: BPTT term by term, Jacobians, vanishing and exploding gradients."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from data_pipeline.dataset import prepare
from data_pipeline.windows import Windows, windows
from experiments.applications.language_model.application import batch_of
from experiments.config import Config
from experiments.figures import lag_profiles
from experiments.figures.tutorial import curves
from experiments.gradients.common import characters, lag_measure
from experiments.tutorial.shown import Claims, Grid, show
from lm.config import InitConfig, ModelConfig, OptimConfig
from lm.gradflow import jacobians, lyapunov, terms, transitions
from lm.gradflow.through_time import profile_of
from lm.models.language_model import build
from lm.train import init_state, make_train_step, numbers_of

# %% tags=["parameters"]
SMALL = False  # True: sizes for a quick look

# %%
claims = Claims()
H, LANES, LAGS, STEPS = (6, 3, 8, 4) if SMALL else (64, 20, 40, 600)
REMEDIES = ("tanh", "gru") if SMALL else ("tanh", "orthogonal", "irnn", "gru", "lstm")

# %% [markdown]
# ## A network and a text
#
# A language model of characters with a tanh layer, on the documentation of Python's
# standard library. `measured` is a batch of windows of text that was not trained on,
# one window a lane.

# %%
data = characters(LANES, LAGS)
dataset = prepare(
    replace(data, corpus="grammar", grammar_sentences=50) if SMALL else data
)
C, train_ids = dataset.vocabulary.size, dataset.splits["train"].ids
text = windows(dataset.splits["valid"].ids, LAGS + 1, 8 if SMALL else 64)
measured = batch_of(text)


def network(cell="tanh", **init):
    """A language model of characters, its recurrent weights drawn as `init` says."""
    config = ModelConfig(cell=cell, hidden=H, embedding=0, init=InitConfig(**init))
    return build(config, C)


def zero(model, params):
    """The state before the first character, in every lane."""
    return model.initial_state(params, len(measured.fresh))


plain = network()
untrained = plain.init(jax.random.key(0))

# %% [markdown]
# ## The sum over k
#
# $$\frac{\partial \ell_t}{\partial W} = \sum_{k=0}^{t}
# \frac{\partial \ell_t}{\partial s_t}
# \left( \prod_{j=k+1}^{t} \frac{\partial s_j}{\partial s_{j-1}} \right)
# \frac{\partial^+ s_k}{\partial W}$$
#
# `all_terms` gives every term by its lag $t - k$; their sum must be the gradient.

# %%
layer, start = plain.layer, zero(plain, untrained)
inputs, targets = text
find_terms = jax.jit(terms.all_terms, static_argnums=0)
each = find_terms(layer, untrained, inputs, targets, start)


def last_loss(params):
    """Mean nats of the last character."""
    logits = layer.apply(params, inputs, start)[1][-1]
    return -jax.nn.log_softmax(logits)[jnp.arange(len(logits)), targets[-1]].mean()


whole_W = jax.grad(last_loss)(untrained)["layers"][0]["w_h"]
terms_W = each["layers"][0]["w_h"]
apart = float(jnp.linalg.norm(terms_W.sum(0) - whole_W) / jnp.linalg.norm(whole_W))
sizes = np.linalg.norm(np.asarray(terms_W).reshape(len(terms_W), -1), axis=1)
sizes = sizes[:-1]  # before the first character the state is 0, and so is its term
reading = "Norm of the term of ∂ℓ/∂W that k steps back contribute, untrained."
line = {"terms": (range(1, len(sizes)), sizes[1:])}
show(curves(line, reading, "lag t − k", "norm", log="y"))
print(f"sum of the terms and gradient are {apart:.0g} apart, relatively")

# %% tags=["claim"]
claims.add(
    "∂ℓ/∂W is a sum over k",
    "derived",
    f"sum of all terms {apart:.0g} from the gradient",
    apart < 1e-4,
)
claims.add(
    "far terms become zero",
    "shown for a product of matrices",
    f"at lag {len(sizes) - 1} {sizes[-1] / sizes[1]:.0g} of that at lag 1",
    sizes[-1] < 0.1 * sizes[1],
)

# %% [markdown]
# ## One step's Jacobian
#
# $$\begin{align*} \frac{\partial s_j}{\partial s_{j-1}} &=
# \operatorname{diag}(1 - s_j^2)\, W \\
# \left\lVert \frac{\partial s_j}{\partial s_{j-1}} \right\rVert &\le
# \max_i (1 - s_{j,i}^2) \cdot \lVert W \rVert \end{align*}$$
#
# The original says that this norm is at most 1 for tanh and at most 1/4 for the
# logistic function. That is true of the slope, the first factor. $W$ is in it too, and
# with it the norm can be anything. Measured at three scales of $W$:

# %%
rows, found = [], {}
for gain in (1.0, 2.0, 4.0):
    model = network(gain=gain)
    params = model.init(jax.random.key(0))
    cell, inner = model.parts[0].cell, params["layers"][0]
    step = transitions.of_cell(cell, inner)
    begin = cell.initial_state(inner, 1)
    J_TNN = jacobians.step_jacobians(step, begin, jnp.asarray(inputs[:, :1]))[:, 0]
    states = transitions.trajectory(step, begin, jnp.asarray(inputs[:, :1])).h
    slope = float((1 - states[1:] ** 2).max())
    largest = float(jacobians.singular_values(J_TNN)[:, 0].max())
    norm_W = float(jacobians.spectral_norm(inner, cell)[0])
    found[gain] = slope, norm_W, largest
    rows.append((gain, *(f"{number:.2f}" for number in found[gain])))
show(Grid(("gain of W", "largest slope", "‖W‖", "largest ‖∂s_j/∂s_j−1‖"), rows))

# %% tags=["claim"]
claims.add(
    "the slope of tanh is at most 1",
    "≤ 1",
    f"{max(slope for slope, _, _ in found.values()):.2f} at most",
    max(slope for slope, _, _ in found.values()) <= 1,
)
claims.add(
    "so the Jacobian's norm is at most 1",
    "≤ 1",
    ", ".join(f"{f[2]:.2f} where ‖W‖ = {f[1]:.2f}" for f in found.values()),
    max(f[2] for f in found.values()) <= 1,
)

# %% [markdown]
# ## Before, during and after training
#
# The lag profile is what matters: the norm of $\partial \ell_t / \partial s_{t-k}$
# against $k$, relative to $k = 0$. Its horizon is the last lag with over 1 % left.


# %%
def windows_of(number):
    """A batch of random windows of the training text."""
    starts = np.random.default_rng(number).integers(0, len(train_ids) - LAGS - 1, LANES)
    ids_TB = train_ids[starts + np.arange(LAGS + 1)[:, None]].astype(np.int32)
    return batch_of(Windows(ids_TB[:-1], ids_TB[1:]))


def training(model, optim, steps=STEPS, seed=0):
    """Trains; gives (step, state, what the step measured) after each."""
    numbers = numbers_of(Config(model=model.config, optim=optim))
    key = jax.random.key(seed)
    state = init_state(model.problem, optim, numbers, key, LANES)
    step = jax.jit(make_train_step(model.problem, optim))
    for number in range(1, steps + 1):
        state, info = step(state, windows_of(number), key, numbers)
        yield number, state, info


# %%
def reach(model, params):
    """The lag profile: relative norms (K,), and the horizon.

    Of an LSTM the whole state, h and c, since it remembers in c.
    """
    norms_LKB = lag_measure(model, text, LAGS)(params)["lag_norms_LKB"]
    found = profile_of(jnp.asarray(norms_LKB))
    return np.asarray(found.normalised_LK[0]), int(found.horizon_L[0])


adam = OptimConfig(learning_rate=0.003, clip_at=1.0)
reached = {"before": reach(plain, untrained)}
for number, state, _ in training(plain, adam):
    trained = state.params
    if number in (STEPS // 10, STEPS):
        reached[f"after {number} steps"] = reach(plain, trained)
curves_of = {name: relative for name, (relative, _) in reached.items()}
show(lag_profiles(curves_of, "a tanh network"))
told = [f"{name} {horizon}" for name, (_, horizon) in reached.items()]
print("horizon in characters:", ", ".join(told))

# %% tags=["claim"]
claims.add(
    "plain RNNs do not learn long-range dependencies",
    "argued",
    f"horizon in characters: {', '.join(told)}",
    all(horizon < LAGS for _, horizon in reached.values()),
)

# %% [markdown]
# ## Exploding gradients, made and clipped
#
# With $W$ large and a large step size, the product grows instead, and one step throws
# the weights away. Clipping keeps the direction and bounds the length:
#
# $$g \leftarrow g \cdot \min\left(1, \frac{c}{\lVert g \rVert}\right)$$

# %%
wild, found = network(gain=3.0), {}
ways = {
    "without": OptimConfig("sgd", 1.0, clip="none"),
    "clipped at 1": OptimConfig("sgd", 1.0, clip="norm", clip_at=1.0),
}
for name, optim in ways.items():
    log = [info for _, _, info in training(wild, optim, steps=STEPS // 2)]
    nats = np.array([float(info.loss.mean()) for info in log])
    found[name] = nats, np.array([float(info.gradient_norm) for info in log])
lines = {name: (range(len(nats)), nats) for name, (nats, _) in found.items()}
reading = "Training loss with and without clipping; W starts three times as large."
show(curves(lines, reading, "step", "nats a character", log="y"))
rows = [
    (name, f"{norms.max():.3g}", f"{nats[-len(nats) // 5 :].mean():.3f}")
    for name, (nats, norms) in found.items()
]
show(Grid(("", "largest norm, not clipped yet", "loss of the last fifth"), rows))

# %% tags=["claim"]
ends = {name: nats[-len(nats) // 5 :].mean() for name, (nats, _) in found.items()}
claims.add(
    "clipping is a simple and effective answer to exploding gradients",
    "yes (Pascanu 2013)",
    " and ".join(f"{end:.2f} nats {name}" for name, end in ends.items()),
    not ends["without"] <= ends["clipped at 1"],
)

# %% [markdown]
# ## Truncation
#
# Backpropagating only $\tau$ steps leaves the far terms out. What it leaves out is the
# error of the gradient,
#
# $$\frac{\lVert g_\tau - g \rVert}{\lVert g \rVert}.$$

# %%
τs = (0, 1, 2, 4) if SMALL else (0, 1, 2, 4, 8, 16)
bias = jax.jit(terms.truncation_bias, static_argnums=(0, 4))
errors = {
    name: np.asarray(bias(layer, params, measured, start, τs).relative_error_τ)
    for name, params in (("untrained", untrained), ("trained", trained))
}
rows = [(name, *(f"{e:.1%}" for e in found)) for name, found in errors.items()]
show(Grid(("relative error", *(f"τ = {τ}" for τ in τs)), rows))

# %% tags=["claim"]
four = τs.index(4)
claims.add(
    "BPTT truncated at 4 steps",
    "is done, its error not known",
    f"loses {errors['untrained'][four]:.1%} of the gradient untrained, "
    f"{errors['trained'][four]:.1%} trained",
)

# %% [markdown]
# ## Initialisation
#
# How far an untrained network reaches is decided by where $W$ starts. Two ways to draw
# it, even in $\pm 1/\sqrt H$ and orthogonal, each times a gain $g$. The first has
# singular values from 0 to about $2g/\sqrt3$, the second has all at $g$:

# %%
GAINS = (0.5, 1.0) if SMALL else (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0)
look, starts = lag_measure(plain, text, LAGS), {}
for way, name in (("same", "even"), ("orthogonal", "orthogonal")):
    starts[name] = []
    for gain in GAINS:
        params = network(recurrent=way, gain=gain).init(jax.random.key(0))
        norms_LKB = jnp.asarray(look(params)["lag_norms_LKB"])
        starts[name].append(int(profile_of(norms_LKB).horizon_L[0]))
lines = {name: (GAINS, found) for name, found in starts.items()}
reading = f"Horizon of untrained tanh networks; lags are counted up to {LAGS}."
show(curves(lines, reading, "gain of W", "horizon, characters"))

# %% tags=["claim"]
ends = [
    f"{name} {found[0]} at g = {GAINS[0]}, {found[GAINS.index(1)]} at 1, {max(found)} "
    "at most"
    for name, found in starts.items()
]
claims.add(
    "a proper start of W reduces vanishing",
    "yes",
    f"untrained horizon: {'; '.join(ends)}",
    max(starts["orthogonal"]) > starts["even"][GAINS.index(1)],
)

# %% [markdown]
# ## The remedies
#
# The original names four: a better start of $W$, ReLU in place of tanh, and LSTM or
# GRU. Each is trained on the same text for as many steps; what it does to the horizon
# before and after, and to the loss. A far horizon and a low loss are two things:

# %%
rows, horizons = [], {}
for cell in REMEDIES:
    model = network(cell)
    before = reach(model, model.init(jax.random.key(0)))[1]
    steps = [
        (state.params, info.loss.mean()) for _, state, info in training(model, adam)
    ]
    horizons[cell] = before, reach(model, steps[-1][0])[1]
    last = np.mean([float(nats) for _, nats in steps[-len(steps) // 10 :]])
    rows.append((cell, *horizons[cell], f"{last:.3f}"))
show(Grid(("cell", "horizon before", "after", "training loss, nats"), rows))
print(f"horizons are counted up to {LAGS}; of the whole state")

# %% tags=["claim"]
for cell, name in (
    ("orthogonal", "an orthogonal start of W reaches further"),
    ("irnn", "ReLU (with W = I) reaches further than tanh"),
    ("lstm", "an LSTM reaches further"),
    ("gru", "a GRU reaches further"),
):
    if cell in horizons:
        (a, b), (c, d) = horizons["tanh"], horizons[cell]
        told = f"horizon {c} before, {d} after training; tanh {a}, {b}"
        claims.add(name, "yes", told, c > a and d > b)

# %% [markdown]
# ## Exercise 1: a network whose profile is known
#
# Without inputs and without tanh, $s_t = \rho\, s_{t-1}$, the gradient $k$ steps back
# is $\rho^k$. Show that a product of Jacobians says so, in logarithms.

# %% tags=["solution"]
ρ, steps = 0.9, 200
J_TNN = jnp.tile(ρ * jnp.eye(4), (steps, 1, 1))
logs = jacobians.product_singular_values(J_TNN)
print(f"ln of all singular values: {logs.min():.3f} … {logs.max():.3f}")
print(f"k ln ρ = {steps * np.log(ρ):.3f}; ρ^k itself is {ρ**steps:.1e}")

# %% [markdown]
# ## Exercise 2: the logistic function
#
# Its slope is at most 1/4. At most how far does a logistic network reach, and by what
# factor would $W$ have to grow to make up for it?

# %% tags=["solution"]
slopes = {}
for name, φ in (("tanh", jnp.tanh), ("logistic", jax.nn.sigmoid)):
    z = jnp.linspace(-5, 5, 1_001)
    slopes[name] = float(jax.vmap(jax.grad(φ))(z).max())
    W = untrained["layers"][0]["w_h"]
    states = φ(jax.random.normal(jax.random.key(1), (100, H)))
    slope = states * (1 - states) if name == "logistic" else 1 - states**2
    norms = jacobians.singular_values(slope[:, :, None] * W.T[None])[:, 0]
    mean = float(norms.mean())
    print(f"{name:9} largest slope {slopes[name]:.2f}, mean ‖J‖ {mean:.3f}", end=", ")
    print(f"1 % at {np.log(0.01) / np.log(mean):.0f} steps" if mean < 1 else "no bound")

# %% [markdown] tags=["solution"]
# The slope is four times smaller, so $W$ would have to be four times as large. The norm
# of a product is at most the product of norms, so the steps are an upper bound.

# %% tags=["claim"]
claims.add(
    "the slope of the logistic function is at most 1/4",
    "≤ 1/4",
    f"{slopes['logistic']:.2f} at most",
    slopes["logistic"] <= 0.25,
)

# %% [markdown]
# ## Exercise 3: foretell the horizon
#
# In the long run the gradient shrinks by $e^{\lambda_1}$ a step, $\lambda_1$ being the
# largest Lyapunov exponent. Foretell the horizon, $\ln 0.01 / \lambda_1$, and compare.

# %% tags=["solution"]
cell, inner = plain.parts[0].cell, untrained["layers"][0]
step, xs = transitions.of_cell(cell, inner), jnp.asarray(inputs[:, :8])
begin = cell.initial_state(inner, xs.shape[1])
λ = float(lyapunov.lyapunov_spectrum(step, begin, xs, 2, 1).exponents_K[0])
print(f"λ₁ = {λ:.3f}: {np.log(0.01) / λ:.0f} steps; measured {reached['before'][1]}")

# %% [markdown]
# ## What the original says, what we measured

# %% tags=["claim"]
show(claims.table())

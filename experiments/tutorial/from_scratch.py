# %% [markdown]
# # 1. From scratch
#
# A network with one hidden layer, its gradients worked out by hand, and the same
# gradients from `jax.grad`. This retells "Implementing a neural network from scratch in
# Python" (Britz 2015). All numbers are float64 and all random numbers are the
# original's, so that its losses can be compared digit by digit.

# %%
"""Chapter 1: a network of three layers on two moons, its gradients by hand."""

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.datasets import make_moons
from sklearn.linear_model import LogisticRegressionCV

from experiments.figures.tutorial import boundaries, curves
from experiments.tutorial.shown import Claims, Grid, show

claims = Claims()

# %% tags=["parameters"]
SMALL = False  # True: sizes for a quick look

# %%
STEPS = 1_001 if SMALL else 20_000
WIDTHS = (1, 3, 20) if SMALL else (1, 2, 3, 4, 5, 20, 50)
ORDERS, FORK = (2, 500) if SMALL else (12, 4_001)

# %% [markdown]
# ## The data, and a straight line
#
# Two hundred points on two half circles, with noise. No straight line tells the two
# classes apart, and logistic regression has nothing but a straight line.

# %%
np.random.seed(0)
X, y = map(np.asarray, make_moons(200, noise=0.20))
fresh_X, fresh_y = map(np.asarray, make_moons(2_000, noise=0.20, random_state=1))
settings = {"scoring": "accuracy", "use_legacy_attributes": False, "l1_ratios": (0,)}
line = LogisticRegressionCV(**settings).fit(X, y)
show(boundaries({"logistic regression": line.predict}, X, y))
print(f"right on the 200 points: {line.score(X, y):.1%}")
print(f"right on 2,000 fresh ones: {line.score(fresh_X, fresh_y):.1%}")

# %% [markdown]
# ## The network
#
# $$\begin{align*} z_1 &= x W_1 + b_1 \\ a_1 &= \tanh z_1 \\ z_2 &= a_1 W_2 + b_2 \\
# \hat y &= \operatorname{softmax}(z_2) \end{align*}$$
#
# `x` has 2 numbers, the hidden layer `h` units, the output 2 probabilities. Each line
# of `forward` is a line of the formula. The weights are drawn from a normal
# distribution and divided by the root of the number of inputs of a unit, so that $z_1$
# and $z_2$ have about the same size whatever the width.


# %%
def draw(hidden, inputs=2, outputs=2):
    """W1, b1, W2, b2, from the original's random numbers."""
    np.random.seed(0)
    W1 = np.random.randn(inputs, hidden) / np.sqrt(inputs)
    W2 = np.random.randn(hidden, outputs) / np.sqrt(hidden)
    return W1, np.zeros((1, hidden)), W2, np.zeros((1, outputs))


def forward(params, X):
    """The hidden layer and the probabilities."""
    W1, b1, W2, b2 = params
    a1 = np.tanh(X @ W1 + b1)
    z2 = a1 @ W2 + b2
    ŷ = np.exp(z2)
    return a1, ŷ / ŷ.sum(axis=1, keepdims=True)


# %% [markdown]
# ## The loss
#
# $$L = \frac1N \left( -\sum_n \ln \hat y_{n, y_n} + \frac\lambda2 \left(
# \lVert W_1 \rVert^2 + \lVert W_2 \rVert^2 \right) \right)$$
#
# is cross-entropy, in nats a point, with a penalty on large weights, $\lambda = 0.01$.


# %%
def loss(params, X, y, λ=0.01):
    """L, in nats a point."""
    _, ŷ = forward(params, X)
    nats = -np.log(ŷ[np.arange(len(X)), y]).sum()
    squares = sum((W**2).sum() for W in (params[0], params[2]))
    return (nats + λ / 2 * squares) / len(X)


# %% [markdown]
# ## The gradients, by hand
#
# $$\begin{align*} \delta_3 &= \hat y - y \\
# \delta_2 &= (1 - \tanh^2 z_1) \odot \delta_3 W_2^\top \\
# \frac{\partial NL}{\partial W_2} &= a_1^\top \delta_3 + \lambda W_2 &
# \frac{\partial NL}{\partial b_2} &= \sum_n \delta_3 \\
# \frac{\partial NL}{\partial W_1} &= x^\top \delta_2 + \lambda W_1 &
# \frac{\partial NL}{\partial b_1} &= \sum_n \delta_2 \end{align*}$$
#
# These are gradients of $NL$, the loss **summed** over the points, as the original has
# them. Its step size 0.01 is therefore a step of 2 on the mean loss: a large one, as
# we shall see.


# %%
def gradients(params, X, y, λ=0.01):
    """∂(N·L)/∂(W1, b1, W2, b2)."""
    W1, _, W2, _ = params
    a1, ŷ = forward(params, X)
    δ3 = ŷ
    δ3[np.arange(len(X)), y] -= 1
    δ2 = (1 - a1**2) * (δ3 @ W2.T)
    return (
        X.T @ δ2 + λ * W1,
        δ2.sum(axis=0, keepdims=True),
        a1.T @ δ3 + λ * W2,
        δ3.sum(axis=0, keepdims=True),
    )


# %% [markdown]
# ## The gradients, by JAX
#
# The loss once more, in `jax.numpy`. Its gradient is one call. The two must agree to
# the last digits, and a difference $(L(W + \epsilon) - L(W - \epsilon)) / 2\epsilon$
# must agree with both as far as differences can.


# %%
def summed_loss(params, X, y, λ=0.01):
    """N·L."""
    W1, b1, W2, b2 = params
    logits = jnp.tanh(X @ W1 + b1) @ W2 + b2
    nats = -jax.nn.log_softmax(logits)[jnp.arange(len(X)), y].sum()
    return nats + λ / 2 * ((W1**2).sum() + (W2**2).sum())


# %%
params = draw(hidden=3)
by_hand = gradients(params, X, y)
with jax.enable_x64(True):
    by_jax = jax.device_get(jax.grad(summed_loss)(params, X, y))
names = ("W1", "b1", "W2", "b2")
apart = [abs(a - b).max() for a, b in zip(by_hand, by_jax, strict=True)]
largest = [abs(a).max() for a in by_hand]
columns = [f"{n:.6f}" for n in largest], [f"{n:.0g}" for n in apart]
rows = zip(names, *columns, strict=True)
show(Grid(("gradient", "largest entry", "apart"), rows))

# %%
nudge = np.zeros((2, 3))
nudge[0, 0] = 1e-6
ends = [loss((params[0] + s * nudge, *params[1:]), X, y) for s in (1, -1)]
by_difference = len(X) * (ends[0] - ends[1]) / 2e-6
print(f"by hand {by_hand[0][0, 0]:.6f}, by difference {by_difference:.6f}")

# %% tags=["claim"]
claims.add(
    "gradient by hand against automatic differentiation",
    "not compared",
    f"{max(apart):.0g} apart at most",
    max(apart) < 1e-10,
)

# %% [markdown]
# ## Gradient descent
#
# $$W \leftarrow W - \eta \frac{\partial NL}{\partial W}, \qquad \eta = 0.01,$$
#
# twenty thousand times, all points in each step. The original prints the loss **after**
# step 0, 1,000, 2,000, …: what it calls iteration 0 is not before training.


# %%
def train(hidden, X, y, steps, η=0.01, every=1_000, rows=None):
    """Parameters after some steps, and {step: loss after it}."""
    order = slice(None) if rows is None else rows
    params, losses, X, y = draw(hidden), {}, X[order], y[order]
    for step in range(steps):
        slopes = gradients(params, X, y)
        params = tuple(p - η * g for p, g in zip(params, slopes, strict=True))
        if step % every == 0:
            losses[step] = loss(params, X, y)
    return params, losses


before = loss(draw(hidden=3), X, y)
network, losses = train(3, X, y, STEPS)
print(f"before training {before:.6f}")
print("\n".join(f"after step {n:6,} {nats:.6f}" for n, nats in losses.items()))
show(boundaries({"3 hidden units": lambda X: forward(network, X)[1].argmax(1)}, X, y))

# %% tags=["claim"]
claims.number("loss at iteration 0, before any step", "0.432387", before)
claims.number("loss at iteration 0, after one step", "0.432387", losses[0])
claims.number("loss at step 1,000", "0.068947", losses[1_000])

# %% [markdown]
# ## A fork in the road
#
# The first two losses are the original's to six digits; its last, 0.071316, need not
# be. Between step 1,000 and 3,000 a step size that is too large throws the weights
# about, and they come to rest in one of two valleys. **Rounding** decides in which. Sum
# the same 200 points in another order, which changes nothing but the last digits of
# each sum, and some orders end in one valley, some in the other.

# %%
orders = [None, *(np.random.RandomState(n).permutation(200) for n in range(ORDERS))]
sides = [
    train(3, X, y, FORK, rows=rows, every=FORK - 1)[1][FORK - 1] for rows in orders
]
told = ["as made", *(f"shuffled, seed {n}" for n in range(ORDERS))]
rounded = [f"{nats:.6f}" for nats in sides]
head = ("order of the points", f"loss after step {FORK - 1:,}")
show(Grid(head, zip(told, rounded, strict=True)))

# %% [markdown]
# One order of each valley, to the end:

# %%
low, high = (orders[int(best(sides))] for best in (np.argmin, np.argmax))
ends = [train(3, X, y, STEPS, rows=rows)[1] for rows in (low, high)]
lines = {
    f"ends at {end[max(end)]:.6f}": (list(end)[1:], list(end.values())[1:])
    for end in ends
}
reading = "Loss of one network on the same points, summed in two orders."
show(curves(lines, reading, "step", "loss, nats a point"))
last = max(ends[1])

# %% tags=["claim"]
claims.number(f"loss at step {last:,}, one order of summing", "0.071316", ends[1][last])
claims.add(
    "is that loss the only one?",
    "not asked",
    f"no: {min(sides):.6f} or {max(sides):.6f}, by rounding",
)

# %% [markdown]
# ## How many hidden units?
#
# The original looks at decision boundaries and says: few units capture the general
# trend, many units fit the noise. Eyes can be wrong; two thousand fresh points of the
# same two moons decide it.

# %%
networks = {h: train(h, X, y, STEPS)[0] for h in WIDTHS}


def classify(params):
    """The class of the larger probability, for each of many points."""
    return lambda X: forward(params, X)[1].argmax(axis=1)


panels = {f"{h} hidden": classify(params) for h, params in networks.items()}
show(boundaries(panels, X, y))


def right(params, X, y):
    """Share of points that get their class."""
    return float((classify(params)(X) == y).mean())


# %%
rows = [
    (h, f"{right(p, X, y):.1%}", f"{right(p, fresh_X, fresh_y):.1%}")
    for h, p in networks.items()
]
show(Grid(("hidden units", "right on the 200", "right on 2,000 fresh"), rows))
scores = {h: right(p, fresh_X, fresh_y) for h, p in networks.items()}
few, many = max(scores[h] for h in WIDTHS if h < 10), scores[max(WIDTHS)]

# %% tags=["claim"]
straight = line.score(fresh_X, fresh_y)
claims.add(
    "a straight line cannot follow the moons",
    "yes, by the look of the boundary",
    f"logistic regression {straight:.1%} right, the network {few:.1%} (fresh points)",
    straight < few,
)
claims.add(
    "few hidden units generalise better than many",
    "yes, by the look of the boundary",
    f"{few:.1%} right with few, {many:.1%} with {max(WIDTHS)} (fresh points)",
    few > many,
)

# %% [markdown]
# ## Exercise 1: minibatches and annealing
#
# Take thirty points in each step, chosen anew each time; let the step size fall as
# $\eta_t = \eta_0 / (1 + t / 1000)$; then both. What does each do to the fork?


# %% tags=["solution"]
def descend(points, falling):
    """Steps, and the losses on all points after them; so many points in each step."""
    chance, params, found = np.random.RandomState(0), draw(hidden=3), []
    for step in range(STEPS):
        chosen = chance.choice(len(X), points, replace=False)
        slopes = gradients(params, X[chosen], y[chosen])
        η = 0.01 / (1 + step / 1_000) if falling else 0.01
        params = tuple(p - η * g for p, g in zip(params, slopes, strict=True))
        if step % 250 == 0:
            found.append((step, loss(params, X, y)))
    steps, nats = zip(*found, strict=True)
    return steps, nats


ways = {
    "all points": (200, False),
    "all points, annealed": (200, True),
    "minibatches of 30": (30, False),
    "minibatches of 30, annealed": (30, True),
}
lines = {name: descend(*way) for name, way in ways.items()}
show(curves(lines, "Loss on all 200 points.", "step", "loss, nats a point", log="y"))
rows = [(name, f"{nats[-1]:.4f}") for name, (_, nats) in lines.items()]
show(Grid(("", "loss at the end"), rows))

# %% [markdown] tags=["solution"]
# Annealing with all points ends lowest: the steps become small before they can throw
# the weights about. A minibatch sums 30 points where the whole sums 200, so its step is
# a seventh: it is not thrown about either, but after as many steps it is not as far.

# %% [markdown]
# ## Exercise 2: another activation, and four layers
#
# Write the network for any number of layers and any activation $\varphi$ whose slope is
# known from its value: $1 - a^2$ for tanh, $a (1 - a)$ for the logistic function, $a >
# 0$ for ReLU. Then compare the activations, and three layers with four.


# %% tags=["solution"]
KINDS = {
    "tanh": (np.tanh, lambda a: 1 - a**2),
    "logistic": (lambda z: 1 / (1 + np.exp(-z)), lambda a: a * (1 - a)),
    "ReLU": (lambda z: np.maximum(z, 0), lambda a: a > 0),
}


def outputs(Ws, bs, φ, X):
    """The layers below the last, and what goes into the softmax."""
    hs = [X]
    for W, b in zip(Ws[:-1], bs[:-1], strict=True):
        hs.append(φ(hs[-1] @ W + b))
    return hs, hs[-1] @ Ws[-1] + bs[-1]


# %% tags=["solution"]
def fit(sizes, kind, X, y, steps=STEPS, η=0.01, λ=0.01):
    """Layers of these sizes, trained: the function from points to classes."""
    (φ, slope), chance = KINDS[kind], np.random.RandomState(0)
    Ws = [chance.randn(*s) / s[0] ** 0.5 for s in zip(sizes, sizes[1:], strict=False)]
    bs = [np.zeros(size) for size in sizes[1:]]
    for _ in range(steps):
        hs, z = outputs(Ws, bs, φ, X)
        δ = np.exp(z - z.max(axis=1, keepdims=True))
        δ /= δ.sum(axis=1, keepdims=True)
        δ[np.arange(len(X)), y] -= 1
        for n in reversed(range(len(Ws))):
            dW, db = hs[n].T @ δ + λ * Ws[n], δ.sum(axis=0)
            δ = slope(hs[n]) * (δ @ Ws[n].T)  # before W moves
            Ws[n], bs[n] = Ws[n] - η * dW, bs[n] - η * db
    return lambda X: outputs(Ws, bs, φ, X)[1].argmax(axis=1)


# %% tags=["solution"]
panels = {f"{kind}, 3 layers": fit((2, 5, 2), kind, X, y) for kind in KINDS}
panels["tanh, 4 layers"] = fit((2, 5, 5, 2), "tanh", X, y)
show(boundaries(panels, X, y, columns=2))
for name, classes in panels.items():
    print(f"{name:20} {(classes(fresh_X) == fresh_y).mean():.1%} of the fresh points")

# %% [markdown]
# ## Exercise 3: three classes
#
# Make a third class and train on all three. Which lines of `fit` have to change?

# %% [markdown] tags=["solution"]
# None: softmax and cross-entropy are for any number of classes. The last size is 3.

# %% tags=["solution"]
third = np.random.RandomState(2).normal((0.5, 1.6), 0.2, (100, 2))
X3, y3 = np.concatenate([X, third]), np.concatenate([y, np.full(100, 2)])
three = fit((2, 8, 3), "tanh", X3, y3, η=0.003)
show(boundaries({"three classes, 8 hidden units": three}, X3, y3))
print(f"right on the {len(X3)} points: {(three(X3) == y3).mean():.1%}")

# %% [markdown]
# ## What the original says, what we measured

# %% tags=["claim"]
show(claims.table())

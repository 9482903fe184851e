# %% [markdown]
# # 4. A language model
#
# From a text to a vocabulary, a recurrent network in NumPy with its backpropagation
# through time, the same in four lines of JAX, ten epochs over a hundred sentences,
# sentences that a network writes and scores. This retells Part 2 (Britz 2015). Its
# Reddit comments are not at hand: the text here is the documentation of Python's
# standard library, which every Python brings along.

# %%
"""Chapter 4: a recurrent language model by hand, in JAX, and as this project has it."""

from collections import Counter
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from data_pipeline.dataset import prepare
from data_pipeline.sentences import split_sentences
from data_pipeline.tokenizers import split_words
from data_pipeline.vocabulary import EOS_ID, UNK_ID
from experiments.applications.language_model.scoring import score_lines
from experiments.applications.language_model.tutorial_files import load_tutorial
from experiments.applications.language_model.writing import make_writer
from experiments.config import load_named
from experiments.figures.tutorial import curves
from experiments.results.timing import interleaved
from experiments.run.weights import read_weights
from experiments.train.trained import load_trained
from experiments.tutorial.learning import KEPT, learnt
from experiments.tutorial.shown import Claims, Grid, elsewhere, show
from lm.config import ModelConfig, OptimConfig
from lm.generate import Filters

# %% tags=["parameters"]
SMALL = False  # True: sizes for a quick look
WEIGHTS = ""  # the original's data/trained-model-theano.npz, if you have it

# %%
claims = Claims()
CORPUS, WORDS, H = ("grammar", 60, 8) if SMALL else ("stdlib_docs", 8_000, 100)
SENTENCES, EPOCHS, ROUNDS, STEPS = (4, 2, 2, 2) if SMALL else (100, 10, 20, 1_200)

# %% [markdown]
# ## From a text to numbers
#
# Sentences become words, and the most frequent words a vocabulary; all others are read
# as one word, `<unk>`. `<eos>` ends each sentence and stands before the next one, so it
# is the original's SENTENCE_START and SENTENCE_END in one.

# %%
part_2 = load_named("tutorial_part2")
data = replace(part_2.data, corpus=CORPUS, max_vocabulary=WORDS, grammar_sentences=200)
dataset = prepare(data)
vocabulary, train = dataset.vocabulary, dataset.splits["train"]
counts = Counter(vocabulary.decode(train.ids))
C = vocabulary.size
print(f"{len(train.starts) - 1:,} sentences, {len(train.ids):,} words, C = {C:,}")
print("most frequent:", ", ".join(f"{w} {n:,}" for w, n in counts.most_common(6)))
print(f"read as <unk>: {counts['<unk>'] / len(train.ids):.1%}")

# %% [markdown]
# A text of two sentences, cut, and as the network reads it:

# %%
for one in split_sentences("Return a list of words. Dr. Zyzzyva reads it, e.g. twice."):
    words = split_words(one.lower())
    ids = vocabulary.encode(words)
    print(" ".join(words), "→", " ".join(vocabulary.decode(ids)), "→", *ids)

# %% [markdown]
# The network reads a sentence and guesses, at every step, the word that follows:
# $x = (w_0, \dots, w_{T-1})$ and $y = (w_1, \dots, w_T)$.


# %%
def sentence(number):
    """x and y of a training sentence: <eos> and its words, its words and <eos>."""
    ids = train.ids[train.starts[number] : train.starts[number + 1]]
    return np.append(EOS_ID, ids[:-1]), ids


x, y = sentence(2)
print("x:", " ".join(vocabulary.decode(x)[:12]))
print("y:", " ".join(vocabulary.decode(y)[:12]))

# %% [markdown]
# ## The network in NumPy
#
# $$\begin{align*} s_t &= \tanh(U x_t + W s_{t-1}) \\
# o_t &= \operatorname{softmax}(V s_t) \\ L &= -\sum_t \ln o_{t, y_t} \end{align*}$$
#
# Vectors are rows here, so `U[x]` picks what one-hot $x$ would. All weights are drawn
# evenly from $\pm 1/\sqrt{n}$, $n$ being the inputs of a unit.


# %%
def draw(C, H, seed=10):
    """U (C, H), V (H, C), W (H, H)."""
    chance = np.random.RandomState(seed)

    def even(n, shape):
        return chance.uniform(-(n**-0.5), n**-0.5, shape)

    return {"U": even(C, (C, H)), "V": even(H, (H, C)), "W": even(H, (H, H))}


def forward(p, x):
    """States s (T, H), and probabilities o (T, C)."""
    s, states = np.zeros(len(p["W"])), []
    for word in x:
        s = np.tanh(p["U"][word] + s @ p["W"])
        states.append(s)
    z = np.array(states) @ p["V"]
    o = np.exp(z - z.max(axis=1, keepdims=True))
    return np.array(states), o / o.sum(axis=1, keepdims=True)


def loss(p, x, y):
    """L, in nats."""
    return -np.log(forward(p, x)[1][np.arange(len(y)), y]).sum()


# %% [markdown]
# ## Before training
#
# A network that knows nothing gives every word about $1/C$, and a loss of about
# $\ln C$ nats a word. It is the first thing to check.


# %%
def nats_per_word(p, sentences):
    """The mean loss of a word over some sentences."""
    words = sum(len(y) for _, y in sentences)
    return sum(loss(p, *pair) for pair in sentences) / words


hundred = [sentence(n) for n in range(SENTENCES)]
network = draw(C, H)
start = nats_per_word(network, hundred)
print(f"measured {start:.6f}, ln C = {np.log(C):.6f}")

# %% tags=["claim"]
claims.add(
    "loss before training, and ln C",
    "8.987440, ln 8000 = 8.987197",
    f"{start:.6f}, ln {C} = {np.log(C):.6f}",
    abs(start - np.log(C)) < 0.01,
)

# %% [markdown]
# ## Backpropagation through time
#
# $$\begin{align*} \frac{\partial L}{\partial z_t} &= o_t - y_t \\
# \frac{\partial L}{\partial V} &= \sum_t s_t^\top (o_t - y_t) \\
# \delta_t &= (1 - s_t^2) \odot V (o_t - y_t) \\
# \delta_{k-1} &= (1 - s_{k-1}^2) \odot W \delta_k \\
# \frac{\partial L}{\partial W} &= \sum_t \sum_k s_{k-1}^\top \delta_k \\
# \frac{\partial L}{\partial U} &= \sum_t \sum_k x_k^\top \delta_k \end{align*}$$
#
# For each $t$ the fourth line is repeated backwards from $k = t$, at most $\tau$ times:
# the original has $\tau = 4$.


# %%
def gradients(p, x, y, τ=4):
    """∂L/∂U, ∂L/∂V, ∂L/∂W."""
    s, o = forward(p, x)
    before = np.concatenate([np.zeros((1, s.shape[1])), s[:-1]])
    o[np.arange(len(y)), y] -= 1
    grad = {name: np.zeros_like(array) for name, array in p.items()}
    grad["V"] = s.T @ o
    into_s = o @ p["V"].T
    for t in range(len(x)):
        δ = (1 - s[t] ** 2) * into_s[t]
        for k in range(t, max(t - τ, 0) - 1, -1):
            grad["W"] += np.outer(before[k], δ)
            grad["U"][x[k]] += δ
            δ = (1 - before[k] ** 2) * (p["W"] @ δ)
    return grad


# %% [markdown]
# ## The same in four lines of JAX
#
# The step, the loop, the loss, its gradient:


# %%
def jax_loss(p, x, y):
    """L, by a scan."""

    def step(s, word):
        s = jnp.tanh(p["U"][word] + s @ p["W"])  # 1 the step
        return s, s @ p["V"]

    _, z = jax.lax.scan(step, jnp.zeros_like(p["W"][0]), x)  # 2 the loop
    return -jax.nn.log_softmax(z)[jnp.arange(len(y)), y].sum()  # 3 the loss


jax_gradients = jax.jit(jax.grad(jax_loss))  # 4 its gradient

# %% [markdown]
# ## The gradient check
#
# $$\frac{\partial L}{\partial w} \approx \frac{L(w + h) - L(w - h)}{2h}$$
#
# on the original's small network, 100 words and 10 units, without truncation. It asks
# for relative errors below 0.01 at $h = 0.001$.

# %%
small, ids = draw(100, 10), np.arange(5)
by_hand = gradients(small, ids[:-1], ids[1:], τ=1_000)
with jax.enable_x64(True):
    by_jax = jax.device_get(jax_gradients(small, ids[:-1], ids[1:]))
worst, h = {}, 1e-3
for name, array in small.items():
    slopes = np.zeros_like(array)
    for at in np.ndindex(*array.shape):
        value, ends = array[at], []
        for array[at] in (value + h, value - h):
            ends.append(loss(small, ids[:-1], ids[1:]))
        array[at], slopes[at] = value, (ends[0] - ends[1]) / (2 * h)
    size = np.abs(slopes) + np.abs(by_hand[name])
    error = np.abs(slopes - by_hand[name])[size > 0] / size[size > 0]
    worst[name] = error.max(), np.abs(by_jax[name] - by_hand[name]).max()
rows = [(n, f"{a:.0g}", f"{b:.0g}") for n, (a, b) in worst.items()]
show(Grid(("", "differences, relative error", "JAX, apart"), rows))

# %% tags=["claim"]
checked = max(error for error, _ in worst.values())
claims.add(
    "gradient check", "errors below 0.01", f"{checked:.0g} at most", checked < 0.01
)
claims.add(
    "the same gradient by automatic differentiation",
    "by Theano, checked alike",
    f"{max(apart for _, apart in worst.values()):.0g} apart from that by hand",
    max(apart for _, apart in worst.values()) < 1e-10,
)

# %% [markdown]
# ## One step of stochastic gradient descent
#
# $$W \leftarrow W - \eta\, \frac{\partial L}{\partial W}$$
#
# after every sentence. The original's took 350 ms in NumPy, 70 ms in Theano, 23 ms on a
# GPU. The sentence here is one of median length.


# %%
def sgd_step(p, x, y, η=0.005, τ=4):
    """One step by the gradients in NumPy; changes p."""
    for name, slope in gradients(p, x, y, τ).items():
        p[name] -= η * slope


@jax.jit
def jax_step(p, x, y, η=0.005):
    """One step by JAX's gradients, in full."""
    slopes = jax.grad(jax_loss)(p, x, y)
    return jax.tree.map(lambda w, g: w - η * g, p, slopes)


# %%
x, y = sorted(hundred, key=lambda pair: len(pair[0]))[SENTENCES // 2]
ours = draw(C, H)
gpus = [device for device in jax.devices() if device.platform == "gpu"]
names = ("JAX, compiled", "JAX, compiled, GPU")
sides = {
    "NumPy, τ = 4": lambda: sgd_step(ours, x, y),
    "NumPy, in full": lambda: sgd_step(ours, x, y, τ=len(x)),
}
for name, device in zip(names, [jax.devices("cpu")[0], *gpus], strict=False):
    there = jax.device_put(jax.tree.map(np.float32, ours), device)
    sides[name] = lambda there=there: jax.block_until_ready(jax_step(there, x, y))
ms = {name: 1e3 * np.median(s) for name, s in interleaved(sides, ROUNDS).items()}
print(f"a sentence of {len(x)} words")
show(Grid(("", "ms a step"), [(name, f"{t:.1f}") for name, t in ms.items()]))

# %% tags=["claim"]
slow, fast = ms["NumPy, τ = 4"], ms["JAX, compiled"]
claims.add(
    "one SGD step, by hand and compiled",
    "350 ms NumPy, 70 ms Theano: 5 times",
    f"{slow:.1f} ms NumPy, {fast:.1f} ms JAX: {slow / fast:.1f} times",
    fast < slow,
)
gpu, on_gpu = ms.get("JAX, compiled, GPU"), "one SGD step on a GPU"
claims.add(
    on_gpu,
    "23 ms: 15 times as fast as NumPy",
    f"{gpu:.2f} ms: {slow / gpu:.0f} times as fast as NumPy"
    if gpu
    else "this machine has none" + elsewhere(4, on_gpu),
    gpu < fast if gpu else None,
)

# %% [markdown]
# ## Ten epochs over a hundred sentences
#
# The original shows that the loss falls, and halves the step size whenever it rises.
# Its curve is on other sentences; the first epochs, in which nothing seems to happen
# and then everything, are the same.

# %%
THEIRS = (8.987425, 8.976270, 8.960212, 8.930430, 8.862264, 6.913570, 6.302493)
THEIRS = (*THEIRS, 6.014995, 5.833877, 5.710718)
network, η, trace = draw(C, H), 0.005, []
for _ in range(EPOCHS):
    trace.append(nats_per_word(network, hundred))
    if len(trace) > 1 and trace[-1] > trace[-2]:
        η /= 2
    for pair in hundred:
        sgd_step(network, *pair, η=η)
lines = {"the original": (range(10), THEIRS), "here": (range(EPOCHS), trace)}
reading = "Loss on the hundred training sentences, before each epoch."
show(curves(lines, reading, "epoch", "nats a word"))
print("here:", " ".join(f"{nats:.3f}" for nats in trace))

# %% tags=["claim"]
claims.add(
    "the loss falls in ten epochs over 100 sentences",
    f"{THEIRS[0]:.3f} to {THEIRS[-1]:.3f}",
    f"{trace[0]:.3f} to {trace[-1]:.3f}, on other sentences",
    trace[-1] < trace[0],
)

# %% [markdown]
# ## What it writes
#
# A hundred sentences teach little. The same network with an embedding, batches and
# Adam, trained for a minute on the whole text, writes this (no unknown words):

# %%
whole = replace(
    load_named("tour"),
    data=replace(data, reading="streams", batch=20 if not SMALL else 2),
    model=ModelConfig(cell="tanh", hidden=H, embedding=H, softmax="tied"),
    optim=OptimConfig(learning_rate=0.003, clip_at=1.0, schedule="cosine"),
)
trained = load_trained(learnt(whole, STEPS))
filters = Filters(temperature=0.8, banned=(UNK_ID,))
parts = (trained.config, trained.vocabulary, trained.model)
write = make_writer(*parts, filters=filters, samples=5, max_tokens=30)
print("\n".join(write(trained.params, jax.random.key(0))))

# %% [markdown]
# ## What it scores
#
# The original's motive was to score sentences; it never did. The same words in three
# orders, and the logarithm of their probability,
# $\ln P(w_1 \dots w_T) = \sum_t \ln o_{t, w_{t+1}}$:

# %%
ORDERS = (
    "return the number of items in the list.",
    "return the list of number in the items.",
    "items the of return number list in the.",
)
scored = score_lines(trained, ORDERS)
rows = [(s.text, f"{-s.total:.1f}", f"{s.perplexity:.0f}") for s in scored]
show(Grid(("sentence", "ln P", "perplexity"), rows))

# %% tags=["claim"]
totals = [s.total for s in scored]
claims.add(
    "a language model prefers sentences to shuffled words",
    "its motive; never scored",
    f"ln P {-totals[0]:.1f}, {-totals[1]:.1f}, {-totals[2]:.1f}",
    totals[0] < totals[2],
)

# %% [markdown]
# ## The original's own weights
#
# Its programs saved `U`, `V`, `W` with columns where we have rows. `load_tutorial`
# reads such a file (and those of Part 4) as a model of this project. Whoever has the
# original's file gives its path with `--weights` and sees that network's answers, and
# how far they are from those of the equations above with the arrays of the file. Here
# the network above goes out in that format and comes back.

# %%
path = KEPT / "weights.npz"
np.savez(path, U=network["U"].T, V=network["V"].T, W=network["W"].T)
model, params = load_tutorial(WEIGHTS or path)
x = np.minimum(x, model.vocabulary - 1)
_, hs = model.apply(params, x[:, None], model.initial_state(params, 1))
o = np.asarray(jax.nn.softmax(model.logits(params, hs)))[:, 0]
print(f"{model.vocabulary:,} words, {model.config.hidden} units, {model.config.cell}")
print("likeliest next words:", o.argmax(axis=1).tolist()[:8])
arrays = read_weights(WEIGHTS or path)[0]
part = 4 if "E" in arrays else 2
if part == 2:
    theirs = {name: array.T for name, array in arrays.items()}
    apart = np.abs(o - forward(theirs, x)[1]).max()
    print(f"probabilities are at most {apart:.0g} from NumPy's")

# %% tags=["claim"]
if part == 2:
    claims.add(
        "weights in the original's format give its equations' outputs",
        "U, V, W in a .npz",
        f"probabilities {apart:.0g} apart at most",
        apart < 1e-6,
    )

# %% [markdown]
# ## Exercise 1: what does truncation cost?
#
# How far is the gradient with $\tau = 0, 1, 2, 4, 8$ from the full one, on one
# sentence, before training and after?

# %% tags=["solution"]
x, y = max(hundred, key=lambda pair: len(pair[0]))
for name, p in (("before training", draw(C, H)), ("after", network)):
    full, errors = gradients(p, x, y, τ=len(x))["W"], []
    for τ in (0, 1, 2, 4, 8):
        cut = gradients(p, x, y, τ=τ)["W"]
        errors.append(np.linalg.norm(cut - full) / np.linalg.norm(full))
    print(f"{name:16}", " ".join(f"{e:.1%}" for e in errors), "of ∂L/∂W")

# %% [markdown] tags=["solution"]
# Four steps are enough here, because the network's gradient vanishes: chapter 5.

# %% [markdown]
# ## Exercise 2: better than counting?
#
# What loss has a model that gives every word its frequency in the hundred sentences?
# Is the network after ten epochs better?

# %% tags=["solution"]
targets = np.concatenate([y for _, y in hundred])
share = np.bincount(targets, minlength=C) / len(targets)
counted = -np.log(share[targets]).mean()
print(f"counting words {counted:.3f}, the network {trace[-1]:.3f} nats a word")

# %% [markdown] tags=["solution"]
# Ten epochs of SGD are not yet better than counting: the network has learnt little
# more than which words are frequent.

# %% [markdown]
# ## Exercise 3: write a word at a time
#
# The original computes the whole prefix anew for each word it writes. Carry the state
# instead, and show that the probabilities are the same.

# %% tags=["solution"]
s = np.zeros(H)
for word in x:
    s = np.tanh(network["U"][word] + s @ network["W"])
z = s @ network["V"]
carried = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
print("the same:", np.allclose(carried, forward(network, x)[1][-1]))

# %% [markdown]
# ## What the original says, what we measured

# %% tags=["claim"]
show(claims.table())

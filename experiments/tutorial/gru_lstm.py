# %% [markdown]
# # 6. GRU and LSTM
#
# Gates let a network keep what it has. This retells Part 4 (Britz 2015): its GRU beside
# its formulas, its two layers trained a little, their gates drawn while they read; the
# LSTM, which is in the original's title and not in its code; what a forget bias does;
# and batching, "the most important trick", timed.

# %%
"""Chapter 6: the GRU and the LSTM by their formulas, their gates, their speed."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmark.common import batch_of, random_batch
from experiments.config import Config, load_named
from experiments.figures.tutorial import curves, over_words
from experiments.results.timing import interleaved
from experiments.run.files import read_json
from experiments.train.trained import load_trained
from experiments.tutorial.learning import learnt
from experiments.tutorial.shown import Claims, Grid, show
from lm.cells import make_cell
from lm.config import InitConfig, ModelConfig, OptimConfig
from lm.gradflow.gates import seen
from lm.gradflow.through_time import field_norms, state_gradients
from lm.models.language_model import build
from lm.train import count_parameters, init_state, make_train_step, numbers_of

# %% tags=["parameters"]
SMALL = False  # True: sizes for a quick look

# %%
claims = Claims()
STEPS, WORDS, CORPUS = (2, 60, "grammar") if SMALL else (1_500, 8_000, "stdlib_docs")
WINDOW, BIASES = (12, (0, 2)) if SMALL else (400, (0, 1, 2, 3, 4))
BATCHES, ROUNDS, H = ((1, 2), 2, 8) if SMALL else ((1, 2, 4, 8, 16, 32, 64), 10, 128)

# %% [markdown]
# ## The GRU
#
# $$\begin{align*} z &= \sigma(U^z x_t + W^z s_{t-1} + b^z) \\
# r &= \sigma(U^r x_t + W^r s_{t-1} + b^r) \\
# h &= \tanh(U^h x_t + W^h (s_{t-1} \odot r) + b^h) \\
# s_t &= (1 - z) \odot h + z \odot s_{t-1} \end{align*}$$
#
# The update gate $z$ keeps the old state, the reset gate $r$ chooses what of it is
# read. The code of the original has a hard sigmoid, $\sigma(x) = \min(\max(0.2 x +
# 0.5, 0), 1)$. Four lines for four formulas, beside this project's `gru_tutorial`:


# %%
def hard(x):
    """Theano's hard sigmoid."""
    return jnp.clip(0.2 * x + 0.5, 0, 1)


def gru(p, s, x, σ=hard):
    """One step; the blocks of p's matrices are r, z, h in this order."""
    U_r, U_z, U_h = jnp.split(x @ p["w_x"] + p["b"][None], 3, axis=1)
    W_r, W_z, W_h = jnp.split(p["w_h"], 3, axis=1)
    z = σ(U_z + s @ W_z)
    r = σ(U_r + s @ W_r)
    h = jnp.tanh(U_h + (s * r) @ W_h)
    return (1 - z) * h + z * s


cell = make_cell("gru_tutorial", 5)
p = cell.init(jax.random.key(0), 3)
x, s = jax.random.normal(jax.random.key(1), (2, 3)), jnp.full((2, 5), 0.3)
by_cell = cell.step(p, cell.initial_state(p, 2)._replace(h=s), cell.project(p, x)).h
print(f"the four lines and the cell are {abs(gru(p, s, x) - by_cell).max():.0g} apart")

# %% [markdown]
# With $r = 1$ and $z = 0$ it is the plain network of chapter 4, says the original.

# %%
half = p["b"].shape[0] // 3
open_gates = p | {
    "b": jnp.concatenate(
        [jnp.full(half, 9.0), jnp.full(half, -9.0), p["b"][2 * half :]]
    )
}
plain = jnp.tanh(x @ p["w_x"][:, 2 * half :] + s @ p["w_h"][:, 2 * half :])
apart = float(abs(gru(open_gates, s, x) - plain).max())
print(f"gates held open by their biases: {apart:.0g} from tanh(U x + W s)")

# %% tags=["claim"]
claims.add(
    "a GRU with r = 1 and z = 0 is the plain network",
    "yes",
    f"{apart:.0g} apart",
    apart < 1e-6,
)

# %% [markdown]
# ## The LSTM
#
# $$\begin{align*} i &= \sigma(U^i x_t + W^i h_{t-1} + b^i) \\
# f &= \sigma(U^f x_t + W^f h_{t-1} + b^f) \\
# g &= \tanh(U^g x_t + W^g h_{t-1} + b^g) \\
# o &= \sigma(U^o x_t + W^o h_{t-1} + b^o) \\
# c_t &= f \odot c_{t-1} + i \odot g \\ h_t &= o \odot \tanh(c_t) \end{align*}$$


# %%
def lstm(p, h, c, x, blocks):
    """One step; `blocks` names the columns of p's matrices in their order."""
    whole = x @ p["w_x"] + h @ p["w_h"] + p["b"][None]
    z = dict(zip(blocks, jnp.split(whole, 4, axis=1), strict=True))
    i = jax.nn.sigmoid(z["input"])
    f = jax.nn.sigmoid(z["forget"])
    g = jnp.tanh(z["candidate"])
    o = jax.nn.sigmoid(z["output"])
    c = f * c + i * g
    return o * jnp.tanh(c), c


memory = make_cell("lstm", 5)
q = memory.init(jax.random.key(2), 3)
before = memory.initial_state(q, 2)._replace(h=s, c=-s)
after = memory.step(q, before, memory.project(q, x))
by_hand, _ = lstm(q, s, -s, x, memory.blocks)
apart = float(abs(by_hand - after.h).max())
print(f"the lines and the cell are {apart:.0g} apart")

# %% tags=["claim"]
claims.add(
    "an LSTM",
    "in the title; its code has none",
    f"six lines, {apart:.0g} from the cell lstm of this project",
    apart < 1e-6,
)
sizes = {}
for name in ("gru", "lstm"):
    one = make_cell(name, 128, bias=False)
    shapes = jax.eval_shape(lambda one=one: one.init(jax.random.key(0), 128))
    sizes[name] = count_parameters(shapes)
claims.add(
    "a GRU has fewer parameters than an LSTM",
    "yes",
    f"{sizes['gru']:,} and {sizes['lstm']:,} where all widths are 128",
    sizes["gru"] < sizes["lstm"],
)

# %% [markdown]
# ## The original's network, trained a little
#
# Two layers of GRU on an embedding, a sentence a step, rmsprop:
#
# $$v \leftarrow 0.9\, v + 0.1\, g^2, \qquad
# w \leftarrow w - \frac{\eta\, g}{\sqrt{v + 10^{-6}}}$$
#
# The original gives no number for what it learnt. Its command here is
# `experiments.train --config tutorial_part4`; this is the beginning of that run.

# %%
part_4 = load_named("tutorial_part4")
part_4 = replace(
    part_4,
    data=replace(
        part_4.data, corpus=CORPUS, max_vocabulary=WORDS, grammar_sentences=200
    ),
    model=replace(part_4.model, hidden=H, embedding=H),
)
run = learnt(part_4, STEPS)
trained = load_trained(run)
perplexity = read_json(run / "summary.json")["valid"]["perplexity"]
C = trained.vocabulary.size
print(f"perplexity after {STEPS:,} sentences: {perplexity:.0f}, before training {C:,}")

# %% tags=["claim"]
claims.add(
    "two GRU layers learn, trained by rmsprop",
    "no number given",
    f"validation perplexity {perplexity:.0f} after {STEPS:,} sentences, of {C:,} words",
    perplexity < C,
)

# %% [markdown]
# ## Its gates, while it reads
#
# Each row is a unit of the lower layer, each column a word. Bright is an open gate: the
# update gate keeps the state, the reset gate reads it.

# %%
SENTENCE = "return the number of items in the list that are not in the other list ."
words = SENTENCE.split()
ids_T1 = trained.vocabulary.encode(words)[:, None].astype(np.int32)
batch = batch_of(np.concatenate([ids_T1, ids_T1[-1:]]))
start = trained.model.initial_state(trained.params, 1)
lower, upper = seen(trained.model.problem, trained.params, start, batch)
panels = {
    f"{name} gate, lower layer": np.asarray(lower.gates[name][:, 0, :24])
    for name in ("update", "reset")
}
show(over_words(panels, words, "Gates of 24 units; bright is open, 1, dark is 0."))
rows = [
    (layer, *(f"{float(one.gates[name].mean()):.2f}" for name in ("update", "reset")))
    for layer, one in (("lower", lower), ("upper", upper))
]
show(Grid(("layer", "mean of update", "mean of reset"), rows))

# %% [markdown]
# ## What a forget bias does
#
# An untrained LSTM's forget gates are about $\sigma(b_f)$, by which the gradient of
# the memory $c$ is multiplied at every step. So theory foretells the horizon, where 1 %
# of it is left:
#
# $$\sigma(b_f)^k = 0.01 \quad\Rightarrow\quad k = \frac{\ln 0.01}{\ln \sigma(b_f)}$$
#
# Measured: the norm of $\partial \ell_t / \partial c_{t-k}$ on random words, of a
# network with very small weights, relative to $k = 1$. (Larger ones are a second path,
# from $c$ through $h$ and $W$ to the next $c$, and reach further.)

# %%
text = random_batch(50, WINDOW, 8)._replace(fresh=np.ones(8, bool))


@jax.jit
def memory_norms(params):
    """‖∂ℓ/∂c_{T−k}‖, ℓ being the loss of word T: (K,), from k = 1 on, since the loss
    reads h_T and no c_T."""
    last, _ = small.problem.focus(text)
    state = small.initial_state(params, 8)
    found = state_gradients(small.problem, params, state, last)
    return field_norms(found["0"])["c"].mean(axis=1)[-2::-1]


rows, horizons = [], {}
init = InitConfig(weights="normal", scale=0.0005)
small = build(ModelConfig("lstm", hidden=H // 2, embedding=H // 2, init=init), 50)
drawn = small.init(jax.random.key(0))
for bias in BIASES:
    gate = drawn["layers"][0]["b"].at[H // 2 : H].set(bias)
    inner = drawn["layers"][0] | {"b": gate}
    norms = np.asarray(memory_norms(drawn | {"layers": (inner,)}))
    far = int(np.flatnonzero(norms > 0.01 * norms[0]).max())
    horizons[bias] = far, float(np.log(0.01) / np.log(1 / (1 + np.exp(-bias))))
    rows.append((bias, far, f"{horizons[bias][1]:.1f}"))
show(Grid(("b_f", "measured horizon", "ln 0.01 / ln σ(b_f)"), rows))

# %%
several = np.linspace(min(BIASES), max(BIASES), 41)
theory = np.log(0.01) / np.log(1 / (1 + np.exp(-several)))
lines = {
    "theory": (several, theory),
    "measured": (BIASES, [far for far, _ in horizons.values()]),
}
reading = f"Horizon of an untrained LSTM; lags are counted up to {WINDOW - 2:,}."
show(curves(lines, reading, "forget bias", "horizon in steps", log="y"))

# %% tags=["claim"]
inside = {b: pair for b, pair in horizons.items() if pair[1] < WINDOW - 2}
claims.add(
    "an LSTM keeps gradients from vanishing",
    "yes, by its gates",
    "untrained, by its forget bias: "
    + ", ".join(f"b_f = {b}: {far} steps ({k:.0f})" for b, (far, k) in inside.items())
    + " (in brackets: theory)",
    all(abs(far - k) <= 1 + 0.1 * k for far, k in inside.values()),
)

# %% [markdown]
# ## Batching
#
# The original reads a sentence at a time and calls batching the most important trick
# that it leaves out. A step of $B$ sentences does $B$ times the work, but not in $B$
# times the time,
#
# $$t(B) \approx a + b B,$$
#
# because a matrix is read from memory once for all of them. One layer of GRU with 128
# units, 1,000 words, sentences of 20:

# %%
gru_model = build(ModelConfig("gru", hidden=H, embedding=H), 100 if SMALL else 1_000)
optim = OptimConfig(learning_rate=0.001)
numbers = numbers_of(Config(model=gru_model.config, optim=optim))
step, key = jax.jit(make_train_step(gru_model.problem, optim)), jax.random.key(0)


def one_step(lanes):
    """A call that takes one training step on `lanes` sentences."""
    state = init_state(gru_model.problem, optim, numbers, key, lanes)
    given = random_batch(gru_model.vocabulary, 20, lanes)
    return lambda: jax.block_until_ready(step(state, given, key, numbers))


sides = {str(lanes): one_step(lanes) for lanes in BATCHES}
seconds = {int(n): float(np.median(s)) for n, s in interleaved(sides, ROUNDS).items()}
speed = {lanes: 20 * lanes / s for lanes, s in seconds.items()}
lines = {"a training step": (list(speed), list(speed.values()))}
reading = "Words learnt from in a second, by how many sentences a step takes."
show(curves(lines, reading, "sentences in a batch", "words a second", log="xy"))
rows = [(n, f"{1e3 * s:.1f}", f"{speed[n]:,.0f}") for n, s in seconds.items()]
show(Grid(("sentences", "ms a step", "words a second"), rows))

# %% tags=["claim"]
most, gain = max(BATCHES), speed[max(BATCHES)] / speed[1]
claims.add(
    "batching is the most important trick",
    "yes; not shown",
    f"{most} sentences at once: {gain:.1f} times as many words a second",
    gain > 1,
)

# %% [markdown]
# ## Exercise 1: hard and soft gates
#
# How far are the outputs of the trained network from those with the true logistic
# function in its gates?

# %% tags=["solution"]
soft = build(replace(trained.config.model, cell="gru_reset_before"), C)
_, hs = trained.model.apply(trained.params, ids_T1, start)
_, others = soft.apply(trained.params, ids_T1, start)
size = np.linalg.norm(hs) / hs.size**0.5
print(f"apart by {np.abs(hs - others).max():.3f} at most; states are about {size:.2f}")

# %% [markdown]
# ## Exercise 2: couple the gates
#
# Let the LSTM forget exactly as much as it writes, $f = 1 - i$. How many parameters go,
# and is it the cell `lstm_coupled`?

# %% tags=["solution"]
coupled = make_cell("lstm_coupled", 5)
q = coupled.init(jax.random.key(3), 3)
begin = coupled.initial_state(q, 2)
after = coupled.step(q, begin, coupled.project(q, x))
z = dict(zip(coupled.blocks, jnp.split(coupled.project(q, x), 3, axis=1), strict=True))
i, o = jax.nn.sigmoid(z["input"]), jax.nn.sigmoid(z["output"])
by_hand = o * jnp.tanh((1 - i) * begin.c + i * jnp.tanh(z["candidate"]))
print(f"one step from 0: {float(abs(by_hand - after.h).max()):.0g} apart")
print(f"columns: {q['w_x'].shape[1]} in place of {memory.init(key, 3)['w_x'].shape[1]}")

# %% [markdown]
# ## Exercise 3: how large a batch?
#
# Fit $t(B) = a + bB$ to the times above. From which $B$ on is the fixed part $a$ less
# than a fifth of a step?

# %% tags=["solution"]
lanes, times = np.array(list(seconds)), np.array(list(seconds.values()))
b, a = np.polyfit(lanes, times, 1)
print(f"a = {1e3 * a:.2f} ms, b = {1e3 * b:.3f} ms a sentence")
print(f"a is a fifth of a step at B = {4 * a / b:.0f}")

# %% [markdown]
# ## What the original says, what we measured

# %% tags=["claim"]
show(claims.table())

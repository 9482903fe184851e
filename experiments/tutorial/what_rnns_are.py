# %% [markdown]
# # 3. What RNNs are
#
# A recurrent network reads a sequence one element at a time and keeps a state. This
# retells Part 1 of the tutorial (Britz 2015), which has no code, with networks that
# run; the questions that its readers asked below it are answered in a line each.

# %%
"""Chapter 3: what a recurrent network is, its shapes, its uses, questions."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from data_pipeline.dataset import prepare
from data_pipeline.windows import windows
from experiments.applications.language_model.application import batch_of
from experiments.applications.language_model.scoring import score_lines
from experiments.applications.language_model.writing import make_writer
from experiments.config import load_named
from experiments.figures.tutorial import over_words, unrolled
from experiments.results.rows import rows
from experiments.train.trained import load_trained
from experiments.tutorial.learning import ask, learnt
from experiments.tutorial.shown import Claims, Grid, show
from lm.cells import make_cell
from lm.config import ModelConfig
from lm.gradflow.through_time import lag_profile
from lm.layers import bidirectional, recurrent, stack
from lm.models.language_model import build
from lm.train import count_parameters

# %% tags=["parameters"]
SMALL = False  # True: sizes for a quick look

# %%
claims = Claims()
SENTENCES, STEPS = (300, 2) if SMALL else (20_000, 1_500)
OPINIONS, OPINION_STEPS = (20, 2) if SMALL else (2_000, 250)
RULE_STEPS = 2 if SMALL else 2_500
LAGS, LANES = (5, 4) if SMALL else (30, 64)

# %% [markdown]
# ## The formula, and three matrices
#
# $$\begin{align*} s_t &= \tanh(U x_t + W s_{t-1}) \\
# o_t &= \operatorname{softmax}(V s_t) \end{align*}$$
#
# $x_t$ is the word at step $t$ as a one-hot vector of $C$ numbers, $s_t$ the state of
# $H$ units, $o_t$ a probability for each of the $C$ words to come next. The same $U$,
# $W$ and $V$ serve every step, so their number does not depend on the length of the
# sentence: $2HC + H^2$. The code has vectors as rows and multiplies from the right:
# $x W_x$ where the formula has $U x$.

# %%
C, H = 8_000, 100
config = ModelConfig(cell="tanh", hidden=H, embedding=0, bias=False)
shapes = jax.eval_shape(build(config, C).init, jax.random.key(0))
names = {"U": ("layers", 0, "w_x"), "W": ("layers", 0, "w_h"), "V": ("softmax", "w")}


def at(tree, path):
    """A leaf of nested parameters."""
    for key in path:
        tree = tree[key]
    return tree


given = [(name, at(shapes, path).shape) for name, path in names.items()]
show(Grid(("matrix", "shape here"), given))
print(f"{count_parameters(shapes):,} parameters, 2HC + H² = {2 * H * C + H * H:,}")

# %% tags=["claim"]
claims.add(
    "parameters with C = 8,000 and H = 100",
    "1,610,000",
    f"{count_parameters(shapes):,}",
    count_parameters(shapes) == 1_610_000,
)

# %% [markdown]
# ## One-hot and index are the same
#
# $U x_t$ with a one-hot $x_t$ is a column of $U$: no product is needed. The cell reads
# word numbers and one-hot rows, and finds the same numbers.

# %%
cell = make_cell("tanh", H)
params = cell.init(jax.random.key(0), C)
ids = jnp.array([3, 1, 4])
by_index = cell.project(params, ids)
by_product = cell.project(params, jax.nn.one_hot(ids, C))
print(f"apart by {abs(by_index - by_product).max():.0g}; shape {by_index.shape}")

# %% tags=["claim"]
claims.add(
    "a one-hot product is a column of U",
    "yes: U[:, x[t]]",
    f"{abs(by_index - by_product).max():.0g} apart",
    abs(by_index - by_product).max() < 1e-6,
)

# %% [markdown]
# ## Unrolled: a real network over a real sentence
#
# To unroll is to draw the steps side by side. This network has sixteen units and has
# read some thousand sentences of a small grammar; its states are drawn as they were.

# %%
grammar = load_named("grammar")
grammar = replace(
    grammar,
    data=replace(grammar.data, grammar_sentences=SENTENCES, batch=10),
    model=ModelConfig(cell="tanh", hidden=16, embedding=0, bias=False),
)
language = load_trained(learnt(grammar, STEPS))
sentence = ["<eos>", "the", "cat", "that", "the", "dogs", "see", "sleeps", "."]
ids_T1 = language.vocabulary.encode(sentence)[:, None].astype(np.int32)
start = language.model.initial_state(language.params, 1)
_, hs_T1H = language.model.apply(language.params, ids_T1, start)
logits_T1V = language.model.logits(language.params, hs_T1H)
likeliest = language.vocabulary.decode(np.asarray(logits_T1V[:, 0].argmax(-1)))
show(unrolled(sentence, np.asarray(hs_T1H[:, 0]), likeliest))

# %% [markdown]
# ## One to many, many to one, many to many
#
# What differs is only where something goes in and where something comes out. Each kind
# is an application of this project; three of them are trained here in a short form.
#
# **Many to one**: a network reads a sentence and says once, at its end, whether it is
# praise (`experiments.train --config sentiment`). Negation turns words round, so
# counting words cannot do it.

# %%
opinions = load_named("sentiment")
opinions = replace(opinions, data=replace(opinions.data, sentences=OPINIONS))
judge = learnt(opinions, OPINION_STEPS)
sentences = ("the film is good", "the film is not good", "the film is not bad")
answers = [(record["text"], record["answer"]) for record in ask(judge, *sentences)]
show(Grid(("sentence", "answer"), answers))

# %% [markdown]
# **One to one** is a network without time: one step from $s_0 = 0$, in which $W$ takes
# no part. It is the same network with one word to read, and its layer is the hidden
# layer of chapter 1.

# %%
answers = [(record["text"], record["answer"]) for record in ask(judge, "good", "bad")]
show(Grid(("word", "answer"), answers))
hidden = recurrent(make_cell("tanh", 3))
weights = hidden.init(jax.random.key(0), 2)
xs_1BD = jnp.array([[[0.3, -0.2]]])
_, by_layer = hidden.apply(weights, xs_1BD, hidden.initial_state(weights, 1))
by_chapter_1 = jnp.tanh(xs_1BD @ weights["w_x"] + weights["b"][None, None])
print(
    "one step is chapter 1's hidden layer:", bool(jnp.allclose(by_layer, by_chapter_1))
)

# %% [markdown]
# **One to many**: from one word, `<eos>`, the language model above writes sentences,
# each word drawn from $o_t$ and read as $x_{t+1}$ (`experiments.generate`).

# %%
write = make_writer(
    language.config, language.vocabulary, language.model, samples=3, max_tokens=20
)
print("\n".join(write(language.params, jax.random.key(1))))

# %% [markdown]
# **Many to many, step by step**: a language model says after every word what may come
# next, and its score of a sentence is the sum (`experiments.score`).

# %%
(scored,) = score_lines(language, [" ".join(sentence[1:])])
words = zip(scored.tokens, (f"{nats:.2f}" for nats in scored.nats), strict=True)
show(Grid(("word", "nats"), words))
print(f"the sentence: {scored.total:.2f} nats")

# %% [markdown]
# **Many to many, first all of it**: numbers are read to their end, and the next one is
# written digit by digit (`--config sequences`; `--config translation` is of this kind).
# Differences of 1 to 10 are trained on, but not 4 and 7: the last question is of a kind
# that it never saw.

# %%
counting = load_named("sequences")
counting = replace(counting, data=replace(counting.data, looked=50, examined=50))
counter = learnt(counting, RULE_STEPS)
asked = ("1,2,3,4", "1,3,5,7", "10,13,16", "20,25,30,35", "1,5,9,13")
answers = [(record["text"], record["answer"]) for record in ask(counter, *asked)]
show(Grid(("numbers", "next"), answers))

# %% [markdown]
# All applications of this project, with the scores of their committed runs on test
# data:

# %%
KINDS = {
    "captions": ("one to many: a picture, told in a sentence", "exact"),
    "grammar": ("one to many, many to many: sentences", "perplexity"),
    "sentiment": ("many to one: praise or not", "accuracy"),
    "signals": ("many to one: which tone", "accuracy"),
    "forecast": ("many to many: the next value, at each step", "rmse"),
    "translation": ("many to many: reads all, then writes", ""),
    "sequences": ("many to many: reads 1,4,7, writes 10", "solved_unseen_steps"),
    "correction": ("many to many: a sentence set right", "sentence_accuracy"),
    "gap": ("many to many, both ways: the missing word", "accuracy"),
    "char_words": ("many to one inside: letters, then words", "perplexity"),
}


# %%
def row_of(name, kind, score):
    """A committed run as a row of the table; without a score, its first."""
    if name not in rows():
        return name, kind, "not measured yet"
    metrics = rows()[name]["metrics"]
    found = metrics["test"] | metrics.get("scores", {}).get("test", {})
    losses = ("loss", "count", "tokens", "nats_per_token", "perplexity")
    score = score or next((n for n in found if n not in losses), "perplexity")
    return name, kind, f"{score.replace('_', ' ')} {found[score]:.3g}"


table = [row_of(name, *told) for name, told in KINDS.items()]
show(Grid(("--config", "kind", "test score"), table))

# %% [markdown]
# ## Both ways, and deep
#
# A bidirectional layer is two networks, one of which reads from the right; a deep
# network has layers that read the states below them.
#
# $$\begin{align*} f_t &= \tanh(U x_t + W f_{t-1}) \\
# g_t &= \tanh(U' x_t + W' g_{t+1}) \\ y_t &= [f_t\ g_t] \end{align*}$$
#
# **Who sees what** can be measured:
# the norm of $\partial y_t / \partial x_k$, zero where the output at $t$ knows nothing
# of the input at $k$.

# %%
T, cell = 8, make_cell("gru", 4)
layers = {
    "one way": recurrent(cell),
    "both ways": bidirectional(recurrent(cell), recurrent(cell)),
    "deep, one way": stack(recurrent(cell), recurrent(cell)),
}
xs_T1D = jax.random.normal(jax.random.key(0), (T, 1, 3))


def seen(layer):
    """(T, T): the norm of ∂y_t/∂x_k, over the largest."""
    weights = layer.init(jax.random.key(1), 3)
    start = layer.initial_state(weights, 1)
    slopes = jax.jit(jax.jacrev(lambda xs: layer.apply(weights, xs, start)[1]))
    norms_TT = np.sqrt((np.asarray(slopes(xs_T1D)) ** 2).sum(axis=(1, 2, 4, 5)))
    return norms_TT / norms_TT.max()


reading = (
    "Columns: output step t. Upwards: input step k. Dark: the output knows nothing."
)
sights = {name: seen(layer) for name, layer in layers.items()}
panels = {name: np.sqrt(sight_TT) for name, sight_TT in sights.items()}
show(over_words(panels, [f"y{t + 1}" for t in range(T)], reading, unit="x"))

# %% tags=["claim"]
ahead = np.triu_indices(T, 1)
one_way, both = (float(sights[name][ahead].max()) for name in ("one way", "both ways"))
claims.add(
    "outputs of a bidirectional network depend on later elements too",
    "yes",
    f"largest ∂y/∂(later x), relative: {one_way:.0f} one way, {both:.2f} both ways",
    one_way == 0 < both,
)

# %% [markdown]
# ## Questions that readers asked
#
# **Why a sum $W s + U x$?** It is one product: $[W\ U]$ times $s$ and $x$, one on the
# other.

# %%
cell, key = make_cell("tanh", H, bias=False), jax.random.key(2)
p = cell.init(key, 50)
s, x = jax.random.normal(key, (1, H)), jax.random.normal(key, (1, 50))
joined = jnp.concatenate([s, x], axis=1) @ jnp.concatenate([p["w_h"], p["w_x"]])
print("the same:", bool(jnp.allclose(s @ p["w_h"] + x @ p["w_x"], joined, atol=1e-5)))

# %% [markdown]
# **What happens with a product, $(W s) \odot (U x)$?** From $s_0 = 0$ the state stays 0
# for ever, whatever is read.

# %%
state = jnp.zeros((1, H))
for _ in range(5):
    state = jnp.tanh((state @ p["w_h"]) * (x @ p["w_x"]))
print("after five steps:", float(abs(state).max()))

# %% [markdown]
# **And with a tensor, $s^\top T x$?** Then every word has a matrix $W$ of its own: too
# many numbers, which is why the multiplicative RNN (Sutskever 2011) factors them.

# %%
multiplicative = make_cell("multiplicative_rnn", H)
few = count_parameters(jax.eval_shape(lambda: multiplicative.init(key, C)))
print(f"a tensor has {H * H * C:,} numbers, the factored form {few:,}")

# %% [markdown]
# **Does step $t + 1$ know of $x_{t-1}$?** Yes, but only through $s_t$: its gradient is
# not 0, and it is 0 as soon as $s_t$ is held fixed.


# %%
def two_steps(x_before, fixed):
    """s_{t+1} of s_t, which is made of x_{t−1} and may be held fixed."""
    s_t = jnp.tanh(x_before @ p["w_x"])
    s_t = jax.lax.stop_gradient(s_t) if fixed else s_t
    return jnp.tanh(s_t @ p["w_h"]).sum()


slope = jax.grad(two_steps)
slopes = [float(jnp.linalg.norm(slope(x, fixed))) for fixed in (False, True)]
print("‖∂s_t+1/∂x_t−1‖: {:.2f}, with s_t held fixed {:.2f}".format(*slopes))

# %% [markdown]
# **What is $x_0$, and what comes before $s_0$?** $x_0$ is a mark that every sentence
# begins with, here `<eos>`, the end of the sentence before; $s_{-1}$ is zero. After it
# the network knows how sentences begin:

# %%
P = np.asarray(jax.nn.softmax(logits_T1V[0, 0]))
first = np.argsort(-P)[:5]
words = language.vocabulary.decode(first)
print(", ".join(f"{w} {100 * P[n]:.0f} %" for w, n in zip(words, first, strict=True)))

# %% [markdown]
# **What bounds long from short memory?** Nothing in the formula: $s_t$ may depend on
# $x_0$. How far a trained network does look back is a number, its horizon: the largest
# lag at which over 1 % of the gradient of a word's loss is left (chapter 5).

# %%
text = windows(prepare(language.config.data).splits["valid"].ids, LAGS + 1, LANES)
batch = batch_of(text)
start = language.model.initial_state(language.params, len(batch.fresh))
measure = jax.jit(lag_profile, static_argnums=0)
profile = measure(language.model.problem, language.params, start, batch)
horizon = int(profile.horizon_L[0])
print(f"horizon of the network above: {horizon} steps")

# %% tags=["claim"]
claims.add(
    "RNNs remember, in theory, everything before",
    "in practice only a few steps",
    f"trained on a grammar: 1 % of the gradient is left after {horizon} steps",
    horizon < LAGS,
)

# %% [markdown]
# ## Exercise 1: how many numbers?
#
# A GRU has three blocks in place of one, an LSTM four. How many parameters have they
# with $C = 8000$ and $H = 100$, without biases?

# %% tags=["solution"]
for name, blocks in (("tanh", 1), ("gru", 3), ("lstm", 4)):
    one = build(replace(config, cell=name), C)
    found = count_parameters(jax.eval_shape(one.init, jax.random.key(0)))
    expected = blocks * (H * C + H * H) + H * C
    print(f"{name:5}{found:12,}   {blocks}(HC + H²) + HC = {expected:,}")

# %% [markdown]
# ## Exercise 2: does the order matter?
#
# Read a sentence and its words in reverse. Compare the last states, once with the
# trained network and once with $W = 0$.


# %% tags=["solution"]
def last_state(params, ids):
    """After the last word."""
    start = language.model.initial_state(params, 1)
    return language.model.apply(params, ids[:, None], start)[1][-1, 0]


words_T = np.asarray(ids_T1[1:, 0])
same_end = np.append(words_T[-2::-1], words_T[-1])  # reversed, but for the last
without = jax.tree.map(jnp.array, language.params)
without["layers"][0]["w_h"] *= 0
for name, weights in (("W as trained", language.params), ("W = 0", without)):
    ends = [last_state(weights, ids) for ids in (words_T, same_end)]
    print(f"{name:13} states apart by {jnp.linalg.norm(ends[0] - ends[1]):.3f}")

# %% [markdown] tags=["solution"]
# Both orders end in the same word. Without $W$ the state knows only that word.

# %% [markdown]
# ## Exercise 3: longer sentences
#
# Read a sentence of ten thousand words with the network above. What has to change?

# %% tags=["solution"]
long = np.tile(ids_T1[1:], (1_250, 1))
start = language.model.initial_state(language.params, 1)
_, states = language.model.apply(language.params, long, start)
print(f"nothing: {len(states):,} states of {states.shape[-1]} units")

# %% [markdown]
# ## What the original says, what we measured

# %% tags=["claim"]
show(claims.table())

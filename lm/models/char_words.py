"""A language model whose words are made of their characters.

    x_t = speller(characters of w_t)        in place of E[w_t]
    P(w_{t+1} | w_1 … w_t) = softmax(stack(x_1 … x_t)·W + b)

Words outside the vocabulary are read by their own characters; predicted is the
vocabulary, `<unk>` for all others, as ever. Two spellers, each followed by a matrix
into the width of the embedding that it stands for:

convolution (Kim, Jernite, Sontag & Rush 2016, equations 5 to 8; no such matrix there):
    f_k = tanh(⟨window of w characters, H_k⟩ + b_k)     y_k = max over the windows
    z = t ⊙ relu(y·W_H + b_H) + (1 − t) ⊙ y,  t = σ(y·W_T + b_T)   highway, b_T = −2
bilstm (Ling et al. 2015): the last state of an LSTM over the characters and the first
    of one that reads from the right, side by side.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lm import dropout as drop
from lm.cells import make_cell
from lm.cells.forms import add_bias, draw
from lm.config import ConfigError, InitConfig, ModelConfig, SpellingConfig, unknown
from lm.layers import bidirectional, recurrent
from lm.losses import token_nats
from lm.models.language_model import LanguageModel, build, last_token
from lm.problem import InitNumbers, Problem, start, taps_of, with_numbers
from lm.products import matmul
from lm.types import Array, Context, Params, Spelled, State, Sum

CARRIED = -2.0  # bias of a highway's gate: at first it hands on what it gets


class Speller(NamedTuple):
    """Characters into word vectors.

    init   (key) -> params.
    apply  (params, spelling_NW, 0 behind each word) -> (N, D).
    """

    init: Callable[[Array], Params]
    apply: Callable[[Params, Array], Array]


class CharWords(NamedTuple):
    """Pure functions.

    model    the language model between the word vectors and the softmax.
    vectors  (params, spelling (…, W)) -> (…, D); None where words have an embedding.
    outputs  (params, carry, batch, context) -> (carry, logits_TBV).
    problem  what is trained: −ln P of each next token, and "after_unknown" beside it,
             of those alone that follow `<unk>`.
    """

    model: LanguageModel
    vectors: Callable[[Params, Array], Array] | None
    outputs: Callable[..., tuple[State, Array]]
    problem: Problem


def convolution(config: SpellingConfig, model: ModelConfig, signs: int) -> Speller:
    """Kim 2016. A window that reaches over a word's end sees zeros there; a word
    shorter than the window has one of them."""
    counts = {w: w * config.filters for w in range(1, config.widths + 1)}
    width = sum(counts.values())

    def init(key: Array) -> Params:
        key, key_signs, key_out, *keys = jax.random.split(key, 3 + config.widths)
        params: dict[str, Any] = {
            "signs": characters(key_signs, (signs, config.characters), model.init),
            "out": draw(key_out, (width, model.embedding), model.init),
        }
        for own, (w, count) in zip(keys, counts.items(), strict=True):
            params[f"window_{w}"] = {
                "w": draw(own, (w * config.characters, count), model.init),
                "b": jnp.zeros(count),
            }
        for n, own in enumerate(jax.random.split(key, config.highway)):
            key_h, key_t = jax.random.split(own)
            params[f"highway_{n}"] = {
                "w_h": draw(key_h, (width, width), model.init),
                "b_h": jnp.zeros(width),
                "w_t": draw(key_t, (width, width), model.init),
                "b_t": jnp.full(width, CARRIED),
            }
        return params

    def apply(params: Params, spelling_NW: Array) -> Array:
        real_NW = (spelling_NW > 0).astype(jnp.float32)
        cs_NWC = jnp.take(params["signs"], spelling_NW, axis=0) * real_NW[..., None]
        lengths_N = jnp.sum(spelling_NW > 0, axis=1)
        ys = [strongest(params[f"window_{w}"], cs_NWC, lengths_N, w) for w in counts]
        y = jnp.concatenate(ys, axis=-1)
        for n in range(config.highway):
            y = highway(params[f"highway_{n}"], y)
        return matmul(y, params["out"])

    return Speller(init, apply)


def characters(key: Array, shape: tuple[int, int], init: InitConfig) -> Array:
    """Vectors of characters: N(0, 1); drawn as all weights are where these have one
    scale whatever their fan-in, as Kim's U(±.05)."""
    if init.weights in ("uniform", "normal"):
        return draw(key, shape, init)
    return jax.random.normal(key, shape)


def strongest(params: Params, cs_NWC: Array, lengths_N: Array, w: int) -> Array:
    """Each filter's largest answer over the windows of w characters: (N, filters)."""
    count = cs_NWC.shape[1] - w + 1
    windows = [cs_NWC[:, i : i + count] for i in range(w)]
    found = matmul(jnp.concatenate(windows, axis=-1), params["w"])
    last_N1 = jnp.maximum(lengths_N - w, 0)[:, None]
    inside = jnp.arange(count)[None] <= last_N1
    found = jnp.where(inside[..., None], found, -jnp.inf)
    return jnp.tanh(add_bias(jnp.max(found, axis=1), params["b"]))


def highway(params: Params, y: Array) -> Array:
    """t ⊙ relu(y·W_H + b_H) + (1 − t) ⊙ y (Srivastava, Greff & Schmidhuber 2015)."""
    gate = jax.nn.sigmoid(add_bias(matmul(y, params["w_t"]), params["b_t"]))
    new = jax.nn.relu(add_bias(matmul(y, params["w_h"]), params["b_h"]))
    return gate * new + (1 - gate) * y


def bilstm(config: SpellingConfig, model: ModelConfig, signs: int) -> Speller:
    """Ling 2015."""
    cell = make_cell("lstm", config.units, model.init, True)
    layer = bidirectional(recurrent(cell), recurrent(cell))

    def init(key: Array) -> Params:
        key_signs, key_layer, key_out = jax.random.split(key, 3)
        return {
            "signs": characters(key_signs, (signs, config.characters), model.init),
            "layer": layer.init(key_layer, config.characters),
            "out": draw(key_out, (layer.d_out, model.embedding), model.init),
        }

    def apply(params: Params, spelling_NW: Array) -> Array:
        real_WN = (spelling_NW.T > 0).astype(jnp.float32)
        xs = jnp.take(params["signs"], spelling_NW.T, axis=0)
        state = layer.initial_state(params["layer"], len(spelling_NW))
        inner = Context(mask_TB=real_WN)
        _, hs = layer.apply(params["layer"], xs, state, inner)
        # The state is handed through what is behind a word: the last step has it.
        there, back = hs[-1, :, : config.units], hs[0, :, config.units :]
        return matmul(jnp.concatenate([there, back], axis=-1), params["out"])

    return Speller(init, apply)


SPELLERS = {"convolution": convolution, "bilstm": bilstm}


def build_char_words(
    config: ModelConfig,
    vocabulary: int,
    signs: int,
    words: str = "convolution",
    spelling: SpellingConfig | None = None,
    unknown_id: int = 1,
) -> CharWords:
    """The language model that `config` describes, over `vocabulary` words.

    signs       ids of characters that there are.
    words       a name in SPELLERS, or "embedding": rows of a table, as in
                `lm.models.language_model`.
    unknown_id  that of `<unk>`.

    Raises:
      ConfigError: without an embedding's width, or for a softmax that shares a table
        which is not there.
    """
    if words != "embedding" and words not in SPELLERS:
        raise ConfigError(unknown("words", words, [*SPELLERS, "embedding"]))
    model, how = build(config, vocabulary), spelling or SpellingConfig()
    speller = SPELLERS[words](how, config, signs) if words in SPELLERS else None

    def vectors(params: Params, spelt: Array) -> Array:
        assert speller is not None
        flat_NW = spelt.reshape(-1, spelt.shape[-1])
        found_ND = speller.apply(params["speller"], flat_NW)
        return found_ND.reshape(*spelt.shape[:-1], found_ND.shape[-1])

    def outputs(params: Params, carry: State, batch: Spelled, context=Context()):
        carry = start(model.initial_state, params, carry, batch.fresh)
        if speller is None:
            carry, hs = model.apply(params, batch.inputs, carry, context)
            return carry, model.logits(params, hs)
        xs = vectors(params, batch.spelling)
        carry, hs = model.stack.apply(params["layers"], xs, carry, context)
        if context.dropout is not None and config.dropout.output:
            at = context.dropout.at(config.layers)
            hs = drop.features(at, hs, config.dropout.kind, "output")
        return carry, model.logits(params, hs)

    def init(key: Array, numbers: InitNumbers | None = None) -> Params:
        drawn = with_numbers(config, numbers)
        params = build(drawn, vocabulary).init(key)
        if speller is None:
            return params
        del params["embedding"]
        own = SPELLERS[words](how, drawn, signs)
        return params | {"speller": own.init(jax.random.fold_in(key, 1))}

    made = CharWords(model, vectors if speller else None, outputs, None)  # type: ignore
    return made._replace(problem=make_problem(made, init, unknown_id))


def make_problem(made: CharWords, init, unknown_id: int) -> Problem:
    """−ln P of each next token that counts."""
    parts = made.model.parts

    def nats(params: Params, carry: State, batch: Spelled, context: Context):
        carry, logits_TBV = made.outputs(params, carry, batch, context)
        return carry, token_nats(logits_TBV, batch.targets) * batch.mask

    def loss(params: Params, carry: State, batch: Spelled, context: Context):
        carry, nats_TB = nats(params, carry, batch, context)
        return carry, Sum(jnp.sum(nats_TB), jnp.sum(batch.mask))

    def evaluate(params: Params, carry: State, batch: Spelled):
        carry, nats_TB = nats(params, carry, batch, Context())
        after_TB = batch.mask * (batch.inputs == unknown_id)
        return carry, {
            "loss": Sum(jnp.sum(nats_TB), jnp.sum(batch.mask)),
            "after_unknown": Sum(jnp.sum(nats_TB * after_TB), jnp.sum(after_TB)),
        }

    return Problem(
        init=init,
        carry=made.model.initial_state,
        loss=loss,
        evaluate=evaluate,
        taps=lambda params, batch: taps_of(parts, params, *batch.targets.shape),
        parts=parts,
        focus=lambda batch: last_token(batch, parts),
    )

"""Text from a model: sampling and beam search, one step per token.

`make_sampler` and `make_beam` take any `step(params, state, token_B) -> (state,
logits_BV)` and go on from a state: a language model's, a decoder's. A prompt is read
once; after that each token costs one step, never the whole prefix again. Everything
here is pure: the same key gives the same tokens, and a longer text begins with the
shorter one.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from lm.config import at_least, within
from lm.models.language_model import LanguageModel
from lm.types import Array, Params, State

Step = Callable[[Params, State, Array], tuple[State, Array]]

NOISE = 1 << 17  # random numbers that a lane draws at once
COLDEST, HOTTEST = 1e-30, 1e30  # so that neither these nor 1 over them is flushed to 0
FOLDED = 2048  # largest vocabulary whose embedding is folded into the first layer


class Filters(NamedTuple):
    """What is done to the logits before a token is drawn. Static: numbers, no arrays.

    temperature  logits are divided by it; 0 takes the likeliest token.
    top_k        only the k likeliest tokens; 0: all.
    top_p        only the fewest tokens that hold this probability; 1: all.
    greedy       the likeliest token, without any chance.
    banned       ids that never come.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    greedy: bool = False
    banned: tuple[int, ...] = ()


def ban(logits: Array, ids: tuple[int, ...]) -> Array:
    """logits (…, V) with −∞ at `ids`."""
    return logits.at[..., jnp.asarray(ids, jnp.int32)].set(-jnp.inf) if ids else logits


def keep_top_k(logits: Array, k: int) -> Array:
    """logits (…, V) with −∞ below the k-th largest (Fan, Lewis & Dauphin 2018)."""
    if not 0 < k < logits.shape[-1]:
        return logits
    smallest = lax.top_k(logits, k)[0][..., -1:]
    return jnp.where(logits < smallest, -jnp.inf, logits)


def keep_top_p(logits: Array, p: float) -> Array:
    """logits (…, V) with −∞ outside the nucleus: the fewest tokens whose probability
    is at least p (Holtzman 2020). The likeliest token always stays."""
    if p >= 1:
        return logits
    falling = jnp.sort(logits, axis=-1, descending=True)
    probability = jax.nn.softmax(falling, axis=-1)
    before = jnp.cumsum(probability, axis=-1) - probability
    inside = jnp.where(before < p, falling, jnp.inf)
    inside = inside.at[..., 0].set(falling[..., 0])
    return jnp.where(logits < inside.min(-1, keepdims=True), -jnp.inf, logits)


def tempered(logits: Array, temperature: float) -> Array:
    """logits (…, V) over the temperature; 0 and 1 leave them as they are.

    The largest is subtracted first, so that nothing overflows but downwards: a
    temperature near 0 leaves the likeliest tokens alone.
    """
    if temperature in (0, 1):
        return logits
    temperature = min(max(temperature, COLDEST), HOTTEST)
    return (logits - logits.max(-1, keepdims=True)) / temperature


def filtered(logits: Array, filters: Filters) -> Array:
    """logits (…, V) after every filter: bans, temperature, then top-k, then top-p."""
    logits = tempered(ban(logits, filters.banned), filters.temperature)
    return keep_top_p(keep_top_k(logits, filters.top_k), filters.top_p)


def argmax(logits: Array) -> Array:
    """Index (…,) int32 of the largest of (…, V), the first of equals.

    Two plain reductions: twice as fast on a CPU as the paired one of `jnp.argmax`.
    """
    largest = logits.max(-1, keepdims=True)
    last = logits.shape[-1] - 1
    at = lax.broadcasted_iota(jnp.int32, logits.shape, logits.ndim - 1)
    return jnp.where(logits == largest, at, last).min(-1)


def drawn_at_once(vocabulary: int, tokens: int) -> int:
    """For how many tokens a lane draws its noise at once."""
    return max(1, min(tokens, 128, NOISE // vocabulary))


def make_sampler(
    step: Step, vocabulary: int, filters: Filters, tokens: int, stop: int | None = None
) -> Callable[..., Array]:
    """sample(params, key, state, token_B, first=0) -> ids_TB (tokens, B) int32.

    A token is the argmax of its filtered logits plus Gumbel noise, which draws from
    their softmax. The noise of lane b depends on the key and `first` + b alone, not on
    how many lanes or tokens there are: many lanes can be drawn a few at a time. After
    `stop` a lane only repeats it.

    state    before token_B, the first token that is read.

    Raises:
      ConfigError: for a temperature below 0 or a top_p outside [0, 1].
    """
    at_least("temperature", filters.temperature, 0)
    within("top_p", filters.top_p, 0, 1)
    greedy = filters.greedy or filters.temperature == 0
    chunk = drawn_at_once(vocabulary, tokens)
    chunks = -(-tokens // chunk)

    def noise(key: Array, number: Array, lanes_B: Array) -> Array | None:
        if greedy:
            return None
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key, lanes_B)
        keys = jax.vmap(jax.random.fold_in, (0, None))(keys, number)
        shape = (chunk, vocabulary)
        return jax.vmap(lambda k: jax.random.gumbel(k, shape), out_axes=1)(keys)

    def sample(
        params: Params, key: Array, state: State, token_B: Array, first: Any = 0
    ) -> Array:
        lanes_B = jnp.arange(len(token_B)) + first

        def one(carry, noise_BV):
            state, token_B, done_B = carry
            state, logits_BV = step(params, state, token_B)
            logits_BV = filtered(logits_BV, filters)
            token_B = argmax(logits_BV if noise_BV is None else logits_BV + noise_BV)
            if stop is not None:
                token_B = jnp.where(done_B, stop, token_B)
                done_B = token_B == stop
            return (state, token_B, done_B), token_B

        def several(carry, number):
            return lax.scan(one, carry, noise(key, number, lanes_B), length=chunk)

        done_B = None if stop is None else jnp.zeros(len(token_B), bool)
        _, ids = lax.scan(several, (state, token_B, done_B), jnp.arange(chunks))
        return ids.reshape(chunks * chunk, len(token_B))[:tokens]

    return sample


def read_prompt(
    step: Step, params: Params, state: State, prompt_SB: Array
) -> tuple[State, Array]:
    """The state before the last token of the prompt, and that token.

    Token by token: however long the prompt, it takes the memory of one.
    """

    def one(state, token_B):
        return step(params, state, token_B)[0], None

    prompt_SB = prompt_SB.astype(jnp.int32)
    state, _ = lax.scan(one, state, prompt_SB[:-1])
    return state, prompt_SB[-1]


def make_text_sampler(
    model: LanguageModel, filters: Filters, tokens: int, stop: int | None = None
) -> Callable[..., Array]:
    """write(params, key, prompt_SB, lanes=0, first=0) -> ids_TB: a language model's
    `make_sampler`, which goes on from a prompt.

    prompt_SB  ids, S ≥ 1: the context, beginning with the start mark.
    lanes      so many texts from a prompt of one lane, which is read once.
    """
    sample = make_sampler(model.step, model.vocabulary, filters, tokens, stop)

    def write(
        params: Params, key: Array, prompt_SB: Array, lanes: int = 0, first: Any = 0
    ) -> Array:
        params = folded(model, params)
        begin = model.initial_state(params, prompt_SB.shape[1])
        begin = read_prompt(model.step, params, begin, prompt_SB)
        state, token_B = repeated(begin, lanes) if lanes else begin
        return sample(params, key, state, token_B, first)

    return write


def repeated(tree: Any, lanes: int) -> Any:
    """Leaves (1, …) as (lanes, …)."""
    return jax.tree.map(lambda leaf: jnp.repeat(leaf, lanes, 0), tree)


def folded(model: LanguageModel, params: Params) -> Params:
    """The same model with the embedding multiplied into the first layer's input
    weights, so that a token costs a row look-up there. Small vocabularies only."""
    bottom, *rest = params["layers"]
    tied = model.config.softmax != "full"
    large = model.vocabulary > FOLDED
    if "embedding" not in params or "w_x" not in bottom or tied or large:
        return params
    bottom = bottom | {"w_x": params["embedding"] @ bottom["w_x"]}
    others = {name: value for name, value in params.items() if name != "embedding"}
    return others | {"layers": (bottom, *rest)}


class Beams(NamedTuple):
    """K texts, the likeliest first.

    ids               (K, T) int32; after a stop mark only stop marks.
    lengths           (K,) tokens, the stop mark included.
    log_probability   (K,) nats of those tokens; −∞ where there are fewer texts.

    With a length normalisation of α they are ordered by log_probability/lengths^α.
    """

    ids: Any
    lengths: Any
    log_probability: Any


def make_beam(
    step: Step,
    vocabulary: int,
    width: int,
    tokens: int,
    stop: int | None = None,
    banned: tuple[int, ...] = (),
    normalise: float = 0.0,
) -> Callable[[Params, State, Array], Beams]:
    """search(params, state, token_1) -> Beams: beam search for the likeliest text.

    A text that ended stays in the beam with the score it has. Width 1 is greedy choice;
    a width of V^tokens is exhaustive.

    normalise  α: at each step the K texts with the largest log-probability/length^α
               stay, length being so far, or that of a text that ended (Wu et al. 2016,
               section 7, with length in place of (5 + length)/6). 0: the likeliest.
    state      before token_1, the first token that is read; leaves (1, …).
    """

    def one(params, carry, number):
        state, token_K, done_K, score_K, length_K = carry
        state, logits_KV = step(params, state, token_K)
        gains_KV = ban(jax.nn.log_softmax(logits_KV), banned)
        if stop is not None:
            ended_V = jnp.full(vocabulary, -jnp.inf).at[stop].set(0.0)
            gains_KV = jnp.where(done_K[:, None], ended_V[None], gains_KV)
        total_KV = score_K[:, None] + gains_KV
        length_K = jnp.where(done_K, length_K, number)
        ranked_KV = total_KV / length_K[:, None] ** normalise
        _, best_K = lax.top_k(ranked_KV.reshape(-1), width)
        parent_K, token_K = jnp.divmod(best_K, vocabulary)
        score_K, length_K = total_KV.reshape(-1)[best_K], length_K[parent_K]
        state = jax.tree.map(lambda s: s[parent_K], state)
        done_K = done_K[parent_K] | (False if stop is None else token_K == stop)
        carry = (state, token_K, done_K, score_K, length_K)
        return carry, (parent_K, token_K, done_K)

    def search(params: Params, state: State, token_1: Array) -> Beams:
        state, token_K = repeated((state, token_1), width)
        score_K = jnp.full(width, -jnp.inf).at[0].set(0.0)
        begin = (state, token_K, jnp.zeros(width, bool), score_K, jnp.ones(width))
        numbers = jnp.arange(1, tokens + 1, dtype=score_K.dtype)
        (*_, score_K, _), steps = lax.scan(partial(one, params), begin, numbers)
        return traced_back(steps, score_K)

    return search


def make_searches(
    step: Step,
    vocabulary: int,
    width: int,
    tokens: int,
    stop: int,
    normalise: float = 0.0,
) -> Callable[[Params, State, Array], Beams]:
    """search(params, state, token_B) -> Beams (B, K, …): a beam search in each lane;
    see `make_beam`."""
    search = make_beam(step, vocabulary, width, tokens, stop, normalise=normalise)

    def each(params: Params, state: State, token_B: Array) -> Beams:
        alone = jax.tree.map(lambda leaf: leaf[:, None], (state, token_B))
        return jax.vmap(search, (None, 0, 0))(params, *alone)

    return each


def make_text_beam(
    model: LanguageModel,
    width: int,
    tokens: int,
    stop: int | None = None,
    banned: tuple[int, ...] = (),
) -> Callable[[Params, Array], Beams]:
    """search(params, prompt_S) -> Beams: a language model's `make_beam`, which goes on
    from a prompt."""
    search = make_beam(model.step, model.vocabulary, width, tokens, stop, banned)

    def search_on(params: Params, prompt_S: Array) -> Beams:
        params = folded(model, params)
        begin = model.initial_state(params, 1)
        begin = read_prompt(model.step, params, begin, prompt_S[:, None])
        return search(params, *begin)

    return search_on


def traced_back(steps: tuple[Array, Array, Array], score_K: Array) -> Beams:
    """Texts from (parent, token, done), each (T, K), by following the parents back."""

    def back(lane_K, at):
        parent_K, token_K, done_K = at
        return parent_K[lane_K], (token_K[lane_K], done_K[lane_K])

    lanes = jnp.arange(len(score_K))
    _, (ids_TK, done_TK) = lax.scan(back, lanes, steps, reverse=True)
    lengths = jnp.minimum(jnp.sum(~done_TK, axis=0) + 1, len(ids_TK))
    return Beams(ids_TK.T, lengths, score_K)

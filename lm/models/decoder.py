"""A decoder: a language model that starts from a memory, and may look at it.

    s_0 = tanh(summary·W_b + b_b), each array of the state by its own matrix: the bridge
    x_t = E[y_{t−1}]        P(y_t | y_1 … y_{t−1}, memory) = softmax(u_t·V + c)

    none      h_t = stack(x_t);                      u_t = h_t: all that is known of the
              source is s_0 (Sutskever, Vinyals & Le 2014)
    luong     h_t = stack(x_t), c_t = attend(h_t);   u_t = tanh([c_t, h_t]·W_c) (Luong
              2015, equation 5, global, without input feeding): attention stands behind
              the recurrence, so that all steps attend at once
    bahdanau  c_t = attend(h_{t−1}), h_t = stack([x_t, c_t]);    u_t = h_t (Bahdanau
              2015): what asks is the bottom layer's state before the step, and c_t goes
              into that layer; their readout also sees x_t and c_t, ours h_t alone

The memory is part of the state, so that whatever takes a `step` (greedy search, beam
search, sampling: lm.generate) takes this one.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lm import attention as look
from lm import dropout as drop
from lm.attention import Attention, Looked, Memory
from lm.cells import make_cell
from lm.cells.forms import add_bias, draw, general
from lm.config import AttentionPlace, ConfigError, ModelConfig
from lm.models.stacks import stack_of, words
from lm.problem import with_numbers
from lm.products import matmul
from lm.recording import Recorded
from lm.structure import WHOLE
from lm.types import Array, Cell, Context, Layer, Params, Part, State
from lm.words import init_softmax, looked_up, softmax_logits


class Decoding(NamedTuple):
    """The state of a decoder: its layers', and the memory; None: it looks at none."""

    layers: State
    memory: Looked | None


class Decoder(NamedTuple):
    """Pure functions.

    init      (key, numbers) -> params.
    begin     (params, memory: Memory) -> Decoding.
    apply     (params, inputs_TB, state, context) -> (state, us_TBH).
    weights   (params, inputs_TB, state) -> α_BTS, where each step looks; None: nowhere.
    logits    (params, us (…, H)) -> (…, V).
    step      (params, state, token_B) -> (state, logits_BV).
    parts     the cells at their places in the parameters.
    """

    init: Callable[..., Params]
    begin: Callable[[Params, Memory], Decoding]
    apply: Callable[..., tuple[Decoding, Array]]
    weights: Callable[[Params, Array, Decoding], Array | None]
    logits: Callable[[Params, Array], Array]
    step: Callable[[Params, Decoding, Array], tuple[Decoding, Array]]
    parts: tuple[Part, ...]


def build_decoder(
    config: ModelConfig,
    vocabulary: int,
    memory: int,
    summary: int,
    place: AttentionPlace = "luong",
    score: str = "general",
) -> Decoder:
    """The decoder that `config` describes, over `vocabulary` words.

    memory, summary  widths of a place of the memory, and of its summary.

    Raises:
      ConfigError: without an embedding; for `bahdanau` around a cell whose output is
        no part of its state.
    """
    if not config.embedding:
        raise ConfigError("model.embedding is 0: a decoder reads word vectors; set it")
    kind = look.attention(score)
    setting = Setting(config, place, kind, memory)
    stack = seen_stack(setting)

    def init(key: Array, numbers: Any = None) -> Params:
        drawn = setting._replace(config=with_numbers(config, numbers))
        return init_decoder(drawn, vocabulary, summary, key)

    def begin(params: Params, source: Memory) -> Decoding:
        at = None
        if place != "none":
            at = look.looked(kind, params["attention"], source)
        layers = layers_of(setting, params, at)
        zero = layers.initial_state(params["layers"], len(source.summary_BN))
        return Decoding(bridged(params["bridge"], source.summary_BN, zero), at)

    def apply(
        params: Params, inputs_TB: Array, state: Decoding, context: Context = Context()
    ):
        dropout, drops = context.dropout, config.dropout
        xs = words(params, inputs_TB, dropout, drops)
        layers = layers_of(setting, params, state.memory)
        after, hs_TBH = layers.apply(params["layers"], xs, state.layers, context)
        us_TBH, _ = readout(setting, params, hs_TBH, state.memory)
        if dropout is not None and drops.output:
            here = dropout.at(config.layers)
            us_TBH = drop.features(here, us_TBH, drops.kind, "output")
        return Decoding(after, state.memory), us_TBH

    def logits(params: Params, us: Array) -> Array:
        return softmax_logits(params["softmax"], params["embedding"], us)

    def step(params: Params, state: Decoding, token_B: Array):
        layers, x = layers_of(setting, params, state.memory), words(params, token_B)
        after, h_BH = layers.step(params["layers"], state.layers, x)  # type: ignore[misc]
        us_1BH, _ = readout(setting, params, h_BH[None], state.memory)
        return Decoding(after, state.memory), logits(params, us_1BH[0])

    parts = tuple(part.under("", "layers") for part in stack.parts)
    weights = partial(where_it_looks, setting)
    return Decoder(init, begin, apply, weights, logits, step, parts)


class Setting(NamedTuple):
    """What a decoder is built of; memory: width of a place."""

    config: ModelConfig
    place: AttentionPlace
    kind: Attention
    memory: int


def seen_stack(setting: Setting) -> Layer:
    """The stack as instruments see it.

    Raises:
      ConfigError: where a source could not set the state that a stack begins with: what
        is more than its cells' own (queues, clocks, what it has seen); see `seen_cell`.
    """
    config = setting.config
    bottom = None if config.cell in WHOLE else seen_cell(setting)
    stack = stack_of(config, bottom=bottom)

    def states(key: Array) -> tuple[State, list[State]]:
        params = stack.init(key, config.embedding)
        own = [part.cell.initial_state(part.of(params), 1) for part in stack.parts]
        return stack.initial_state(params, 1), own

    whole, own = jax.eval_shape(states, jax.random.key(0))
    shapes, owned = (
        [leaf.shape for leaf in jax.tree.leaves(tree)] for tree in (whole, own)
    )
    if shapes != owned:
        raise ConfigError(
            f"a decoder's first state is made from its source, and a {config.kind} "
            "carries more than its cells' states: use another model.structure or cell"
        )
    return stack


def seen_cell(setting: Setting) -> Cell:
    """The bottom cell as instruments see it: where it looks at a memory its gates are
    not known without that.

    Raises:
      ConfigError: see `build_decoder`.
    """
    config, place, _, _ = setting
    cell = make_cell(config.cell, config.hidden, config.init, config.bias)
    if place != "bahdanau":
        return cell
    if cell.readout is not None:
        raise ConfigError(
            f"attention 'bahdanau' asks with the state before a step, and {cell.name} "
            "shows its state only together with an input: use 'luong'"
        )
    return cell._replace(gates=None)


def layers_of(setting: Setting, params: Params, at: Looked | None) -> Layer:
    """The stack; its bottom cell looks at a memory where it has to.

    at  None where it is only initialized.
    """
    config, place, kind, memory = setting
    if place != "bahdanau":
        return stack_of(config)
    cell = make_cell(config.cell, config.hidden, config.init, config.bias)
    own = params.get("attention")
    return stack_of(config, bottom=attending(cell, kind, own, at, memory))


def init_decoder(setting: Setting, vocabulary: int, summary: int, key: Array) -> Params:
    """{embedding, layers, softmax, bridge, attention?, attentional?}."""
    config, place, kind, memory = setting
    keys, layers = jax.random.split(key, 6), layers_of(setting, {}, None)
    params: dict[str, Any] = {
        "embedding": draw(keys[0], (vocabulary, config.embedding), config.init),
        "layers": layers.init(keys[1], config.embedding),
        "softmax": init_softmax(keys[2], config, vocabulary),
    }
    shapes = jax.eval_shape(lambda p: layers.initial_state(p, 1), params["layers"])
    params["bridge"] = init_bridge(keys[3], summary, shapes, config.init)
    if place != "none":
        params["attention"] = kind.init(keys[4], config.hidden, memory, config.init)
    if place == "luong":
        shape = (memory + config.hidden, config.hidden)
        params["attentional"] = {"w": draw(keys[5], shape, config.init)}
    return params


def readout(
    setting: Setting, params: Params, hs_TBH: Array, at: Looked | None
) -> tuple[Array, Array | None]:
    """(us_TBH, α_BTS or None): what the softmax reads."""
    if setting.place != "luong":
        return hs_TBH, None
    queries_BTH, own = jnp.swapaxes(hs_TBH, 0, 1), params["attention"]
    found_BTE, weights_BTS = look.attend(setting.kind, own, queries_BTH, at)  # type: ignore[arg-type]
    both = jnp.concatenate([jnp.swapaxes(found_BTE, 0, 1), hs_TBH], axis=-1)
    return jnp.tanh(matmul(both, params["attentional"]["w"])), weights_BTS


def where_it_looks(
    setting: Setting, params: Params, inputs_TB: Array, state: Decoding
) -> Array | None:
    """α_BTS of each step: luong's as the readout has them; bahdanau's asked again with
    the bottom layer's states before each step, which are recorded."""
    kept: dict[str, Recorded] = {}
    before = setting.place == "bahdanau"
    layers, xs = layers_of(setting, params, state.memory), words(params, inputs_TB)
    here = Context(recorded=kept) if before else Context()
    _, hs_TBH = layers.apply(params["layers"], xs, state.layers, here)
    if not before:
        return readout(setting, params, hs_TBH, state.memory)[1]
    queries_TBH = jax.vmap(seen_cell(setting).output)(kept["0"].before)
    asked, own = jnp.swapaxes(queries_TBH, 0, 1), params["attention"]
    return look.attend(setting.kind, own, asked, state.memory)[1]  # type: ignore[arg-type]


def init_bridge(key: Array, summary: int, shapes: State, init: Any) -> list[Params]:
    """{w, b} for each array of a state, whose shapes (1, …) are given."""
    leaves = jax.tree.leaves(shapes)
    keys = jax.random.split(key, len(leaves))
    return [
        {"w": draw(k, (summary, leaf.size), init), "b": jnp.zeros(leaf.size)}
        for k, leaf in zip(keys, leaves, strict=True)
    ]


def bridged(params: list[Params], summary_BN: Array, zero: State) -> State:
    """A state made of the summary, in the shapes of `zero`."""
    leaves, treedef = jax.tree.flatten(zero)
    made = [
        jnp.tanh(add_bias(matmul(summary_BN, own["w"]), own["b"])).reshape(leaf.shape)
        for own, leaf in zip(params, leaves, strict=True)
    ]
    return jax.tree.unflatten(treedef, made)


def attending(
    cell: Cell, kind: Attention, params: Params, at: Looked | None, memory: int
) -> Cell:
    """The cell that reads [x_t, c_t], c_t being what h_{t−1} finds in a memory.

    Its parameters are the cell's own; those of the attention and the memory are held
    by the closure, so that a record is good for one trace.

    params, at  of the attention, and the memory; None where it is only initialized.
    """

    def step(own: Params, state: State, x_BD: Array) -> State:
        asked_B1H = cell.output(state)[:, None]
        found_B1E, _ = look.attend(kind, params, asked_B1H, at)  # type: ignore[arg-type]
        both_BD = jnp.concatenate([x_BD, found_B1E[:, 0]], axis=-1)
        return cell.step(own, state, cell.project(own, both_BD))

    return general(
        cell.name,
        cell.d_hidden,
        init=lambda key, d_in: cell.init(key, d_in + memory),
        initial_state=cell.initial_state,
        step=step,
        project=lambda own, xs: looked_up(xs),
        output=cell.output,
        recurrent=cell.recurrent,
        rates=cell.rates,
    )

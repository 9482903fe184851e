"""Attention over past states, on top of a recurrent layer.

    h_t = layer(x)_t                    α_t = softmax over s of score(h_t, h_s)
    c_t = Σ_{s=t−W}^{t−1} α_ts·h_s      y_t = tanh([c_t, h_t]·W_y),  c = 0 at the start

Daniluk, Rocktäschel, Welbl & Riedel 2017, "Frustratingly short attention spans in
neural language modeling", its attention over the last W outputs. Scores are those
of `lm.attention`: `additive` is the paper's, T·(W + T)·H numbers a lane; `general`
(Luong, Pham & Manning 2015) needs a product and T·(W + T). The recurrence does not see
c. Beside the layer's state a lane carries its last W outputs; no gradient goes back
through them into an earlier window, as none goes through its state.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lm import attention as look
from lm.cells.forms import draw
from lm.config import InitConfig
from lm.products import matmul
from lm.structure.order import forwards, leading, stepwise
from lm.structure.past import Past, moved_on, none_yet, places_of, visible, with_window
from lm.structure.past import weights as softmax
from lm.structure.place import Place
from lm.types import Array, Context, Layer, Params, State

SPAN = 30  # W; the paper's 5 to 15 tokens were used in fact


class AttentiveState(NamedTuple):
    """layer: its state; past: of h."""

    layer: State
    past: Past


def attentive(layer: Layer, score: str, W: int, init: InitConfig) -> Layer:
    """The layer and what it finds in its last W outputs; score: one of
    `lm.attention.SCORES`. Only around layers that read one way."""
    kind, H = look.attention(score), layer.d_out

    def init_params(key: Array, d_in: int) -> Params:
        inside, own, out = jax.random.split(key, 3)
        return {
            "layer": layer.init(inside, d_in),
            "attention": kind.init(own, H, H, init),
            "w_y": draw(out, (2 * H, H), init),
        }

    def initial_state(params: Params, batch: int) -> State:
        like = jnp.zeros((batch, H), params["w_y"].dtype)
        return AttentiveState(
            layer.initial_state(params["layer"], batch), none_yet(like, W)
        )

    @forwards
    def apply(params: Params, xs: Any, state: State, context: Context = Context()):
        inner, hs_TBH = layer.apply(params["layer"], xs, state.layer, context)
        places = places_of(state.past, context, leading(xs))
        rows_BPH = with_window(state.past, hs_TBH)
        own, queries_BTH = params["attention"], jnp.swapaxes(hs_TBH, 0, 1)
        scores_BTP = kind.scores(own, queries_BTH, kind.keys(own, rows_BPH))
        seen_BTP = visible(places, W, own=False)
        found_BTH = softmax(scores_BTP, seen_BTP) @ rows_BPH
        both = jnp.concatenate([jnp.swapaxes(found_BTH, 0, 1), hs_TBH], axis=-1)
        after = AttentiveState(inner, moved_on(rows_BPH, places, W))
        return after, jnp.tanh(matmul(both, params["w_y"]))

    return Layer(
        d_out=H,
        init=init_params,
        initial_state=initial_state,
        apply=apply,
        step=stepwise(apply),
        parts=tuple(part.under("", "layer") for part in layer.parts),
    )


def looking_back(place: Place, score: str = "general") -> Layer:
    """A layer looks back at its last 30 outputs (Daniluk et al. 2017; scores by Luong,
    or as the paper has them)."""
    layer = attentive(place.one(), score, SPAN, place.config.init)
    return place.drop(place.whole(layer))

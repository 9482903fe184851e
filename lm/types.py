"""The vocabulary of the whole package: the dimension key, `Cell` and `Batch`.

Dimension key. Array names end in the letters of their axes, in order:

    T time          B batch           D input or embedding    H hidden
    V vocabulary    L layers          G stacked gate width (k·H)
    S source length K lags, beams, candidates                 N parallel runs

so `xs_TBD` is time-major and batched, `h_BH` is one step of a hidden state and
`logits_TBV` scores every word at every step. A `State` is a NamedTuple of (B, H)
arrays, its fields read by name (`state.h`), never by position.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

Array = jax.Array
Params = Any
State = Any


class Batch(NamedTuple):
    """One window of text for B parallel lanes, time-major.

    inputs   (T, B) int token ids, or (T, B, V) one-hot rows: the same numbers.
    targets  (T, B) int token ids; `targets[t]` is the token after `inputs[t]`.
    mask     (T, B) float32: 1 where the target counts, 0 on padding.
    fresh    (B,) bool: the lane starts anew here, from the initial state; where
             False, the state at the end of the previous window is carried in.
    """

    inputs: Any
    targets: Any
    mask: Any
    fresh: Any


class Cell(NamedTuple):
    """A recurrent cell: a record of pure functions, as an optax optimizer is.

    name           the registry's name, for messages and figures.
    d_hidden       H.
    init           (key, d_in) -> params.
    initial_state  (params, batch) -> state, leaves (B, H).
    project        (params, xs_TBD) -> zs_TBG: all that does not depend on the
                   state, for every step at once. Integer xs_TB are one-hot rows
                   by index. Works for any leading axes, so `project(params, x_B)`
                   serves a single step.
    step           (params, state, z_BG) -> state. Derived for factored cells.
    output         (state) -> h_BH, what the layer above sees.
    recurrent      names of the leaves of `params` that multiply the state: what
                   weight-drop drops and what spectral radii are taken of.
    w_HG           factored cells only: (params) -> the recurrent matrix.
    pointwise      factored cells only: (params, z_BG, r_BG, state) -> state, with
                   r = output(state) @ w_HG. No matrix product happens inside, and
                   of `params` only the vectors are there to be read. `output` is
                   linear in the state (a field of it, or a sum of fields).
    gates          (params, state_before, z_BG) -> {name: (B, H)}: what the step that
                   starts there lets through, in [0, 1]. The gates by name, and, for
                   a cell with a squashing unit φ, "slope": |φ′| at its candidate.
                   Only looked at, never trained through. None: not known.
    """

    name: str
    d_hidden: int
    init: Callable[[Array, int], Params]
    initial_state: Callable[[Params, int], State]
    project: Callable[[Params, Array], Array]
    step: Callable[[Params, State, Array], State]
    output: Callable[[State], Array]
    recurrent: tuple[str, ...]
    w_HG: Callable[[Params], Array] | None = None
    pointwise: Callable[[Params, Array, Array, State], State] | None = None
    gates: Callable[[Params, State, Array], dict[str, Array]] | None = None

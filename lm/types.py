"""The words of the whole package: the dimension key, and the records made of functions.

Dimension key. Array names end in the letters of their axes, in order:

    T time          B batch           D input or embedding    H hidden
    V vocabulary    L layers          G stacked gate width (k·H)
    S source length K lags, beams, candidates                 N parallel runs

so `xs_TBD` is time-major and batched, `h_BH` is one step of a hidden state and
`logits_TBV` scores every word at every step. A `State` is a NamedTuple of arrays whose
first axis is B, of any rank (a matrix memory is (B, heads, D, D)); its fields are read
by name (`state.h`), never by position.

A `Cell` is one recurrence, a `Layer` a sequence to a sequence with a state, and a
`Problem` (lm.problem) what is trained. No JAX is imported here: types only.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

Array = Any  # a jax.Array, or what may stand for one in a trace
Params = Any
State = Any


class Sum(NamedTuple):
    """A total (of nats, of squared errors, of right answers) over `count` of them.

    Sums are added over windows and devices and divided once: never a mean of means.
    """

    total: Any
    count: Any

    def __add__(self, other):  # type: ignore[override]
        return Sum(self.total + other[0], self.count + other[1])

    def mean(self):
        """total / count."""
        return self.total / self.count


class Indexed(NamedTuple):
    """Rows of a table by index, the input of a layer before it is looked up.

    table_VD  word vectors.
    ids_TB    which row stands where; any leading axes, so (B,) in a single step.
    """

    table_VD: Any
    ids_TB: Any


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


class Spelled(NamedTuple):
    """A window of text as `Batch` has it, its inputs spelt as well.

    inputs   (T, B) int token ids.
    spelling (T, B, W) int ids of the characters of each input, 0 behind them.
    targets  (T, B) int token ids.
    mask     (T, B) float32: 1 where the target counts.
    fresh    (B,) bool: the lane starts anew here.
    """

    inputs: Any
    spelling: Any
    targets: Any
    mask: Any
    fresh: Any


class Labelled(NamedTuple):
    """B sequences, each with one label, time-major.

    inputs   (T, B) int ids, or (T, B, D) numbers.
    mask     (T, B) float32: 1 on real steps, 0 on padding behind them.
    label    (B,) int class.
    counted  (B,) float32: 1, or 0 for a lane that only fills the batch.
    """

    inputs: Any
    mask: Any
    label: Any
    counted: Any


class Transcribed(NamedTuple):
    """B sequences of vectors, each with the string of symbols that it says, time-major.

    inputs  (T, B, D) numbers.
    mask    (T, B) float32: 1 on real steps, 0 on padding behind them.
    labels  (S, B) int symbols from 1 on, 0 behind a string; a lane that only fills the
            batch has none.
    kept    (T, B) float32: 1 where the gradient goes through the outputs of a step: all
            of them, unless one is looked at alone.
    """

    inputs: Any
    mask: Any
    labels: Any
    kept: Any


class Gapped(NamedTuple):
    """B sentences, each word of which may be the one that is missing, time-major.

    words  (T+2, B) int ids: `<eos>`, the words, `<eos>`, then padding.
    mask   (T+2, B) float32: 1 on these, 0 on padding.
    asked  (T, B) float32: 1 where the gap at `words[t + 1]` counts.
    """

    words: Any
    mask: Any
    asked: Any


class Pairs(NamedTuple):
    """B pairs of a source and a target, time-major.

    source       (S, B) int ids or (S, B, …) numbers: a sentence, a picture's rows.
    source_mask  (S, B) float32: 1 on what is there, 0 on padding behind it.
    inputs       (T, B) int ids: `<eos>`, then the target without its last token.
    targets      (T, B) int ids: the target, which ends with `<eos>`.
    mask         (T, B) float32: 1 where the target counts.
    own          (T, B) float32: 1 where the decoder reads, in place of `inputs`, the
                 word that it finds likeliest there itself (scheduled sampling).
    """

    source: Any
    source_mask: Any
    inputs: Any
    targets: Any
    mask: Any
    own: Any


class Product(NamedTuple):
    """How a linear cell's a acts on a state: lm.linear has the three that there are.

    times  (a, s) -> a∘s, bilinear; (a, a′) -> a∘a′ with (a∘a′)∘s = a∘(a′∘s).
    one    (a) -> what leaves every state as it is, in the shape of a.
    """

    times: Callable[[Any, Any], Any]
    one: Callable[[Any], Any]


class Cell(NamedTuple):
    """A recurrent cell: a record of pure functions, as an optax optimizer is.

    name           the registry's name, for messages and figures.
    d_hidden       H.
    init           (key, d_in) -> params.
    initial_state  (params, batch) -> state, leaves (B, …).
    project        (params, xs_TBD) -> zs_TBG: all that does not depend on the
                   state, for every step at once. Integer xs_TB are one-hot rows
                   by index. Works for any leading axes, so `project(params, x_B)`
                   serves a single step.
    step           (params, state, z_BG) -> state. Derived for factored and linear
                   cells.
    output         (state) -> h_BH, what the layer above sees.
    recurrent      names of the leaves of `params` that multiply the state: what
                   weight-drop drops and what spectral radii are taken of.
    w_HG           factored cells only: (params) -> the recurrent matrix.
    pointwise      factored cells only: (params, z_BG, r_BG, state) -> state, with
                   r = output(state) @ w_HG. No matrix product happens inside, and
                   of `params` only the vectors are there to be read. `output` is
                   linear in the state (a field of it, or a sum of fields).
    recompute      factored cells only: whether the backward pass makes what `pointwise`
                   computes anew, from z, r and the state, rather than keep it. On a CPU
                   it was the faster way for LSTMs, which would keep many numbers a
                   unit, and for the GRU of many units. The numbers are the same.
    coefficients   linear cells only: (params, zs_TBG) -> (a, b), two states of
                   (T, B, …) arrays: h_t = a_t∘h_{t−1} + b_t.
    product        linear cells only: what ∘ is. None: ⊙, leaf by leaf.
    earlier        linear cells only: (name of a leaf of the state, (zs) -> what a step
                   puts there), where `coefficients` takes a third argument: that leaf
                   as it was before each step. None: it reads zs alone.
    gates          (params, state_before, z_BG) -> {name: (B, H)}: what the step that
                   starts there lets through, in [0, 1]. The gates by name, and, for
                   a cell with a squashing unit φ, "slope": |φ′| at its candidate.
                   Only looked at, never trained through. None: not known.
    blocks         names of the k blocks of G in packed order: ("input", "forget", …).
    retention      the gate that keeps the old state, by its name in `gates`; None:
                   there is none.
    readout        (params, zs_TBG, states, leaves (T, B, …)) -> hs_TBH, in place of
                   `output`, where what goes up also reads the input or parameters;
                   `output` is then the whole state, (B, N). None: `output`.
    rates          {leaf of `params`: factor on the learning rate}.
    stretch        (params, zs_TBG, state, reset_TB, mask_TB) -> (state, hs_TBH): a few
                   dozen steps at once, by another way than `coefficients`; the initial
                   state is 0. None: there is no such form.
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
    recompute: bool = False
    coefficients: Callable[..., tuple[State, State]] | None = None
    gates: Callable[[Params, State, Array], dict[str, Array]] | None = None
    blocks: tuple[str, ...] = ()
    retention: str | None = None
    readout: Callable[[Params, Array, State], Array] | None = None
    rates: Any = None
    product: Product | None = None
    stretch: Callable[..., tuple[State, Array]] | None = None
    earlier: tuple[str, Callable[[Any], Array]] | None = None


class Part(NamedTuple):
    """A cell at its place in something larger: what instruments look at.

    name     "0", "1", … in a stack; "encoder.0.forward" further in.
    cell     the recurrence.
    path     keys from the whole's parameters to the cell's own.
    reverse  whether it reads from the last step to the first.
    """

    name: str
    cell: Cell
    path: tuple[Any, ...] = ()
    reverse: bool = False

    def of(self, params: Params) -> Params:
        """The cell's own parameters out of the whole's."""
        for key in self.path:
            params = params[key]
        return params

    def under(self, name: str, *path: Any) -> "Part":
        """The same part, seen from one level further out."""
        whole = f"{name}.{self.name}" if self.name and name else name or self.name
        return self._replace(name=whole, path=(*path, *self.path))


class Context(NamedTuple):
    """What holds during one application of a layer; None: nothing.

    mask_TB   1 where a step is real. Where it is 0 the state passes through unchanged.
    reset_TB  1 where the initial state replaces the state before the step.
    dropout   `lm.dropout.Dropout`: key, rates, lanes. None in evaluation.
    taps      {part's name: a state of (T, B, …) arrays added to the state after each
              step}; their gradients at 0 are the ∂L/∂state_t.
    driver    who loops over time (lm.unroll); None: the fastest that a cell allows.
    recorded  a dict that gets {part's name: lm.recording.Recorded}, in the same trace.
    reverse   read from the last step to the first.
    name      of the place, as in `Part`. Combinators extend it.
    """

    mask_TB: Any = None
    reset_TB: Any = None
    dropout: Any = None
    taps: Any = None
    driver: Any = None
    recorded: dict[str, Any] | None = None
    reverse: bool = False
    name: str = ""


class Layer(NamedTuple):
    """A sequence to a sequence, with a state.

    d_out          width of what goes up.
    init           (key, d_in) -> params.
    initial_state  (params, batch) -> state, leaves (B, …).
    apply          (params, xs, state, context) -> (state, ys_TBO). xs is (T, B, D), or
                   (T, B) ids as one-hot rows, or `Indexed`.
    step           (params, state, x) -> (state, y_BO), x without the axis T. None
                   where the layer reads from the right.
    parts          the cells inside.
    """

    d_out: int
    init: Callable[[Any, int], Params]
    initial_state: Callable[[Params, int], State]
    apply: Callable[..., tuple[State, Any]]
    step: Callable[[Params, State, Any], tuple[State, Any]] | None
    parts: tuple[Part, ...] = ()

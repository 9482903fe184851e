"""What a model and its optimizer are made of, as plain frozen records.

No JAX here, so that `--help` and `--dry-run` of a bad value answer at once. Every
record checks itself when it is built and says what it would have accepted.
"""

import math
from dataclasses import dataclass, field
from typing import Literal

from lm.checks import ConfigError, at_least, choice, unknown, within

__all__ = ["ConfigError", "at_least", "unknown", "within"]

Weights = Literal["fan_in", "uniform", "glorot", "normal"]
Recurrent = Literal["same", "orthogonal", "identity"]
Softmax = Literal["full", "tied", "tied_projected"]
DropoutKind = Literal["none", "between", "locked"]
Optimizer = Literal["sgd", "momentum", "rmsprop", "adam", "adamw"]
Clip = Literal["none", "norm", "value"]
Schedule = Literal["constant", "halve_on_rise", "plateau", "step_decay", "cosine"]
Reduction = Literal["token", "time_sum"]
Precision = Literal["float32", "bfloat16"]
Average = Literal["none", "ema", "ema_corrected", "tail"]
AttentionPlace = Literal["none", "luong", "bahdanau"]
AttentionScore = Literal["dot", "general", "additive"]

WIDEST = 2**17  # units: a recurrent matrix of 64 GiB

# What a field is, in its metadata; one without is part of the compiled step. TRACED: a
# number that the step takes as an argument. SWITCHED: such a number, but 0 leaves
# something out of the step. HOST: only who calls the step reads it.
TRACED, SWITCHED, HOST = ({"kind": kind} for kind in ("traced", "switched", "host"))


@dataclass(frozen=True)
class InitConfig:
    """How weights are drawn. Biases start at 0, but for `forget_bias`."""

    weights: Weights = "fan_in"
    """fan_in: U(±scale/√fan-in), the tutorial's; uniform: U(±scale), Zaremba's;
    glorot: U(±scale·√(6/(fan-in + fan-out))); normal: N(0, scale²)."""
    scale: float = field(default=1.0, metadata=TRACED)
    """The scale in the line above."""
    recurrent: Recurrent = "same"
    """Recurrent matrices: same as the others, orthogonal, or identity, per gate."""
    gain: float = field(default=1.0, metadata=TRACED)
    """Factor on every recurrent matrix, whichever way it is drawn."""
    forget_bias: float = field(default=1.0, metadata=TRACED)
    """Added to the bias of an LSTM's forget gate at the start."""

    def __post_init__(self):
        choice("init.weights", self.weights, Weights)
        choice("init.recurrent", self.recurrent, Recurrent)
        at_least("init.scale", self.scale, 0.0)
        at_least("init.gain", self.gain, 0.0)
        within("init.forget_bias", self.forget_bias, -100, 100)


@dataclass(frozen=True)
class DropoutConfig:
    """What is dropped in training, as probabilities in [0, 1)."""

    kind: DropoutKind = "none"
    """For input, hidden and output. between: a fresh mask every step on all but the
    recurrent connections (Zaremba 2014); locked: one mask for the whole window, the
    variational kind (Gal & Ghahramani 2016)."""
    input: float = field(default=0.0, metadata=SWITCHED)
    """Probability on the embedded input."""
    hidden: float = field(default=0.0, metadata=SWITCHED)
    """Probability between layers."""
    output: float = field(default=0.0, metadata=SWITCHED)
    """Probability on what the softmax sees."""
    embedding: float = field(default=0.0, metadata=SWITCHED)
    """Probability that a word's whole embedding row is dropped (Gal 2016)."""
    weight: float = field(default=0.0, metadata=SWITCHED)
    """Probability on entries of the recurrent matrices (Merity 2017)."""
    zoneout: float = 0.0
    """Probability that a unit keeps its old state at a step (Krueger 2017)."""

    @property
    def rates(self) -> dict[str, float]:
        """The probabilities by name."""
        names = ("input", "hidden", "output", "embedding", "weight", "zoneout")
        return {name: getattr(self, name) for name in names}

    @property
    def on(self) -> bool:
        """Whether anything is dropped at all."""
        return any(self.rates.values())

    def __post_init__(self):
        choice("dropout.kind", self.kind, DropoutKind)
        for name in self.rates:
            within(f"dropout.{name}", getattr(self, name), 0.0, 1.0, open_high=True)
        if self.kind == "none" and (self.input or self.hidden or self.output):
            raise ConfigError(
                "dropout.kind is 'none' but input, hidden or output is above 0: "
                "choose dropout.kind 'between' or 'locked', or set them to 0"
            )


@dataclass(frozen=True)
class ModelConfig:
    """A stack of recurrent layers between an embedding and a softmax."""

    cell: str = "lstm"
    """A name in lm.cells.CELLS: tanh, relu, irnn, lstm, gru, gru_reset_before, …; or
    flax:NAME, a cell of Flax's, started as Flax does: flax:GRUCell, …; or
    transformer or hawk, whole blocks, the first one a yardstick."""
    layers: int = 1
    """Number of stacked layers, 1 to 8."""
    hidden: int = 200
    """Units per layer."""
    embedding: int = 200
    """Width of the word embedding; 0 feeds one-hot words into the cell, which is
    the tutorial's Part 2."""
    bias: bool = True
    """Whether cells and softmax have biases (the tutorial's have none)."""
    residual: bool = False
    """Whether each layer from the second on adds its input to its output: structure
    residual by its older name."""
    structure: str = "plain"
    """What is around each cell, a name in lm.structure.STRUCTURES: plain; residual;
    highway; normed: layer norm on what goes up; prenorm_block and gated_block:
    xLSTM's residual blocks; dilated: layer l skips 2^l steps; clockwork: groups with
    periods 1, 2, 4, 8; attentive: looks back at its last 30 outputs."""
    softmax: Softmax = "full"
    """full: its own matrix; tied: the embedding's, transposed (Press & Wolf 2017);
    tied_projected: the same behind a hidden-by-embedding matrix."""
    init: InitConfig = field(default_factory=InitConfig)
    dropout: DropoutConfig = field(default_factory=DropoutConfig)

    def __post_init__(self):
        within("model.layers", self.layers, 1, 8)
        within("model.hidden", self.hidden, 1, WIDEST)
        within("model.embedding", self.embedding, 0, WIDEST)
        choice("model.softmax", self.softmax, Softmax)
        if self.softmax != "full" and self.embedding == 0:
            raise ConfigError(
                f"model.softmax is {self.softmax!r} but model.embedding is 0: "
                "a tied softmax needs an embedding to share"
            )
        if self.softmax == "tied" and self.embedding != self.hidden:
            raise ConfigError(
                f"model.softmax is 'tied' but model.embedding ({self.embedding}) and "
                f"model.hidden ({self.hidden}) differ: make them equal, or use "
                "'tied_projected'"
            )
        if self.dropout.embedding and self.embedding == 0:
            raise ConfigError("dropout.embedding is above 0 but model.embedding is 0")
        if self.residual and self.structure not in ("plain", "residual"):
            raise ConfigError(
                f"model.residual is on and model.structure is {self.structure!r}: a "
                "layer has one structure; set model.residual to False"
            )

    @property
    def kind(self) -> str:
        """The cell, and what is around it, in words: "gru", "dilated gru"."""
        name = "residual" if self.residual else self.structure
        words = [name.replace("_", " ")] * (name != "plain") + [self.cell]
        return " ".join(words)


@dataclass(frozen=True)
class SpellingConfig:
    """How a word's vector is made of its characters."""

    longest: int = 20
    """Signs of a word at most, one before it and one after it included."""
    characters: int = 15
    """Width of a character's vector."""
    widths: int = 6
    """convolution: windows of 1, 2, … so many characters."""
    filters: int = 25
    """convolution: filters of the narrowest window; one of w characters has w times
    as many."""
    highway: int = 1
    """convolution: highway layers on them."""
    units: int = 100
    """bilstm: units each way."""

    def __post_init__(self):
        within("spelling.longest", self.longest, 3, 1000)
        within("spelling.widths", self.widths, 1, self.longest)
        within("spelling.highway", self.highway, 0, 8)
        for name in ("characters", "filters", "units"):
            within(f"spelling.{name}", getattr(self, name), 1, WIDEST)


@dataclass(frozen=True)
class OptimConfig:
    """One optax chain: clip, then scale, then decay, then step."""

    optimizer: Optimizer = "adam"
    """sgd, momentum, rmsprop, adam or adamw."""
    learning_rate: float = field(default=0.002, metadata=TRACED)
    """Before the schedule."""
    reduction: Reduction = "token"
    """What is differentiated: token: nats per token; time_sum: nats summed over time
    and averaged over the batch, as in Zaremba 2014 and the tutorial."""
    precision: Precision = "float32"
    """Of the factors of matrix products in the gradient, which are summed in float32;
    weights, states, sums and updates are float32 always, and so is all that is
    evaluated. bfloat16 is faster where the processor has it."""
    truncation: int = 0
    """0: gradients flow through the whole window; τ: each token's loss flows back
    through at most τ recurrent steps, whatever the window (the tutorial's 4)."""
    momentum: float = 0.9
    """For momentum."""
    decay: float = 0.9
    """Of the mean square, for rmsprop."""
    b1: float = 0.9
    """For adam and adamw."""
    b2: float = 0.999
    """For adam and adamw."""
    eps: float = 1e-8
    """For rmsprop, adam and adamw."""
    weight_decay: float = field(default=0.0, metadata=SWITCHED)
    """adamw: decoupled; the others: added to the gradient (L2)."""
    clip: Clip = "norm"
    """none; norm: the global norm; value: each entry."""
    clip_at: float = field(default=5.0, metadata=TRACED)
    """Largest norm, or largest absolute entry."""
    omega: float = 0.0
    """Weight of Ω, which asks that gradients keep their norm from step to step back in
    time (Pascanu 2013, equations 9 and 10); the authors' code has 2."""
    schedule: Schedule = field(default="constant", metadata=HOST)
    """constant; halve_on_rise: × factor after an epoch whose training loss rose (the
    tutorial's); plateau: × factor after `patience` evaluations without a better
    validation loss; step_decay: × factor after every epoch from epoch `hold` on
    (Zaremba); cosine: to `floor` at the last step. `warmup` holds for all."""
    factor: float = field(default=0.5, metadata=HOST)
    """What a schedule multiplies the learning rate by."""
    hold: int = field(default=4, metadata=HOST)
    """step_decay: epochs at the full learning rate."""
    patience: int = field(default=1, metadata=HOST)
    """plateau: evaluations to wait."""
    floor: float = field(default=0.0, metadata=HOST)
    """Smallest share of the learning rate that a schedule leaves."""
    warmup: int = field(default=0, metadata=HOST)
    """Steps over which the learning rate rises linearly from 0."""
    average: Average = "none"
    """Parameters used for evaluation: none: the last; ema: an exponential moving
    average that begins with the initial ones; ema_corrected: without these, so that it
    may be used from the first step on; tail: the plain mean from step `average_from` on
    (Polyak)."""
    average_decay: float = 0.999
    """For ema and ema_corrected."""
    average_from: int = 0
    """For tail, in steps."""

    def __post_init__(self):
        choice("optim.optimizer", self.optimizer, Optimizer)
        choice("optim.reduction", self.reduction, Reduction)
        choice("optim.precision", self.precision, Precision)
        choice("optim.clip", self.clip, Clip)
        choice("optim.schedule", self.schedule, Schedule)
        choice("optim.average", self.average, Average)
        for name in ("momentum", "decay", "b1", "b2", "average_decay"):
            within(f"optim.{name}", getattr(self, name), 0.0, 1.0, open_high=True)
        for name in ("learning_rate", "eps", "clip_at"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ConfigError(f"optim.{name} is {value}: must be above 0")
        within("optim.factor", self.factor, 0.0, 1.0)
        within("optim.floor", self.floor, 0.0, 1.0)
        for name in ("truncation", "weight_decay", "hold", "warmup", "average_from"):
            at_least(f"optim.{name}", getattr(self, name), 0)
        at_least("optim.omega", self.omega, 0)
        if self.omega and self.truncation:
            raise ConfigError(
                f"optim.omega is {self.omega} and optim.truncation {self.truncation}: "
                "Ω keeps gradients that truncation cuts off; set either to 0"
            )
        at_least("optim.patience", self.patience, 1)

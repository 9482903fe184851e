"""What `experiments.evaluate` is asked for, and the grids over which it tunes."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from lm.adaptive import SHARPNESS
from lm.config import ConfigError, at_least, within

TUNE = "tune"
# Those of lamb (Melis et al. 2020), 1.06 to .80, and three more.
TEMPERATURES = tuple(round(0.8 + 0.02 * n, 2) for n in range(17))
# Per 5 tokens, as those of Krause et al. 2018 are, who scale them likewise.
RATES = (5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4)
DECAYS = (0.0, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02)
BEGIN_RATE, BEGIN_DECAY = 5e-5, 0.002


@dataclass(frozen=True)
class Evaluate:
    """Which models read what, and how they adapt. What has several values is tuned over
    them, on the validation split alone."""

    run: tuple[str, ...]
    """Directories of runs whose best checkpoints read; several are an ensemble."""
    split: Literal["test", "valid"] = "test"
    """`test`, or `valid` to see no more than that split, on which all is tuned."""
    temperature: tuple[str, ...] = ("1",)
    """Softmax of logits / T: a number, some numbers to choose from, or `tune`."""
    cache: int = 0
    """Tokens in the neural cache (Penn Treebank: 500; longer documents: 2000 and more);
    0: none."""
    theta: tuple[float, ...] = SHARPNESS
    """Sharpness θ of the cache, weights exp(θ h·h'). Its share follows by EM."""
    dynamic: bool = False
    """Dynamic evaluation: the parameters go on learning from the text that is scored.
    Such perplexities are adaptive, not those of a fixed model."""
    rate: tuple[float, ...] = ()
    """Its learning rate η; by default chosen from Krause's, times segment / 5."""
    decay: tuple[float, ...] = ()
    """Its pull λ back to the trained parameters; likewise."""
    epsilon: float = 2e-5
    """Its ε beside the gradient's root mean square."""
    mean: Literal["tensors", "elements"] = "tensors"
    """What λ is measured by: mean of the `tensors`' means (Krause's program), or of all
    `elements` (lamb)."""
    segment: int = 20
    """Tokens T read between two updates (Krause: 5; 20 is as good within .5 and three
    times as fast). Sentence models: at most these, within a sentence."""
    lanes: int = 1
    """Lanes that the split is read in, each with its own state and cache, and one
    update for all; 1, the whole split in its order, is what papers report."""
    ngram: int = 0
    """Order of an interpolated modified Kneser–Ney n-gram of the training split to mix
    in; 0: none."""
    mix: tuple[str, ...] = ()
    """Files of probabilities to mix in, as `--out` writes them: the last column, or
    FILE:COLUMN."""
    valid_tokens: int = 30_000
    """Tokens at the beginning of valid on which η and λ are tuned; 0: all."""
    statistics_tokens: int = 200_000
    """Tokens at the beginning of train of which the statistics of gradients are taken,
    in 100 lanes; 0: all."""
    out: Path | None = None
    """A file for the probability of every token of both splits, by every row of the
    table and every component of the last (TSV)."""
    jsonl: bool = False
    """Print a JSON object a row, and a last one with all that was tuned."""
    temperatures: tuple[float, ...] = field(init=False, repr=False)

    def __post_init__(self):
        object.__setattr__(self, "temperatures", _temperatures(self.temperature))
        if len(set(self.run)) < len(self.run):
            raise ConfigError("--run names one directory twice: give each run once")
        if not self.run:
            raise ConfigError("--run is needed: the directory of a trained run")
        within("--cache", self.cache, 0, 100_000)
        within("--ngram", self.ngram, 0, 20)
        within("--segment", self.segment, 1, 10_000)
        within("--lanes", self.lanes, 1, 10_000)
        at_least("--valid-tokens", self.valid_tokens, 0)
        at_least("--statistics-tokens", self.statistics_tokens, 0)
        for name, values in (
            ("--theta", self.theta),
            ("--rate", self.rate),
            ("--decay", self.decay),
        ):
            for value in values:
                within(name, value, 0.0, 1e6)
        within("--epsilon", self.epsilon, 1e-12, 1.0)
        if not self.theta:
            raise ConfigError("--theta has no value: give one, or some to choose from")

    @property
    def θs(self) -> tuple[float, ...]:
        """The values of θ to choose from."""
        return _ordered(self.theta)

    @property
    def rates(self) -> tuple[float, ...]:
        """The values of η to choose from."""
        return _ordered(self.rate or self._scaled(RATES))

    @property
    def decays(self) -> tuple[float, ...]:
        """Those of λ."""
        return _ordered(self.decay or self._scaled(DECAYS))

    @property
    def begin(self) -> tuple[float, float]:
        """η and λ with which the search begins."""
        rate, decay = self._scaled((BEGIN_RATE, BEGIN_DECAY))
        return nearest(self.rates, rate), nearest(self.decays, decay)

    def _scaled(self, values: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(float(f"{v * self.segment / 5:.6g}") for v in values)


def nearest(values: tuple[float, ...], wanted: float) -> float:
    """The value that is nearest to what is wanted."""
    return min(values, key=lambda value: abs(value - wanted))


def _ordered(values: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(sorted(set(values)))


def _temperatures(words: tuple[str, ...]) -> tuple[float, ...]:
    if TUNE in words:
        return TEMPERATURES
    try:
        found = _ordered(tuple(float(word) for word in words))
    except ValueError:
        found = ()
    if not found:
        raise ConfigError(
            f"--temperature is {' '.join(words)!r}: give a number, some numbers to "
            f"choose from, or {TUNE}"
        )
    for value in found:
        within("--temperature", value, 0.01, 100.0)
    return found

"""What one run is made of: a `Config`, built from a named base and the command line.

A config is a tree of frozen records that check themselves when built. It goes to and
from JSON, and `parse` reads it from the command line through tyro. No JAX here, so
that `--help` answers at once.
"""

import dataclasses
import importlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard, TypeVar, get_type_hints

from data_pipeline.config import DataConfig
from lm.config import ConfigError, ModelConfig, OptimConfig, at_least, unknown, within

T = TypeVar("T")
CONFIGS = Path(__file__).parent / "configs"

# Fields that say how far and how visibly a run goes, not what it computes: a run may
# be resumed with other values. `cosine` reads the end of the run, see `differences`.
PACING = frozenset(
    "name train.epochs train.steps train.minutes train.checkpoint_every train.keep "
    "train.patience train.sample_every train.samples train.tensorboard "
    "train.devices "
    "gradflow.every gradflow.lanes gradflow.lags".split()
)


@dataclass(frozen=True)
class TrainConfig:
    """How long to train, and what to do on the way."""

    epochs: int = 10
    """Passes over the training split; 0: bounded by `steps` or `minutes` alone."""
    steps: int = 0
    """Largest number of optimizer steps; 0: no such bound."""
    minutes: float = 0.0
    """Wall-clock bound in minutes, over all sessions of the run; 0: no such bound."""
    eval_every: int = 0
    """Steps between evaluations on the validation split; 0: at each epoch's end."""
    eval_batch: int = 20
    """Lanes read in parallel in evaluation. Each starts from the initial state."""
    checkpoint_every: int = 0
    """Steps between checkpoints; 0: at each evaluation."""
    keep: int = 2
    """Checkpoints kept: the last so many, and the best besides."""
    patience: int = 0
    """Stop early after so many evaluations without a better validation loss; 0: off."""
    sample_every: int = 0
    """Steps between samples of text; 0: at each evaluation."""
    samples: int = 5
    """Texts in a sample; 0: none."""
    tensorboard: bool = False
    """Write the metrics for TensorBoard too (needs tensorboardX)."""
    devices: int = 1
    """Devices, in each process, that share the lanes of a batch; 0: all there are. On
    a CPU its cores act as devices. The numbers are those of one, up to rounding."""

    def __post_init__(self):
        counts = (
            "epochs steps minutes eval_every checkpoint_every patience sample_every"
        )
        for name in [*counts.split(), "samples"]:
            at_least(f"train.{name}", getattr(self, name), 0)
        at_least("train.eval_batch", self.eval_batch, 1)
        at_least("train.keep", self.keep, 1)
        within("train.devices", self.devices, 0, 1024)
        if not (self.epochs or self.steps or self.minutes):
            raise ConfigError(
                "train.epochs, train.steps and train.minutes are all 0: the run would "
                "never end; set one of them above 0"
            )


@dataclass(frozen=True)
class GradflowConfig:
    """Probes of the gradient flow during training; they change nothing in it."""

    every: int = -1
    """Steps between probes, besides one before training and one at its end; 0: no
    probes; -1: as often as costs at most 5 % of the training time."""
    lanes: int = 16
    """Windows of validation text that are probed, the same ones each time."""
    lags: int = 50
    """How many steps back a probe looks; a window is one token longer."""

    def __post_init__(self):
        at_least("gradflow.every", self.every, -1)
        at_least("gradflow.lanes", self.lanes, 1)
        at_least("gradflow.lags", self.lags, 1)


@dataclass(frozen=True)
class Config:
    """One run: a pure function of this record and its seed."""

    name: str = "default"
    """What the run is called; part of its directory's name."""
    seed: int = 0
    """Seed of the weights, the order of the batches, dropout and samples."""
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    gradflow: GradflowConfig = field(default_factory=GradflowConfig)

    def __post_init__(self):
        within("seed", self.seed, 0, 2**32 - 1)
        if not self.name or any(c in self.name for c in "/\\ \0"):
            raise ConfigError(
                f"name is {self.name!r}: it becomes part of a folder's name, so give "
                "it at least one character and neither blanks nor slashes"
            )
        if self.optim.schedule == "cosine" and not (
            self.train.epochs or self.train.steps
        ):
            raise ConfigError(
                "optim.schedule is 'cosine' but train.epochs and train.steps are 0: "
                "it needs to know the last step; set one of them"
            )
        if self.optim.truncation and self.model.dropout.on:
            raise ConfigError(
                f"optim.truncation is {self.optim.truncation} and dropout is on: its "
                "two passes would draw different masks; set either to 0"
            )
        if self.optim.omega and self.model.dropout.on:
            raise ConfigError(
                f"optim.omega is {self.optim.omega} and dropout is on: Ω is that of "
                "the cell without dropout; set either to 0"
            )
        if 0 < self.train.steps < self.optim.warmup:
            raise ConfigError(
                f"optim.warmup is {self.optim.warmup} but train.steps is "
                f"{self.train.steps}: warm up for fewer steps, or train for more"
            )


def to_dict(config: Any) -> dict:
    """The config as nested dicts of JSON values."""
    return dataclasses.asdict(config)


def from_dict(values: dict, kind: type[T] = Config, prefix: str = "") -> T:
    """What `to_dict` gave, or an edited copy; fields left out get their defaults.

    Raises:
      ConfigError: for a field that is not there, or a value of another type.
    """
    hints = get_type_hints(kind)
    built: dict[str, Any] = {}
    for key, value in values.items():
        if key not in hints:
            valid = [prefix + name for name in hints]
            raise ConfigError(unknown("config field", prefix + key, valid))
        hint: Any = hints[key]
        if _is_record(hint):
            if not isinstance(value, dict):
                raise ConfigError(f"{prefix}{key} is {value!r}: must be an object")
            built[key] = from_dict(value, hint, f"{prefix}{key}.")
        else:
            built[key] = _leaf(prefix + key, value, hint)
    return kind(**built)


def _leaf(path: str, value: Any, hint: Any) -> Any:
    """A JSON value as the field's type."""
    wanted = (int, float) if hint is float else hint
    if isinstance(value, list):
        return tuple(value)
    if not isinstance(hint, type):
        return value
    if not isinstance(value, wanted) or (isinstance(value, bool) and hint is not bool):
        raise ConfigError(f"{path} is {value!r}: must be of type {hint.__name__}")
    return float(value) if hint is float else value


def _is_record(hint: Any) -> TypeGuard[type]:
    return isinstance(hint, type) and dataclasses.is_dataclass(hint)


def paths(kind: type, prefix: str = "") -> list[str]:
    """Dotted names of all fields, those of nested records included."""
    found = []
    for name, hint in get_type_hints(kind).items():
        below = paths(hint, f"{prefix}{name}.") if _is_record(hint) else []
        found += below or [prefix + name]
    return found


def flatten(values: dict, prefix: str = "") -> dict[str, Any]:
    """Nested dicts as one, with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def differences(old: Config, new: Config) -> dict[str, tuple[Any, Any]]:
    """Fields in which two configs differ and that change a run's numbers: {dotted
    name: (old value, new value)}. The `PACING` fields do not count, except that a
    cosine schedule reads epochs and steps."""
    pacing = PACING
    if "cosine" in (old.optim.schedule, new.optim.schedule):
        pacing = PACING - {"train.epochs", "train.steps"}
    was, now = flatten(to_dict(old)), flatten(to_dict(new))
    return {
        key: (was[key], now[key])
        for key in now
        if key not in pacing and was[key] != now[key]
    }


def named() -> list[str]:
    """Names of the ready configs in `experiments/configs/`."""
    return sorted(p.stem for p in CONFIGS.glob("*.py") if p.stem[0] != "_")


def load_named(name: str) -> Config:
    """`CONFIG` of `experiments/configs/NAME.py`; ConfigError for an unknown name."""
    if not name:
        raise ConfigError(f"--config needs a name (valid: {', '.join(named())})")
    if name not in named():
        raise ConfigError(unknown("config", name, named()))
    return importlib.import_module(f"experiments.configs.{name}").CONFIG

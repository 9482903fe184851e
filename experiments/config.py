"""What one run is made of: a `Config`, built from a named base and the command line.

A config is a tree of frozen records that check themselves when built. It goes to and
from JSON, and `parse` reads it from the command line through tyro. No JAX here, so
that `--help` answers at once.
"""

import dataclasses
import importlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import (
    Any,
    ClassVar,
    Literal,
    TypeGuard,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
)

from data_pipeline.config import DataConfig
from lm.config import (
    HOST,
    ConfigError,
    ModelConfig,
    OptimConfig,
    at_least,
    unknown,
    within,
)

T = TypeVar("T")
CONFIGS = Path(__file__).parent / "configs"

# What a field is, in its metadata; one without changes a run's numbers, and how its
# step is compiled. BOUND: how far a run goes. PACING: what is kept and shown on the
# way. PROBE: what is measured on the way. There are others in `lm.config` (traced,
# switched, host) and `data_pipeline.config` (text, place).
BOUND, PACING, PROBE = ({"kind": kind} for kind in ("bound", "pacing", "probe"))
WITHOUT_NUMBERS = ("bound", "pacing", "probe", "place")
NAME_BYTES = 100
AUTO = "auto"  # of `train.devices`: as was measured


@dataclass(frozen=True)
class TrainConfig:
    """How long to train, and what to do on the way."""

    epochs: int = field(default=10, metadata=BOUND)
    """Passes over the training split; 0: bounded by `steps` or `minutes` alone."""
    steps: int = field(default=0, metadata=BOUND)
    """Largest number of optimizer steps; 0: no such bound."""
    minutes: float = field(default=0.0, metadata=BOUND)
    """Wall-clock bound in minutes, over all sessions of the run; 0: no such bound."""
    eval_every: int = field(default=0, metadata=HOST)
    """Steps between evaluations on the validation split; 0: at each epoch's end."""
    eval_batch: int = 20
    """Lanes read in parallel in evaluation. Each starts from the initial state."""
    checkpoint_every: int = field(default=0, metadata=PACING)
    """Steps between checkpoints; 0: at each evaluation."""
    keep: int = field(default=2, metadata=PACING)
    """Checkpoints kept: the last so many, and the best besides."""
    patience: int = field(default=0, metadata=BOUND)
    """Stop early after so many evaluations without a better validation loss; 0: off."""
    sample_every: int = field(default=0, metadata=PACING)
    """Steps between samples of text; 0: at each evaluation."""
    samples: int = field(default=5, metadata=PACING)
    """Texts in a sample; 0: none."""
    tensorboard: bool = field(default=False, metadata=PACING)
    """Write the metrics for TensorBoard too (needs tensorboardX)."""
    devices: int | Literal["auto"] = field(default=AUTO, metadata=PACING)
    """Devices, in each process, that share the lanes of a batch; 0: all there are;
    auto: as was measured for models of this size, and as before where a run goes on.
    On a CPU its cores act as devices. The numbers are those of one, up to rounding."""
    fused: int = field(default=1, metadata=PACING)
    """Steps in one call of the compiled program, wherever nothing else falls between
    them: worth while where a step of a small model takes less than calling it."""

    def __post_init__(self):
        counts = (
            "epochs steps minutes eval_every checkpoint_every patience sample_every"
        )
        for name in counts.split():
            at_least(f"train.{name}", getattr(self, name), 0)
        within("train.samples", self.samples, 0, 1000)
        within("train.eval_batch", self.eval_batch, 1, 2**16)
        within("train.fused", self.fused, 1, 1024)
        at_least("train.keep", self.keep, 1)
        self._check_devices()
        if not (self.epochs or self.steps or self.minutes):
            raise ConfigError(
                "train.epochs, train.steps and train.minutes are all 0: the run would "
                "never end; set one of them above 0"
            )

    def _check_devices(self) -> None:
        if self.devices == AUTO:
            return
        if type(self.devices) is not int:
            told = f"train.devices is {self.devices!r}: must be a number, or {AUTO!r}"
            raise ConfigError(told)
        within("train.devices", self.devices, 0, 1024)


@dataclass(frozen=True)
class GradflowConfig:
    """Probes of the gradient flow during training; they change nothing in it."""

    every: int = field(default=-1, metadata=PACING)
    """Steps between probes, besides one before training and one at its end; 0: no
    probes; -1: as often as costs at most 5 % of the training time."""
    lanes: int = field(default=16, metadata=PROBE)
    """Windows of validation text that are probed, the same ones each time."""
    lags: int = field(default=50, metadata=PROBE)
    """How many steps back a probe looks; a window is one token longer."""

    def __post_init__(self):
        at_least("gradflow.every", self.every, -1)
        at_least("gradflow.lanes", self.lanes, 1)
        at_least("gradflow.lags", self.lags, 1)


@dataclass(frozen=True)
class RunConfig:
    """One run: a pure function of this record and its seed. The class of a config is
    its application; it adds what is particular to that: its data and its model."""

    application: ClassVar[str]
    """A name in `experiments.applications.APPLICATIONS`."""

    name: str = field(default="default", metadata=PACING)
    """What the run is called; part of its directory's name."""
    seed: int = field(default=0, metadata=HOST)
    """Seed of the weights, the order of the batches, dropout and samples."""
    optim: OptimConfig = field(default_factory=OptimConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    gradflow: GradflowConfig = field(default_factory=GradflowConfig)

    def __post_init__(self):
        within("seed", self.seed, 0, 2**32 - 1)
        _check_name(self.name)
        if self.optim.schedule == "cosine" and not (
            self.train.epochs or self.train.steps
        ):
            raise ConfigError(
                "optim.schedule is 'cosine' but train.epochs and train.steps are 0: "
                "it needs to know the last step; set one of them"
            )
        if 0 < self.train.steps < self.optim.warmup:
            raise ConfigError(
                f"optim.warmup is {self.optim.warmup} but train.steps is "
                f"{self.train.steps}: warm up for fewer steps, or train for more"
            )


@dataclass(frozen=True)
class Config(RunConfig):
    """A run of a language model."""

    application: ClassVar[str] = "language_model"

    by_text: bool = field(default=False, metadata=PACING)
    """Let the length of the training text choose how it is cut, units, dropout, lanes
    and epochs, where the command line says nothing; what was chosen is told."""
    ngram: int = field(default=0, metadata=PACING)
    """Order of the Kneser-Ney n-gram of the same tokens whose perplexity stands beside
    at the end; 0: none."""
    cache: int = field(default=0, metadata=PACING)
    """Tokens in a neural cache, with which valid and test are read once more at the
    end; 0: none."""
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)

    def __post_init__(self):
        super().__post_init__()
        within("ngram", self.ngram, 0, 20)
        within("cache", self.cache, 0, 100_000)
        check_dropout(self.optim, self.model)


def check_dropout(optim: OptimConfig, model: ModelConfig) -> None:
    """Raises ConfigError where dropout is on beside what cannot bear it."""
    if optim.truncation and model.dropout.on:
        raise ConfigError(
            f"optim.truncation is {optim.truncation} and dropout is on: its two passes "
            "would draw different masks; set either to 0"
        )
    if optim.omega and model.dropout.on:
        raise ConfigError(
            f"optim.omega is {optim.omega} and dropout is on: Ω is that of the cell "
            "without dropout; set either to 0"
        )


def _check_name(name: str) -> None:
    plain = name.isprintable() and not any(c in name for c in "/\\ ")
    if not name or not plain or len(name.encode(errors="replace")) > NAME_BYTES:
        short = name if len(name) <= NAME_BYTES else f"{name[:20]}…"
        raise ConfigError(
            f"name is {short!r}: it becomes part of a folder's name, so give it at "
            f"least one character, at most {NAME_BYTES} bytes, and neither blanks nor "
            "slashes"
        )


def to_dict(config: Any) -> dict:
    """The config as nested dicts of JSON values."""
    return dataclasses.asdict(config)


def from_dict(values: dict, kind: type[T], prefix: str = "") -> T:
    """What `to_dict` gave, or an edited copy; fields left out get their defaults.

    Raises:
      ConfigError: for a field that is not there, or a value of another type.
    """
    hints = fields_of(kind)
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


def fields_of(kind: Any) -> dict[str, Any]:
    """{name: type} of a record's fields."""
    hints = get_type_hints(kind)
    return {own.name: hints[own.name] for own in dataclasses.fields(kind)}


def _leaf(path: str, value: Any, hint: Any) -> Any:
    """A JSON value as the field's type."""
    origin = get_origin(hint)
    if origin is tuple:
        return _tuple(path, value, get_args(hint))
    if origin is Literal:
        hint = str
    if not isinstance(hint, type):
        return value
    wanted = (int, float) if hint is float else hint
    if not isinstance(value, wanted) or (isinstance(value, bool) and hint is not bool):
        raise ConfigError(f"{path} is {value!r}: must be of type {hint.__name__}")
    try:
        return float(value) if hint is float else value
    except OverflowError:
        raise ConfigError(f"{path} is too large a number") from None


def _tuple(path: str, value: Any, kinds: tuple[Any, ...]) -> tuple[Any, ...]:
    """A JSON list as a tuple; `kinds`: those of its values, or (kind, ...)."""
    if not isinstance(value, list | tuple):
        raise ConfigError(f"{path} is {value!r}: must be a list")
    if kinds[1:] == (...,):
        kinds = kinds[:1] * len(value)
    if len(kinds) != len(value):
        raise ConfigError(f"{path} has {len(value)} values: must have {len(kinds)}")
    pairs = zip(value, kinds, strict=True)
    return tuple(_leaf(f"{path}[{n}]", v, kind) for n, (v, kind) in enumerate(pairs))


def _is_record(hint: Any) -> TypeGuard[type]:
    return isinstance(hint, type) and dataclasses.is_dataclass(hint)


def kinds_of(kind: Any, prefix: str = "") -> dict[str, str]:
    """{dotted name: what the field is, see `BOUND`} of all fields, those of nested
    records included; "" where its metadata say nothing."""
    found: dict[str, str] = {}
    hints = fields_of(kind)
    for own in dataclasses.fields(kind):
        path, hint = prefix + own.name, hints[own.name]
        below = kinds_of(hint, f"{path}.") if _is_record(hint) else {}
        found |= below or {path: own.metadata.get("kind", "")}
    return found


def of_kinds(kind: type, *kinds: str) -> frozenset[str]:
    """Dotted names of the fields that are of one of these kinds."""
    return frozenset(path for path, own in kinds_of(kind).items() if own in kinds)


def flatten(values: dict, prefix: str = "") -> dict[str, Any]:
    """Nested dicts as one, with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def differences(
    old: Any, new: Any, same_text: bool = False, bounds: bool = False
) -> dict[str, tuple[Any, Any]]:
    """Fields in which two configs differ and that change a run's numbers: {dotted
    name: (old value, new value)}. Fields that only pace a run do not count, except
    that a cosine schedule reads epochs and steps.

    same_text: the text is known to be the same, so that where it lies does not count.
    bounds: whether how far a run goes does.
    """
    without = of_kinds(type(new), *WITHOUT_NUMBERS, *(["text"] if same_text else []))
    if bounds:
        without -= of_kinds(type(new), "bound")
    if "cosine" in (old.optim.schedule, new.optim.schedule):
        without -= {"train.epochs", "train.steps"}
    was, now = flatten(to_dict(old)), flatten(to_dict(new))
    return {
        key: (was[key], now[key])
        for key in now
        if key not in without and was[key] != now[key]
    }


def named() -> list[str]:
    """Names of the ready configs in `experiments/configs/`."""
    return sorted(p.stem for p in CONFIGS.glob("*.py") if p.stem[0] != "_")


def load_named(name: str) -> Any:
    """`CONFIG` of `experiments/configs/NAME.py`; ConfigError for an unknown name."""
    if not name:
        raise ConfigError(f"--config needs a name (valid: {', '.join(named())})")
    if name not in named():
        raise ConfigError(unknown("config", name, named()))
    return importlib.import_module(f"experiments.configs.{name}").CONFIG

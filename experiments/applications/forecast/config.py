"""What a run on a time series is made of."""

from dataclasses import dataclass, field
from typing import ClassVar

from data_pipeline.config import TEXT
from data_pipeline.series import NAMES
from experiments.config import RunConfig, check_dropout
from lm.config import ConfigError, ModelConfig, at_least, unknown, within


@dataclass(frozen=True)
class SeriesConfig:
    """Which series, and how it is read."""

    series: str = field(default="seasonal_ar", metadata=TEXT)
    """seasonal_ar, mackey_glass or lorenz, made here; sunspots: yearly, 1700 to
    2008."""
    length: int = field(default=60_000, metadata=TEXT)
    """Values that are made; 80 % to learn from, 10 % for validation, 10 % for the
    test."""
    csv: str = field(default="", metadata=TEXT)
    """A CSV file of one's own, in place of `series`: a row a value, without gaps."""
    column: str = field(default="", metadata=TEXT)
    """`csv`: the column's name, where there are several."""
    period: int = field(default=0, metadata=TEXT)
    """`csv`: steps in a season, for the seasonal naive forecast; 0: none."""
    valid_share: float = field(default=0.1, metadata=TEXT)
    """`csv`: share of the values, before those of the test, for validation."""
    test_share: float = field(default=0.1, metadata=TEXT)
    """`csv`: share of the values, at the end, for the test."""
    batch: int = 32
    """Windows in a batch, each from the initial state."""
    window: int = 100
    """Values in a window."""
    burn_in: int = 12
    """Forecasts at a window's beginning that do not count."""
    updates: int = 100
    """Batches that are called an epoch."""
    context: int = 400
    """Values before a split that an evaluation reads first; 0: all that there are."""
    horizon: int = field(default=12, metadata=TEXT)
    """Steps ahead in forecasts of many steps."""
    paths: int = field(default=500, metadata=TEXT)
    """Futures that are drawn for each of these."""
    origins: int = field(default=50, metadata=TEXT)
    """Most places of the test split from which they start."""
    most_lags: int = field(default=30, metadata=TEXT)
    """Largest order of the autoregression beside it, which validation chooses."""

    def __post_init__(self):
        if self.series not in NAMES:
            raise ConfigError(unknown("data.series", self.series, NAMES))
        if self.column and not self.csv:
            raise ConfigError(
                f"data.column is {self.column!r} but data.csv is empty: give a file"
            )
        within("data.length", self.length, 100, 10_000_000)
        within("data.batch", self.batch, 1, 2**16)
        for name in ("period", "burn_in", "context"):
            at_least(f"data.{name}", getattr(self, name), 0)
        for name in ("window", "updates", "origins", "most_lags"):
            at_least(f"data.{name}", getattr(self, name), 1)
        within("data.horizon", self.horizon, 1, 10_000)
        within("data.paths", self.paths, 2, 100_000)
        for name in ("valid_share", "test_share"):
            within(f"data.{name}", getattr(self, name), 0.0, 0.5)
        if self.burn_in >= self.window:
            raise ConfigError(
                f"data.burn_in is {self.burn_in} but data.window is {self.window}: "
                "nothing of a window would count; make it smaller"
            )


@dataclass(frozen=True)
class ForecastModel(ModelConfig):
    """The network that reads the series."""

    embedding: int = 0
    """0: values go into the cell as they are."""

    def __post_init__(self):
        super().__post_init__()
        if self.embedding:
            raise ConfigError(
                f"model.embedding is {self.embedding}: values go into the cell as they "
                "are, so set it to 0"
            )


@dataclass(frozen=True)
class ForecastConfig(RunConfig):
    """A run on a time series."""

    application: ClassVar[str] = "forecast"

    data: SeriesConfig = field(default_factory=SeriesConfig)
    model: ForecastModel = field(default_factory=lambda: ForecastModel("gru", 1, 32))

    def __post_init__(self):
        super().__post_init__()
        check_dropout(self.optim, self.model)

"""A noisy seasonal autoregression, whose best possible forecast is known.

Reproduces  the optimum: −ln density and squared error of the distributions that the
            values were drawn from.
Command     python -m experiments.train --config forecast
            (--data.series mackey_glass and lorenz: chaotic ones, without noise)
"""

from experiments.applications.forecast.config import (
    ForecastConfig,
    ForecastModel,
    SeriesConfig,
)
from experiments.config import GradflowConfig, TrainConfig
from lm.config import OptimConfig

CONFIG = ForecastConfig(
    name="forecast",
    data=SeriesConfig(series="seasonal_ar"),
    model=ForecastModel(cell="gru", hidden=32),
    optim=OptimConfig("adam", 0.01, clip_at=1.0, schedule="cosine"),
    train=TrainConfig(epochs=12, samples=0),
    gradflow=GradflowConfig(lanes=64, lags=50),
)

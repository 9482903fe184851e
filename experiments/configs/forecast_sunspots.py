"""Yearly sunspot numbers: learnt to 1900, validated to 1920, tested to 1979.

Reproduces  the splits and the average relative variance (ARV) that are usual since
            Weigend, Huberman & Rumelhart 1990; beside naive forecasts and an AR.
Differs     a recurrent network that reads one value a step; 1901 to 1920 for
            validation, where they trained on them.
Command     python -m experiments.train --config forecast_sunspots
"""

from experiments.applications.forecast.config import (
    ForecastConfig,
    ForecastModel,
    SeriesConfig,
)
from experiments.config import GradflowConfig, TrainConfig
from lm.config import DropoutConfig, OptimConfig

CONFIG = ForecastConfig(
    name="forecast_sunspots",
    data=SeriesConfig(
        series="sunspots",
        batch=32,
        window=80,
        burn_in=12,
        updates=20,
        context=0,
        horizon=11,
    ),
    model=ForecastModel(
        cell="gru",
        hidden=24,
        dropout=DropoutConfig(kind="locked", weight=0.3, output=0.2),
    ),
    optim=OptimConfig(
        "adam",
        0.003,
        clip_at=1.0,
        weight_decay=1e-3,
        average="ema",
        average_decay=0.98,
    ),
    train=TrainConfig(epochs=100, patience=25, samples=0),
    gradflow=GradflowConfig(lanes=20, lags=40),
)

"""A two-layer character LSTM, 2×128, on the standard library's docstrings.

Reproduces  nothing published; the size is that of the characters benchmark.
Command     python -m experiments.train --config characters
"""

from data_pipeline.config import DataConfig
from experiments.config import Config, TrainConfig
from lm.config import ModelConfig, OptimConfig

CONFIG = Config(
    name="characters",
    data=DataConfig(
        corpus="stdlib_docs",
        tokenizer="characters",
        min_count=5,
        batch=50,
        window=50,
    ),
    model=ModelConfig(cell="lstm", layers=2, hidden=128, embedding=128),
    optim=OptimConfig(optimizer="adam", learning_rate=0.002),
    train=TrainConfig(epochs=10),
)

"""The model of `make run`: a word-level LSTM on the standard library's docstrings.

Reproduces  nothing published; the corpus is embedded, so no network is needed.
Command     python -m experiments.train --config tour
"""

from data_pipeline.config import DataConfig
from experiments.config import Config, TrainConfig
from lm.config import DropoutConfig, InitConfig, ModelConfig, OptimConfig

CONFIG = Config(
    name="tour",
    data=DataConfig(
        corpus="stdlib_docs",
        tokenizer="words",
        max_vocabulary=6_000,
        batch=20,
        window=20,
    ),
    model=ModelConfig(
        cell="lstm",
        hidden=200,
        embedding=200,
        softmax="tied",
        init=InitConfig(weights="uniform", scale=0.1),
        dropout=DropoutConfig(kind="between", input=0.3, output=0.3),
    ),
    optim=OptimConfig(
        optimizer="adam", learning_rate=0.005, schedule="cosine", clip_at=1.0
    ),
    train=TrainConfig(epochs=5, minutes=2.3),
)

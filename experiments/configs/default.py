"""The model of `make run`: a word-level LSTM on the standard library's docstrings.

Reproduces  nothing published; the corpus is embedded, so no network is needed.
Command     python -m experiments.train
"""

from data_pipeline.config import DataConfig
from experiments.config import Config, TrainConfig
from lm.config import DropoutConfig, ModelConfig, OptimConfig

CONFIG = Config(
    name="default",
    data=DataConfig(corpus="stdlib_docs", tokenizer="words", batch=20, window=20),
    model=ModelConfig(
        cell="lstm",
        layers=1,
        hidden=200,
        embedding=200,
        dropout=DropoutConfig(kind="between", input=0.2, output=0.2),
    ),
    optim=OptimConfig(optimizer="adam", learning_rate=0.002),
    train=TrainConfig(epochs=5, minutes=2.0),
)

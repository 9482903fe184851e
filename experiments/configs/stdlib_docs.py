"""A regularised word-level LSTM on the docstrings of Python's standard library.

Reproduces  at least 15 % below the perplexity of an interpolated Kneser-Ney 4-gram on
            the same split, within an hour on two cores.
Command     python -m experiments.train --config stdlib_docs
"""

from data_pipeline.config import DataConfig
from experiments.config import Config, TrainConfig
from lm.config import DropoutConfig, InitConfig, ModelConfig, OptimConfig

CONFIG = Config(
    name="stdlib_docs",
    data=DataConfig(
        corpus="stdlib_docs",
        tokenizer="words",
        max_vocabulary=8_000,
        batch=20,
        window=35,
    ),
    model=ModelConfig(
        cell="lstm",
        hidden=320,
        embedding=320,
        softmax="tied",
        init=InitConfig(weights="uniform", scale=0.1),
        dropout=DropoutConfig(
            kind="locked", input=0.4, output=0.4, embedding=0.1, weight=0.3
        ),
    ),
    optim=OptimConfig(
        optimizer="adam", learning_rate=0.003, schedule="cosine", clip_at=1.0
    ),
    train=TrainConfig(epochs=14),
)

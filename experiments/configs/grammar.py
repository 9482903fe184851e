"""The default cell on `grammar`, whose exact entropy per token is known.

Reproduces  the optimum: perplexity within 3 % of exp(entropy) of the grammar.
Command     python -m experiments.train --config grammar
"""

from data_pipeline.config import DataConfig
from experiments.config import Config, TrainConfig
from lm.config import InitConfig, ModelConfig, OptimConfig

CONFIG = Config(
    name="grammar",
    data=DataConfig(corpus="grammar", tokenizer="words", batch=50, window=30),
    model=ModelConfig(
        cell="lstm",
        hidden=200,
        embedding=200,
        init=InitConfig(weights="uniform", scale=0.1),
    ),
    optim=OptimConfig(
        optimizer="adam", learning_rate=0.004, schedule="cosine", clip_at=1.0
    ),
    train=TrainConfig(epochs=5),
)

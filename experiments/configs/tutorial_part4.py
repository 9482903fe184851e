"""Britz 2015, Part 4: two GRU layers on an embedding, rmsprop, one sentence a step.

Reproduces  the set-up: hard-sigmoid gates, the reset before the matrix product,
            H = 128, full backpropagation. The tutorial printed no perplexity.
Differs     the text: sentences of the standard library's docstrings.
Command     python -m experiments.train --config tutorial_part4
"""

from data_pipeline.config import DataConfig
from experiments.config import Config, TrainConfig
from lm.config import InitConfig, ModelConfig, OptimConfig

CONFIG = Config(
    name="tutorial_part4",
    data=DataConfig(
        corpus="stdlib_docs",
        tokenizer="words",
        lower=True,
        max_vocabulary=8000,
        reading="sentences",
        batch=1,
    ),
    model=ModelConfig(
        cell="gru_tutorial",
        layers=2,
        hidden=128,
        embedding=128,
        init=InitConfig(weights="fan_in"),
    ),
    optim=OptimConfig(
        optimizer="rmsprop",
        learning_rate=0.001,
        decay=0.9,
        eps=1e-6,
        reduction="time_sum",
        clip="none",
    ),
    train=TrainConfig(epochs=1),
)

"""Britz 2015, Part 2: a tanh RNN without biases, one sentence a step, plain SGD.

Reproduces  loss before training ln 8000 = 8.9872; under 6.5 after ten epochs over
            100 sentences (theirs: 8.987425 … 5.710718 on reddit comments).
Differs     the text: sentences of the standard library's docstrings.
Command     python -m experiments.train --config tutorial_part2
"""

from data_pipeline.config import DataConfig
from experiments.config import Config, TrainConfig
from lm.config import InitConfig, ModelConfig, OptimConfig

CONFIG = Config(
    name="tutorial_part2",
    data=DataConfig(
        corpus="stdlib_docs",
        tokenizer="words",
        lower=True,
        max_vocabulary=8000,
        reading="sentences",
        batch=1,
    ),
    model=ModelConfig(
        cell="tanh",
        hidden=100,
        embedding=0,
        bias=False,
        init=InitConfig(weights="fan_in"),
    ),
    optim=OptimConfig(
        optimizer="sgd",
        learning_rate=0.005,
        reduction="time_sum",
        truncation=4,
        clip="none",
        schedule="halve_on_rise",
        factor=0.5,
    ),
    train=TrainConfig(epochs=10),
)

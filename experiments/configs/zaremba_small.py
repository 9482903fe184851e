"""Zaremba, Sutskever & Vinyals 2014, Penn Treebank, the small LSTM.

Reproduces  valid 120.7 / test 114.5 perplexity, 4.65M parameters.
Convention  loss summed over time and averaged over the batch; plain SGD; carried
            state; forget bias 0.
Command     python -m experiments.train --config zaremba_small \
                --data.corpus ../shared/data/ptb
            (a folder with Penn Treebank's train, valid and test files)
"""

from data_pipeline.config import DataConfig
from experiments.config import Config, TrainConfig
from lm.config import InitConfig, ModelConfig, OptimConfig

CONFIG = Config(
    name="zaremba_small",
    data=DataConfig(
        corpus="../shared/data/ptb",
        tokenizer="whitespace",
        max_vocabulary=0,
        reading="streams",
        batch=20,
        window=20,
    ),
    model=ModelConfig(
        cell="lstm",
        layers=2,
        hidden=200,
        embedding=200,
        init=InitConfig(weights="uniform", scale=0.1, forget_bias=0.0),
    ),
    optim=OptimConfig(
        optimizer="sgd",
        learning_rate=1.0,
        reduction="time_sum",
        clip="norm",
        clip_at=5.0,
        schedule="step_decay",
        hold=4,
        factor=0.5,
    ),
    train=TrainConfig(epochs=13),
)

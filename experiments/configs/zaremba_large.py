"""Zaremba, Sutskever & Vinyals 2014, Penn Treebank, the large LSTM.

Reproduces  valid 82.2 / test 78.4 perplexity, 66.0M parameters.
Convention  loss summed over time and averaged over the batch; plain SGD; carried
            state; forget bias 0.
Command     python -m experiments.train --config zaremba_large \
                --data.corpus ../shared/data/ptb
            (a folder with Penn Treebank's train, valid and test files)
"""

from data_pipeline.config import DataConfig
from experiments.config import Config, TrainConfig
from lm.config import DropoutConfig, InitConfig, ModelConfig, OptimConfig

CONFIG = Config(
    name="zaremba_large",
    data=DataConfig(
        corpus="../shared/data/ptb",
        tokenizer="whitespace",
        max_vocabulary=0,
        reading="streams",
        batch=20,
        window=35,
    ),
    model=ModelConfig(
        cell="lstm",
        layers=2,
        hidden=1500,
        embedding=1500,
        init=InitConfig(weights="uniform", scale=0.04, forget_bias=0.0),
        dropout=DropoutConfig(kind="between", input=0.65, hidden=0.65, output=0.65),
    ),
    optim=OptimConfig(
        optimizer="sgd",
        learning_rate=1.0,
        reduction="time_sum",
        clip="norm",
        clip_at=10.0,
        schedule="step_decay",
        hold=14,
        factor=1 / 1.15,
    ),
    train=TrainConfig(epochs=55),
)

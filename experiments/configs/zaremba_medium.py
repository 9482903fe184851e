"""Zaremba, Sutskever & Vinyals 2014, Penn Treebank, the medium LSTM.

Reproduces  valid 86.2 / test 82.7 perplexity, 19.8M parameters.
Convention  loss summed over time and averaged over the batch; plain SGD; carried
            state; forget bias 0.
Command     python -m experiments.train --config zaremba_medium \
                --data.corpus ../shared/data/ptb
            (a folder with Penn Treebank's train, valid and test files)
"""

from data_pipeline.config import DataConfig
from experiments.config import Config, TrainConfig
from lm.config import DropoutConfig, InitConfig, ModelConfig, OptimConfig

CONFIG = Config(
    name="zaremba_medium",
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
        hidden=650,
        embedding=650,
        init=InitConfig(weights="uniform", scale=0.05, forget_bias=0.0),
        dropout=DropoutConfig(kind="between", input=0.5, hidden=0.5, output=0.5),
    ),
    optim=OptimConfig(
        optimizer="sgd",
        learning_rate=1.0,
        reduction="time_sum",
        clip="norm",
        clip_at=5.0,
        schedule="step_decay",
        hold=6,
        factor=0.8,
    ),
    train=TrainConfig(epochs=39),
)

"""Penn Treebank in an hour of two cores: how low does the perplexity come?

Reproduces  nothing published: Zaremba's small LSTM has 114.5 (115.11 here in an hour),
            Press & Wolf's small one, tied, 100.9. Aim: test at most 90, and at most 80
            with all that `experiments.evaluate` adapts.
Found       by `experiments.sweep ptb_hour`, on validation alone; ten epochs, not its
            eleven, leave room for evaluation within the hour.
Command     python -m experiments.train --config ptb_hour \
                --data.corpus ../shared/data/ptb
            (a folder with Penn Treebank's train, valid and test files)
"""

from data_pipeline.config import DataConfig
from experiments.config import Config, TrainConfig
from lm.config import DropoutConfig, InitConfig, ModelConfig, OptimConfig

CONFIG = Config(
    name="ptb_hour",
    data=DataConfig(
        corpus="../shared/data/ptb",
        tokenizer="whitespace",
        max_vocabulary=0,
        reading="streams",
        batch=32,
        window=35,
    ),
    model=ModelConfig(
        cell="lstm",
        hidden=650,
        embedding=400,
        softmax="tied_projected",
        init=InitConfig(weights="uniform", scale=0.1),
        dropout=DropoutConfig(
            kind="locked", input=0.32, output=0.27, embedding=0.13, weight=0.25
        ),
    ),
    optim=OptimConfig(
        optimizer="adam", learning_rate=0.0041, schedule="cosine", clip_at=1.0
    ),
    train=TrainConfig(epochs=10, minutes=60, samples=0),
)

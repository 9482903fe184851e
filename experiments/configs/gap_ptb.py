"""A missing word of the Penn Treebank, from both sides of it.

Reproduces  nothing published. Aim: a perplexity of the gap at most half of what the
            same network has that reads the left side alone (--sides left), and below
            that of a Kneser-Ney 3-gram model of both sides.
Differs     3 epochs of a small network: what a few minutes of two quiet cores allow.
Command     python -m experiments.train --config gap_ptb \
                --data.corpus ../shared/data/ptb
            (a folder with Penn Treebank's train, valid and test files)
"""

from data_pipeline.config import DataConfig
from experiments.applications.gap.config import GapConfig
from experiments.config import GradflowConfig, TrainConfig
from lm.config import DropoutConfig, InitConfig, ModelConfig, OptimConfig

CONFIG = GapConfig(
    name="gap_ptb",
    data=DataConfig(
        corpus="../shared/data/ptb",
        tokenizer="whitespace",
        max_vocabulary=0,
        reading="sentences",
        batch=32,
        max_length=200,
    ),
    model=ModelConfig(
        cell="lstm",
        hidden=128,
        embedding=128,
        softmax="tied",
        init=InitConfig(weights="uniform", scale=0.1),
        dropout=DropoutConfig(kind="locked", input=0.1, output=0.2),
    ),
    optim=OptimConfig(
        optimizer="adam", learning_rate=0.003, schedule="cosine", clip_at=1.0
    ),
    train=TrainConfig(epochs=3, eval_batch=32, samples=0),
    gradflow=GradflowConfig(lanes=32, lags=30),
)

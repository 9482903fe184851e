"""A missing word of Python's docstrings, from both sides of it.

Reproduces  nothing published. Aim: a perplexity of the gap at most half of what the
            same network has that reads the left side alone (--sides left), and below
            that of a Kneser-Ney 3-gram model of both sides.
Differs     context2vec (Melamud 2016) samples negatives; here the softmax is whole.
Command     python -m experiments.train --config gap_docs
"""

from data_pipeline.config import DataConfig
from experiments.applications.gap.config import GapConfig
from experiments.config import GradflowConfig, TrainConfig
from lm.config import DropoutConfig, InitConfig, ModelConfig, OptimConfig

CONFIG = GapConfig(
    name="gap_docs",
    data=DataConfig(
        corpus="stdlib_docs",
        tokenizer="words",
        max_vocabulary=6_000,
        reading="sentences",
        batch=32,
        max_length=300,
    ),
    model=ModelConfig(
        cell="lstm",
        hidden=200,
        embedding=200,
        softmax="tied",
        init=InitConfig(weights="uniform", scale=0.1),
        dropout=DropoutConfig(kind="locked", input=0.3, output=0.3),
    ),
    optim=OptimConfig(
        optimizer="adam", learning_rate=0.004, schedule="cosine", clip_at=1.0
    ),
    train=TrainConfig(epochs=6, eval_batch=32, samples=0),
    gradflow=GradflowConfig(lanes=32, lags=30),
)

"""Sentiment of made sentences in which a negation or a contrast turns the words round.

Reproduces  the optimum: every test sentence right; bags of bigrams cannot.
Differs     the sentences are made here (data_pipeline/opinions.py).
Command     python -m experiments.train --config sentiment
"""

from experiments.applications.sentiment.config import (
    OpinionsConfig,
    ReaderConfig,
    SentimentConfig,
)
from experiments.config import GradflowConfig, TrainConfig
from lm.config import OptimConfig

CONFIG = SentimentConfig(
    name="sentiment",
    data=OpinionsConfig(),
    model=ReaderConfig(cell="gru", hidden=64, embedding=32),
    optim=OptimConfig("adam", 0.004, clip="norm", clip_at=1.0),
    train=TrainConfig(epochs=8, eval_batch=100, samples=0),
    gradflow=GradflowConfig(lanes=16),
)

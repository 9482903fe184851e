"""Sentiment of sentences from film reviews (rt-polarity, Pang & Lee 2005), one fold.

Reproduces  10-fold accuracy of recurrent networks without other data: 73.69 (an LSTM),
            75.90 (a convolution), in one public replication.
Differs     a GRU both ways with attention pooling; `benchmark reviews` runs all folds.
Command     python -m experiments.train --config sentiment_reviews --data.corpus PATH
"""

from experiments.applications.sentiment.config import (
    OpinionsConfig,
    ReaderConfig,
    SentimentConfig,
)
from experiments.config import GradflowConfig, TrainConfig
from lm.config import DropoutConfig, OptimConfig

CONFIG = SentimentConfig(
    name="sentiment_reviews",
    data=OpinionsConfig(corpus="movie_reviews", min_count=2),
    model=ReaderConfig(
        cell="gru",
        hidden=128,
        embedding=128,
        pooling="max",
        both_ways=True,
        dropout=DropoutConfig("locked", input=0.5, output=0.5, embedding=0.2),
    ),
    optim=OptimConfig("adam", 0.001, clip="norm", clip_at=1.0),
    train=TrainConfig(epochs=12, eval_batch=100, samples=0, patience=4),
    gradflow=GradflowConfig(lanes=16),
)

"""A missing word of sentences from `grammar`, whose exact posterior is known.

Reproduces  the optimum: nats a gap within 3 % of the grammar's own, on the test split.
Command     python -m experiments.train --config gap
"""

from data_pipeline.config import DataConfig
from experiments.applications.gap.config import GapConfig
from experiments.config import GradflowConfig, TrainConfig
from lm.config import InitConfig, ModelConfig, OptimConfig

CONFIG = GapConfig(
    name="gap",
    data=DataConfig(
        corpus="grammar", grammar_sentences=20_000, reading="sentences", batch=50
    ),
    model=ModelConfig(
        cell="lstm",
        hidden=100,
        embedding=100,
        init=InitConfig(weights="uniform", scale=0.1),
    ),
    optim=OptimConfig(
        optimizer="adam", learning_rate=0.004, schedule="cosine", clip_at=1.0
    ),
    train=TrainConfig(epochs=6, eval_batch=100, samples=0),
    gradflow=GradflowConfig(lanes=32, lags=20),
)

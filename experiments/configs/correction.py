"""Sentences of the grammar with a mistake in them, set right by a language model.

Reproduces  the grammar's own probabilities in the network's place, on the same
            candidates.
Differs     mistakes are made here (data_pipeline/corruption.py), one a sentence.
Command     python -m experiments.train --config correction
"""

from data_pipeline.config import DataConfig
from experiments.applications.correction.config import CorrectionConfig
from experiments.config import GradflowConfig, TrainConfig
from lm.config import ModelConfig, OptimConfig

CONFIG = CorrectionConfig(
    name="correction",
    data=DataConfig(
        corpus="grammar",
        tokenizer="whitespace",
        reading="sentences",
        grammar_sentences=20_000,
        batch=64,
    ),
    model=ModelConfig(cell="gru", hidden=96, embedding=48),
    optim=OptimConfig("adam", 0.005, clip="norm", clip_at=1.0, schedule="cosine"),
    train=TrainConfig(epochs=5, eval_batch=100),
    gradflow=GradflowConfig(lags=20),
)

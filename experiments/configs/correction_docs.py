"""Sentences of Python's documentation with a mistake in them, set right.

Reproduces  what choosing among candidates by a language model gives beyond a unigram
            speller and beyond doing nothing.
Differs     mistakes are made here (data_pipeline/corruption.py), one a sentence.
Command     python -m experiments.train --config correction_docs
"""

from data_pipeline.config import DataConfig
from experiments.applications.correction.config import CorrectionConfig
from experiments.config import GradflowConfig, TrainConfig
from lm.config import DropoutConfig, ModelConfig, OptimConfig

CONFIG = CorrectionConfig(
    name="correction_docs",
    data=DataConfig(
        corpus="stdlib_docs", max_vocabulary=8_000, reading="sentences", batch=32
    ),
    model=ModelConfig(
        cell="lstm",
        hidden=200,
        embedding=200,
        softmax="tied",
        dropout=DropoutConfig("locked", input=0.3, output=0.3, embedding=0.1),
    ),
    optim=OptimConfig("adam", 0.003, clip="norm", clip_at=1.0, schedule="cosine"),
    train=TrainConfig(epochs=8, samples=0),
    gradflow=GradflowConfig(lags=30),
)

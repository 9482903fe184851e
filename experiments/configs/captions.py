"""Scenes of one or two handwritten digits, told in a sentence.

Reproduces  nothing published. Every digit read right is exact 1; a support vector
            machine that is told where digits may stand comes beside it.
Differs     Xu 2015 describe photographs; here scenes are made of scikit-learn's digits
            (data_pipeline/scenes.py), test scenes of digits never trained on.
Command     python -m experiments.train --config captions
"""

from experiments.applications.captions.config import (
    CaptionerConfig,
    CaptionsConfig,
    ScenesConfig,
)
from experiments.config import GradflowConfig, TrainConfig
from lm.config import OptimConfig

CONFIG = CaptionsConfig(
    name="captions",
    data=ScenesConfig(rows=2, columns=3, most=2, jitter=1, updates=200),
    model=CaptionerConfig(
        cell="gru",
        hidden=64,
        embedding=32,
        channels=24,
        attention="bahdanau",
        score="general",
    ),
    optim=OptimConfig("adam", 0.003, clip="norm", clip_at=1.0, schedule="cosine"),
    train=TrainConfig(epochs=10, eval_batch=100),
    gradflow=GradflowConfig(lanes=32, lags=8),
)

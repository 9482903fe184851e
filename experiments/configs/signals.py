"""Noisy tones into four classes that only the order of their bands tells apart.

Reproduces  the ideal observer, whose accuracy on the test signals is computed exactly.
Command     python -m experiments.train --config signals
"""

from experiments.applications.signals.config import (
    SignalsConfig,
    SignalsData,
    SignalsModel,
)
from experiments.config import GradflowConfig, TrainConfig
from lm.config import OptimConfig

CONFIG = SignalsConfig(
    name="signals",
    data=SignalsData(corpus="tones", signals=60_000, strength=1.25, batch=100),
    model=SignalsModel(cell="gru", hidden=32),
    optim=OptimConfig("adam", 0.01, clip_at=1.0, schedule="cosine"),
    train=TrainConfig(epochs=5, eval_batch=500, samples=0),
    gradflow=GradflowConfig(lanes=64),
)

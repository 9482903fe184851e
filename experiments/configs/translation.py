"""English into German by one grammar of both: agreement, and verbs at other places.

Reproduces  the optimum: every sentence follows from its source alone.
Differs     made here (data_pipeline/corpora/bilingual.py).
Command     python -m experiments.train --config translation
"""

from experiments.applications.decoding import DecoderConfig
from experiments.applications.translation.config import (
    PairsConfig,
    TranslationConfig,
)
from experiments.config import GradflowConfig, TrainConfig
from lm.config import OptimConfig

CONFIG = TranslationConfig(
    name="translation",
    data=PairsConfig(corpus="bilingual", sentences=20_000, batch=64),
    model=DecoderConfig(cell="gru", hidden=96, embedding=48),
    optim=OptimConfig("adam", 0.004, clip="norm", clip_at=1.0, schedule="cosine"),
    train=TrainConfig(epochs=6, eval_batch=100),
    gradflow=GradflowConfig(lanes=32, lags=30),
)

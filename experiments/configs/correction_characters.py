"""The mistakes of `correction`, mended by a network from characters to characters.

Reproduces  nothing published. Beside it the noisy channel on the same sentences:
            python -m experiments.train --config correction --mistakes.sentences 1000
Differs     trained on corrupted sentences, which the noisy channel never sees.
Command     python -m experiments.train --config correction_characters
"""

from experiments.applications.decoding import DecoderConfig
from experiments.applications.translation.config import (
    PairsConfig,
    TranslationConfig,
)
from experiments.config import GradflowConfig, TrainConfig
from lm.config import OptimConfig

CONFIG = TranslationConfig(
    name="correction_characters",
    data=PairsConfig(
        corpus="corrupted",
        tokenizer="characters",
        sentences=20_000,
        max_length=220,
        batch=64,
        buckets=8,
    ),
    model=DecoderConfig(
        cell="gru",
        hidden=128,
        embedding=32,
        attention="bahdanau",
        score="general",
    ),
    optim=OptimConfig("adam", 0.003, clip="norm", clip_at=1.0, schedule="cosine"),
    train=TrainConfig(epochs=5, eval_batch=100),
    gradflow=GradflowConfig(lanes=8, lags=60),
)

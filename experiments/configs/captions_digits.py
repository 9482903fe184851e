"""Scenes of one to three handwritten digits, in noise, told in a sentence.

Reproduces  nothing published. Beside it a support vector machine that is told where
            digits may stand: the ceiling of who must read each of them.
Differs     as `captions`, at full size: 30 by 30 pixels, three digits, noise.
Command     python -m experiments.train --config captions_digits
"""

from dataclasses import replace

from experiments.applications.captions.config import CaptionerConfig, ScenesConfig
from experiments.config import TrainConfig
from experiments.configs.captions import CONFIG as SMALL
from lm.config import OptimConfig

CONFIG = replace(
    SMALL,
    name="captions_digits",
    data=ScenesConfig(
        rows=3, columns=3, most=3, jitter=1, noise=0.1, updates=200, batch=64
    ),
    model=CaptionerConfig(
        cell="gru",
        hidden=128,
        embedding=64,
        channels=24,
        attention="luong",
        score="general",
    ),
    optim=OptimConfig("adam", 0.003, clip="norm", clip_at=1.0, schedule="cosine"),
    train=TrainConfig(epochs=40, eval_batch=100),
)

"""Scenes of one to four handwritten digits, in noise, told in a sentence.

Reproduces  nothing published. Beside it a support vector machine that is told where
            digits may stand: the ceiling of who must read each of them.
Differs     as `captions`, at full size: 36 by 48 pixels, four digits, noise.
Command     python -m experiments.train --config captions_digits
"""

from dataclasses import replace

from experiments.applications.captions.config import CaptionerConfig, ScenesConfig
from experiments.config import TrainConfig
from experiments.configs.captions import CONFIG as SMALL
from lm.config import DropoutConfig, OptimConfig

CONFIG = replace(
    SMALL,
    name="captions_digits",
    data=ScenesConfig(
        rows=3, columns=4, most=4, jitter=2, noise=0.1, updates=200, batch=64
    ),
    model=CaptionerConfig(
        cell="gru",
        hidden=128,
        embedding=64,
        channels=24,
        attention="luong",
        score="general",
        dropout=DropoutConfig(kind="locked", output=0.2),
    ),
    optim=OptimConfig("adam", 0.002, clip="norm", clip_at=1.0, schedule="cosine"),
    train=TrainConfig(epochs=12, eval_batch=100),
)

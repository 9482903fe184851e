"""Keys of a telephone, as pairs of tones in noise, into the strings that were dialled.

Reproduces  0 errors, which Goertzel's filters reach on the same strings.
Command     python -m experiments.train --config speech
"""

from experiments.applications.speech.config import (
    SpeechConfig,
    SpeechData,
    SpeechModel,
)
from experiments.config import GradflowConfig, TrainConfig
from lm.config import OptimConfig

CONFIG = SpeechConfig(
    name="speech",
    data=SpeechData(corpus="keypad", strings=2_000, noise=1.0, batch=40),
    model=SpeechModel(cell="gru", hidden=48, stacked=2, both_ways=True),
    optim=OptimConfig("adam", 0.01, clip_at=1.0, schedule="cosine"),
    train=TrainConfig(epochs=6, eval_batch=100, samples=0),
    gradflow=GradflowConfig(every=100, lanes=32),
)

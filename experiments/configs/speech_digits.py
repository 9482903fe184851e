"""Spoken digits (the Free Spoken Digit Dataset), alone and in strings of 3 to 5.

Reproduces  nothing published: the data set's own rule (indices 0 to 4 are the test),
            each speaker's recordings joined with silence; or one speaker left out, by
            --data.speaker NAME.
Differs     indices 5 to 9 are for validation: 2,400 recordings train, not 2,700.
Command     python -m experiments.train --config speech_digits \
                --data.corpus PATH/recordings.tar.gz
            (the folder of its WAV files, or a tar file of it)
"""

from experiments.applications.speech.config import (
    SpeechConfig,
    SpeechData,
    SpeechModel,
)
from experiments.config import GradflowConfig, TrainConfig
from lm.config import DropoutConfig, OptimConfig

CONFIG = SpeechConfig(
    name="speech_digits",
    data=SpeechData(
        corpus="../shared/data/spoken_digits/recordings.tar.gz",
        bands=24,
        batch=32,
        buckets=6,
    ),
    model=SpeechModel(
        cell="gru",
        layers=2,
        hidden=64,
        stacked=3,
        both_ways=True,
        dropout=DropoutConfig("locked", hidden=0.2, output=0.2),
    ),
    optim=OptimConfig("adam", 0.004, clip_at=1.0, schedule="cosine"),
    train=TrainConfig(epochs=60, eval_batch=100, samples=0, eval_every=120),
    gradflow=GradflowConfig(every=400, lanes=32),
)

"""A language model of one's own text, trained until its validation loss stops falling.

Reproduces  nothing published. Aim: read with its neural cache, a test perplexity at
            least 10 % below that of an interpolated Kneser-Ney 5-gram, whatever the
            text, in at most 20 minutes on two cores, two of them for what is read at
            the end.
Differs     what depends on the text (how it is cut, vocabulary, units, dropout, lanes)
            is chosen by its length and told; what stands here is for a text of 200,000
            words. Each flag that is given counts instead; --no-by-text leaves all as it
            stands here.
Command     python -m experiments.train --data.corpus my_text.txt
"""

from data_pipeline.config import DataConfig
from experiments.config import Config, TrainConfig
from lm.config import DropoutConfig, InitConfig, ModelConfig, OptimConfig

CONFIG = Config(
    name="default",
    by_text=True,
    ngram=5,
    cache=2_000,
    data=DataConfig(corpus="stdlib_docs", tokenizer="reversible", batch=20, window=35),
    model=ModelConfig(
        cell="lstm",
        hidden=300,
        embedding=300,
        softmax="tied",
        init=InitConfig(weights="uniform", scale=0.1),
        dropout=DropoutConfig(
            kind="locked", input=0.4, output=0.4, embedding=0.1, weight=0.3
        ),
    ),
    optim=OptimConfig(
        optimizer="adam", learning_rate=0.003, clip_at=1.0, average="ema_corrected"
    ),
    train=TrainConfig(epochs=100, minutes=18, patience=15),
)

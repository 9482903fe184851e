"""Python's docstrings, words read by their characters.

Reproduces  nothing published. Aim: a lower perplexity of the tokens that follow words
            outside the vocabulary than the same network has that reads `<unk>` there
            (--words embedding).
Differs     Kim 2016: fewer and narrower filters, a matrix behind the highway so that
            only the word vectors differ, Adam in place of SGD.
Command     python -m experiments.train --config char_words_docs
"""

from data_pipeline.config import DataConfig
from experiments.applications.char_words.config import CharWordsConfig
from experiments.config import TrainConfig
from lm.config import (
    DropoutConfig,
    InitConfig,
    ModelConfig,
    OptimConfig,
    SpellingConfig,
)

CONFIG = CharWordsConfig(
    name="char_words_docs",
    data=DataConfig(
        corpus="stdlib_docs",
        tokenizer="words",
        max_vocabulary=4_000,
        batch=20,
        window=20,
    ),
    model=ModelConfig(
        cell="lstm",
        hidden=200,
        embedding=200,
        init=InitConfig(weights="glorot"),
        dropout=DropoutConfig(kind="between", input=0.2, output=0.4),
    ),
    spelling=SpellingConfig(longest=20, characters=15, widths=5, filters=16),
    optim=OptimConfig(
        optimizer="adam", learning_rate=0.003, schedule="cosine", clip_at=1.0
    ),
    train=TrainConfig(epochs=6, samples=0),
)

"""The Penn Treebank, words read by their characters.

Reproduces  the order of Kim 2016's small models, test perplexity about 93 by
            characters and 98 by words, at a smaller size; words: --words embedding.
Differs     one LSTM layer of 128 units, not two of 300; fewer and narrower filters, a
            matrix behind the highway so that only the word vectors differ; Adam and 4
            epochs, not SGD and 25: what a quarter of an hour of two cores allows.
Command     python -m experiments.train --config char_words_ptb \
                --data.corpus ../shared/data/ptb
            (a folder with Penn Treebank's train, valid and test files)
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
    name="char_words_ptb",
    data=DataConfig(
        corpus="../shared/data/ptb",
        tokenizer="whitespace",
        max_vocabulary=0,
        batch=20,
        window=35,
    ),
    model=ModelConfig(
        cell="lstm",
        hidden=128,
        embedding=128,
        init=InitConfig(weights="glorot"),
        dropout=DropoutConfig(kind="between", input=0.1, output=0.1),
    ),
    spelling=SpellingConfig(longest=20, characters=15, widths=5, filters=16),
    optim=OptimConfig(
        optimizer="adam", learning_rate=0.003, schedule="cosine", clip_at=1.0
    ),
    train=TrainConfig(epochs=4, samples=0),
)

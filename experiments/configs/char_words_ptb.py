"""The Penn Treebank, words read by their characters.

Reproduces  the order of Kim 2016's small models, test perplexity about 93 by
            characters and 98 by words, at a smaller size; words: --words embedding.
Differs     one LSTM layer of 200 units, not two of 300; a matrix behind the highway so
            that only the word vectors differ; less dropout, and 6 epochs, not 25: what
            half an hour of two cores allows. The convolution, the draws and SGD are
            Kim's.
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
        hidden=200,
        embedding=200,
        init=InitConfig(weights="uniform", scale=0.05),
        dropout=DropoutConfig(kind="between", input=0.1, output=0.2),
    ),
    spelling=SpellingConfig(longest=20, characters=15, widths=6, filters=25),
    optim=OptimConfig(
        optimizer="sgd",
        learning_rate=1.0,
        reduction="time_sum",
        clip_at=5.0,
        schedule="step_decay",
        hold=3,
        factor=0.5,
    ),
    train=TrainConfig(epochs=6, samples=0),
)

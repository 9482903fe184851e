"""Words never seen: `morphology`, whose rare words show their class in their endings.

Reproduces  the optimum, nats a token: within 5 % over all, within 12 % after words
            outside the vocabulary. Whoever reads `<unk>` for them (--words embedding)
            cannot come near: summary.json has its bound, "without_characters".
Command     python -m experiments.train --config char_words
"""

from data_pipeline.config import DataConfig
from experiments.applications.char_words.config import CharWordsConfig
from experiments.config import GradflowConfig, TrainConfig
from lm.config import InitConfig, ModelConfig, OptimConfig, SpellingConfig

CONFIG = CharWordsConfig(
    name="char_words",
    data=DataConfig(
        corpus="morphology",
        grammar_sentences=12_000,
        max_vocabulary=1_500,
        batch=20,
        window=30,
    ),
    model=ModelConfig(
        cell="gru",
        hidden=64,
        embedding=32,
        init=InitConfig(weights="glorot"),
    ),
    spelling=SpellingConfig(longest=10, characters=8, widths=3, filters=10),
    optim=OptimConfig(
        optimizer="adam", learning_rate=0.006, schedule="cosine", clip_at=1.0
    ),
    train=TrainConfig(epochs=6, samples=0),
    gradflow=GradflowConfig(lags=20),
)

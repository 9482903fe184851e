"""Multi30k, German into English: captions of pictures (Elliott et al. 2016).

Reproduces  a small recurrent network with attention, greedy, test 2016: BLEU 28.3
            (GRU, 20.5M parameters, words of both languages lower-cased); 20.6 with the
            summary at every step, 13.8 with nothing but a first state.
Differs     subwords in place of words, with case; sacrebleu in place of torchtext's
            BLEU; label smoothing; Adam with cosine.
Command     python -m experiments.train --config translation_multi30k --data.corpus
            path/to/multi30k
            Without attention: --model.attention none
"""

from experiments.applications.decoding import DecoderConfig
from experiments.applications.translation.config import (
    PairsConfig,
    TranslationConfig,
)
from experiments.config import GradflowConfig, TrainConfig
from lm.config import DropoutConfig, OptimConfig

CONFIG = TranslationConfig(
    name="translation_multi30k",
    data=PairsConfig(
        corpus="multi30k",
        source="de",
        target="en",
        tokenizer="bpe",
        max_vocabulary=5_000,
        max_length=80,
        batch=64,
    ),
    model=DecoderConfig(
        cell="gru",
        hidden=320,
        embedding=256,
        attention="bahdanau",
        score="additive",
        smoothing=0.1,
        dropout=DropoutConfig(kind="locked", input=0.3, output=0.4),
    ),
    optim=OptimConfig(
        "adam", 0.001, clip="norm", clip_at=1.0, schedule="cosine", warmup=200
    ),
    train=TrainConfig(epochs=15, eval_batch=100),
    gradflow=GradflowConfig(lanes=16, lags=30),
)

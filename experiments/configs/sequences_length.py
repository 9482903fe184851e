"""Parity of up to 40 bits, asked of 41 to 500.

Reproduces  the protocol of Delétang et al. 2023: trained to length 40, tested on 41 to
            500; solved where the mean accuracy there is above 90 %.
Differs     lengths above 40 are drawn, not all taken; fewer updates. The other rules:
            `--data.rule even_pairs`, `modular_sum`, `a_n_b_n`; `running_parity`: asked
            after every bit, which is learnt sooner.
Command     python -m experiments.train --config sequences_length
"""

from experiments.applications.sequences.config import RuleConfig, SequencesConfig
from experiments.config import GradflowConfig, TrainConfig
from lm.config import ModelConfig, OptimConfig

CONFIG = SequencesConfig(
    name="sequences_length",
    data=RuleConfig("parity", batch=128, updates=500),
    model=ModelConfig(cell="lstm", hidden=64, embedding=0),
    optim=OptimConfig("adam", 0.003, clip="norm", clip_at=1.0, schedule="cosine"),
    train=TrainConfig(epochs=20, eval_batch=100, samples=0, fused=10),
    gradflow=GradflowConfig(lanes=16),
)

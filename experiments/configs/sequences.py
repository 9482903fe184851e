"""Which number comes next: 1,2,3,4 and 1,3,5,7 and other steps at once, as digits.

Reproduces  the question of a reader of the tutorial; the rule gives every answer.
Differs     asked about steps and starts that were never trained on, and about longer
            sequences, too.
Command     python -m experiments.train --config sequences
"""

from experiments.applications.sequences.config import RuleConfig, SequencesConfig
from experiments.config import GradflowConfig, TrainConfig
from lm.config import ModelConfig, OptimConfig

CONFIG = SequencesConfig(
    name="sequences",
    data=RuleConfig("progressions"),
    model=ModelConfig(cell="gru", hidden=128, embedding=0),
    optim=OptimConfig("adam", 0.003, clip="norm", clip_at=1.0, schedule="cosine"),
    train=TrainConfig(epochs=10, eval_batch=100, samples=0),
    gradflow=GradflowConfig(lanes=16),
)

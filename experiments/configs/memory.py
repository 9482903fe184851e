"""Temporal order (Hochreiter & Schmidhuber 1997) over 20 steps, learnt by a GRU.

Reproduces  under 1 % of fresh sequences wrong (ln 4 = 1.3863 nats without memory).
Differs     placed as in Pascanu 2013; Adam in place of SGD.
Command     python -m experiments.train --config memory
"""

from experiments.applications.memory.config import MemoryConfig, TaskConfig
from experiments.config import GradflowConfig, TrainConfig
from lm.config import ModelConfig, OptimConfig

CONFIG = MemoryConfig(
    name="memory",
    data=TaskConfig(task="temporal_order_2", length=20),
    model=ModelConfig(cell="gru", hidden=50, embedding=0),
    optim=OptimConfig("adam", 0.003, clip="norm", clip_at=1.0),
    train=TrainConfig(epochs=20, eval_batch=1_000, samples=0, fused=25),
    gradflow=GradflowConfig(lanes=64),
)

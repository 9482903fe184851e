"""What a run on a memory task is made of."""

from dataclasses import dataclass, field
from typing import ClassVar

from data_pipeline.config import TEXT
from experiments.config import BOUND, RunConfig, check_dropout
from lm.config import ModelConfig, at_least, within


@dataclass(frozen=True)
class TaskConfig:
    """Which sequences, and how they are read."""

    task: str = field(default="temporal_order_2", metadata=TEXT)
    """A name in data_pipeline.tasks.TASKS: adding, copy_memory, embedded_reber, …"""
    length: int = field(default=20, metadata=TEXT)
    """The task's T: how long its sequences are, or how long it makes one wait."""
    batch: int = 20
    """Sequences in a batch."""
    updates: int = 200
    """Batches that are called an epoch; each sequence is new, and none comes twice."""
    looked: int = 1_000
    """Sequences of an evaluation on the way, always the same ones."""
    examined: int = 10_000
    """Others, for the final score."""
    enough: float = field(default=0.99, metadata=BOUND)
    """Share of an evaluation's sequences answered rightly at which training ends
    (Pascanu 2013: under 1 % wrong); 0: it goes on."""

    def __post_init__(self):
        for name in ("length", "updates", "looked", "examined"):
            at_least(f"data.{name}", getattr(self, name), 1)
        within("data.batch", self.batch, 1, 2**16)
        within("data.enough", self.enough, 0.0, 1.0)


@dataclass(frozen=True)
class MemoryConfig(RunConfig):
    """A run on a memory task."""

    application: ClassVar[str] = "memory"

    data: TaskConfig = field(default_factory=TaskConfig)
    model: ModelConfig = field(
        default_factory=lambda: ModelConfig(cell="gru", hidden=50, embedding=0)
    )

    def __post_init__(self):
        super().__post_init__()
        check_dropout(self.optim, self.model)

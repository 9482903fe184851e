"""Synthetic tasks that need memory: pure `sample(key, B, T) -> Batch`, with floors.

`TASKS` maps a name to a Task. Inputs and targets are time-major; the mask is 1 where a
target counts. Each Task says what inputs and targets are, whose task it is, and what
the best predictor without memory costs (`floor`), in nats, or squared error, for each
counted target.
"""

from data_pipeline.tasks.arithmetic import ADDING, MULTIPLICATION, PARITY
from data_pipeline.tasks.grammars import ANBN, DYCK, EMBEDDED_REBER
from data_pipeline.tasks.recall import (
    COPY_MEMORY,
    DELAYED_RECALL,
    TEMPORAL_ORDER_2,
    TEMPORAL_ORDER_3,
)
from data_pipeline.tasks.task import Task

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        ADDING,
        MULTIPLICATION,
        PARITY,
        COPY_MEMORY,
        TEMPORAL_ORDER_2,
        TEMPORAL_ORDER_3,
        DELAYED_RECALL,
        EMBEDDED_REBER,
        ANBN,
        DYCK,
    )
}

__all__ = ["TASKS", "Task"]

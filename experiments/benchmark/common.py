"""What benchmarks share: random text, memory of a compiled function, a table."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from experiments.peers.case import Case
from experiments.results.markdown import markdown
from experiments.results.rows import Row
from lm.types import Array, Batch


def work_space(compiled: Any) -> int:
    """Bytes that XLA plans for a compiled function besides arguments and results."""
    planned = compiled.memory_analysis()
    assert planned is not None
    return planned.temp_size_in_bytes


def random_batch(vocabulary: int, steps: int, lanes: int) -> Batch:
    """A window of random text on the host, the same every time: (steps, lanes)."""
    shape = (steps + 1, lanes)
    ids = np.random.default_rng(0).integers(0, vocabulary, shape)
    return batch_of(ids.astype(np.int32))


def batch_for(case: Case) -> Batch:
    """Random text of a case's size."""
    return random_batch(case.vocabulary, case.steps, case.lanes)


def batch_of(ids_TB: Array | np.ndarray) -> Batch:
    """One step less of ids as a window of text in which every token counts."""
    steps, lanes = ids_TB.shape[0] - 1, ids_TB.shape[1]
    mask, fresh = np.ones((steps, lanes), np.float32), np.zeros(lanes, bool)
    return Batch(ids_TB[:-1], ids_TB[1:], mask, fresh)


def by_model(
    rows: Sequence[Row],
    head: Sequence[str],
    told: Callable[[dict[str, Any]], tuple[str, ...]],
) -> str:
    """A table with a line for each model that a row has metrics of."""
    found = rows[0]["metrics"]
    lines = [
        (name.replace("_", " "), *told(metrics)) for name, metrics in found.items()
    ]
    return markdown(head, lines)

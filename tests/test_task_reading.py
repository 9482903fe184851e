"""Tasks as readings: batches of seed and number alone; surplus lanes count nothing."""

import numpy as np
import pytest

from data_pipeline.tasks import TASKS
from data_pipeline.tasks.reading import Sequences
from tests.zoo import close

TASK = TASKS["temporal_order_2"]


def test_a_batch_is_a_function_of_seed_and_number_whatever_is_drawn_with_it():
    whole = Sequences(TASK, 20, 3, "train", steps=100)
    parts = Sequences(TASK, 20, 3, "train", steps=50)
    for number in (0, 7, 63, 64, 99):
        want = whole.batch_at(5, 0, number)
        close(parts.batch_at(5, *divmod(number, 50)), want, rtol=0, atol=0)
    one, other = whole.batch_at(5, 0, 0), whole.batch_at(6, 0, 0)
    assert not np.array_equal(one.inputs, other.inputs)
    later = whole.batch_at(5, 1, 0)
    assert not np.array_equal(one.inputs, later.inputs)


@pytest.mark.parametrize("count", [7, 8])
def test_an_evaluation_counts_each_sequence_once(count):
    reading = Sequences(TASK, 20, 4, "valid", count=count)
    batches = [reading.batch_at(seed, 0, n) for seed in (0, 9) for n in range(2)]
    assert reading.steps == 2
    close(batches[:2], batches[2:], rtol=0, atol=0)
    counted = sum(int(batch.mask.any(axis=0).sum()) for batch in batches[:2])
    assert counted == count
    test = Sequences(TASK, 20, 4, "test", count=count).batch_at(0, 0, 0)
    assert not np.array_equal(test.inputs, batches[0].inputs)

"""Batches: each token a target exactly once, inputs the targets shifted by one."""

import dataclasses
import hashlib
import itertools
import tracemalloc
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipeline.batches import Padded, Sentences, Shard, batches_for
from data_pipeline.buckets import bucket_lengths
from data_pipeline.config import DataConfig
from data_pipeline.dataset import prepare
from data_pipeline.errors import DataError
from data_pipeline.order import shuffled
from data_pipeline.streams import RandomWindows, Streams, WholeText
from data_pipeline.types import TokenArray

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

LENGTHS = st.lists(st.integers(1, 30), min_size=1, max_size=60)


def numbered(lengths):
    """Sentences whose ids are 1, 2, 3, …, so that a target tells its position."""
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return TokenArray(np.arange(1, starts[-1] + 1, dtype=np.uint16), starts)


def counted(batch):
    """Ids of the targets that count; checks the shift on the way."""
    real = batch.mask == 1
    np.testing.assert_array_equal(batch.inputs[real], batch.targets[real] - 1)
    assert set(np.unique(batch.mask)) <= {0, 1}
    assert batch.inputs.shape == batch.targets.shape == batch.mask.shape
    assert batch.fresh.shape == batch.inputs.shape[1:]
    assert not batch.targets[~real].any() and not batch.inputs[~real].any()
    return batch.targets[real].tolist()


@given(st.integers(1, 300), st.integers(1, 9), st.integers(1, 9))
def test_padded_streams_hold_each_token_once(size, lanes, window):
    streams = WholeText(numbered([size]).ids, lanes, window)
    seen = [i for s in range(streams.steps) for i in counted(streams.batch_at(0, 0, s))]
    assert sorted(seen) == list(range(1, size + 1))


@given(st.integers(1, 300), st.integers(1, 9), st.integers(1, 9))
def test_training_streams_are_full_and_continue_where_they_stopped(size, lanes, window):
    ids = numbered([size]).ids
    if size < lanes * window:
        with pytest.raises(DataError, match="shorter than one window"):
            Streams(ids, lanes, window)
        return
    streams = Streams(ids, lanes, window)
    batches = [streams.batch_at(0, 0, step) for step in range(streams.steps)]
    assert all(batch.mask.all() for batch in batches)
    seen = [i for batch in batches for i in counted(batch)]
    assert len(set(seen)) == len(seen) == streams.steps * lanes * window
    assert len(seen) > size - lanes * window - lanes
    text = np.concatenate([batch.targets for batch in batches])
    assert (np.diff(text, axis=0) == 1).all()
    assert [bool(b.fresh.all()) for b in batches] == [True] + [False] * (
        streams.steps - 1
    )


@given(LENGTHS, st.integers(1, 9), st.integers(1, 12), st.booleans(), st.integers(0, 9))
def test_sentences_hold_each_token_once(lengths, lanes, longest, shuffle, seed):
    tokens = numbered(lengths)
    data = Sentences(tokens, lanes, longest, shuffle=shuffle)
    batches = [data.batch_at(seed, 3, step) for step in range(data.steps)]
    seen = [i for batch in batches for i in counted(batch)]
    assert sorted(seen) == list(range(1, len(tokens.ids) + 1))
    assert all(batch.fresh.all() for batch in batches)
    assert len({b.inputs.shape for b in batches}) <= 12
    positions = sum(b.mask.size for b in batches)
    if (seed, shuffle) == (0, False):
        assert data.padding == pytest.approx(1 - len(seen) / positions)


@given(LENGTHS, st.integers(0, 5), st.integers(0, 5))
def test_order_is_a_function_of_seed_and_epoch(lengths, seed, epoch):
    one, two = (Sentences(numbered(lengths), 4, 10) for _ in range(2))
    for step in reversed(range(one.steps)):
        two.batch_at(seed + 1, epoch, step)
        for a, b in zip(
            one.batch_at(seed, epoch, step),
            two.batch_at(seed, epoch, step),
            strict=True,
        ):
            np.testing.assert_array_equal(a, b)


def test_golden_order():
    assert shuffled(8, 1, 2).tolist() == GOLDEN
    assert shuffled(8, 1, 3).tolist() != GOLDEN
    assert sorted(shuffled(1000, 5, -1).tolist()) == list(range(1000))


GOLDEN = [2, 5, 4, 0, 7, 1, 3, 6]


def brute_force_padding(lengths, buckets):
    values = sorted(set(lengths))
    best = float("inf")
    for chosen in itertools.combinations(values[:-1], min(buckets, len(values)) - 1):
        bounds = np.array([*chosen, values[-1]])
        best = min(best, bounds[np.searchsorted(bounds, lengths)].sum())
    return best


@given(st.lists(st.integers(1, 9), min_size=1, max_size=30), st.integers(1, 4))
def test_buckets_have_the_least_padding(lengths, buckets):
    bounds = bucket_lengths(np.array(lengths), buckets)
    assert len(bounds) <= buckets and (np.diff(bounds) > 0).all()
    positions = bounds[np.searchsorted(bounds, lengths)].sum()
    assert positions == brute_force_padding(lengths, buckets)


def quadratic_buckets(lengths, buckets):
    """As `bucket_lengths`, by a table over all pairs of distinct lengths."""
    values, counts = np.unique(lengths, return_counts=True)
    n = len(values)
    total = np.concatenate([[0], np.cumsum(counts)])
    cost, choices = np.concatenate([[0], np.full(n, np.inf)]), []
    for _ in range(min(buckets, n)):
        table = cost[:, None] + (total[None, 1:] - total[:, None]) * values
        table[np.arange(n + 1)[:, None] > np.arange(n)] = np.inf
        choices.append(table.argmin(axis=0))
        cost = np.concatenate([[0], table.min(axis=0)])
    chosen, j = [], n
    for choice in reversed(choices):
        if j > 0:
            chosen.append(values[j - 1])
            j = choice[j - 1]
    return chosen[::-1]


@given(st.lists(st.integers(1, 40), min_size=1, max_size=90), st.integers(1, 12))
def test_buckets_are_those_of_the_quadratic_way(lengths, buckets):
    """To the last tie, so that batches of old runs stay as they were."""
    lengths = np.array(lengths)
    assert bucket_lengths(lengths, buckets).tolist() == quadratic_buckets(
        lengths, buckets
    )


def test_many_distinct_lengths_need_little_memory():
    """6,000 lengths took 0.85 GB and 8 seconds."""
    lengths = np.arange(1, 20_001)
    tracemalloc.start()
    bounds = bucket_lengths(lengths, 12)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(bounds) == 12 and bounds[-1] == 20_000 and peak < 30 << 20


def test_the_config_says_which_reading():
    tokens = numbered([4, 3, 5])
    streams = DataConfig(batch=2, window=3)
    kinds = [
        (streams, False, Streams),
        (streams, True, WholeText),
        (dataclasses.replace(streams, window_spread=1.0), False, RandomWindows),
        (dataclasses.replace(streams, window_spread=1.0), True, WholeText),
        (DataConfig(reading="sentences", batch=2), True, Sentences),
    ]
    for config, evaluation, kind in kinds:
        assert type(batches_for(config, tokens, evaluation=evaluation)) is kind


@given(st.integers(60, 900), st.integers(1, 4), st.integers(2, 12), st.integers(0, 9))
def test_random_windows_follow_each_other(size, lanes, window, seed):
    streams = RandomWindows(numbered([size]).ids, lanes, window, window / 8)
    batches = [streams.batch_at(seed, 2, step) for step in range(streams.steps)]
    seen = [i for batch in batches for i in counted(batch)]
    assert len(set(seen)) == len(seen)
    text = np.concatenate([batch.targets for batch in batches])
    assert (np.diff(text, axis=0) == 1).all() and len(text) <= streams.lane
    assert [bool(b.fresh.any()) for b in batches] == [True] + [False] * (
        streams.steps - 1
    )


def test_window_lengths_are_as_awd_lstm_draws_them():
    streams = RandomWindows(np.zeros(2_000_000, np.uint8), 1, 70, 5.0)
    lengths = np.diff(streams.bounds(0, 0))[:-400]
    long, short = lengths[lengths > 52], lengths[lengths <= 52]
    assert abs(long.mean() - 70) < 0.3 and abs(long.std() - 5.2) < 0.3
    assert abs(short.mean() - 35) < 1 and abs(len(short) / len(lengths) - 0.05) < 0.01
    assert len(np.unique(lengths)) <= 20
    assert not np.array_equal(streams.bounds(0, 0), streams.bounds(0, 1))
    fixed = Streams(np.zeros(100, np.uint8), 2, 7)
    np.testing.assert_array_equal(np.diff(fixed.bounds(0, 0)), [7] * 7)


@given(LENGTHS, st.integers(1, 3), st.integers(1, 3), st.booleans())
def test_shards_side_by_side_are_the_whole(lengths, count, each, sentences):
    tokens = numbered(lengths)
    if sentences:
        whole = Sentences(tokens, count * each, 10)
    else:
        whole = WholeText(tokens.ids, count * each, 3)
    shards = [Shard(whole, i, count) for i in range(count)]
    for step in range(whole.steps):
        parts = [shard.batch_at(1, 1, step) for shard in shards]
        together = [np.concatenate(f, axis=-1) for f in zip(*parts, strict=True)]
        for a, b in zip(whole.batch_at(1, 1, step), together, strict=True):
            np.testing.assert_array_equal(a, b)


class Frames(NamedTuple):
    """A batch of vectors: fields of ranks 3, 2 and 1."""

    xs_TBD: np.ndarray
    mask_TB: np.ndarray
    label_B: np.ndarray


class FrameReading:
    """One batch of numbered frames, six lanes of five steps of four numbers."""

    batch, steps = 6, 1

    def batch_at(self, seed, epoch, step):
        lanes = np.arange(1, 7)
        label_B = lanes + 0.0 * (seed + epoch + step)
        xs_TBD = np.broadcast_to(label_B[None, :, None], (5, 6, 4))
        return Frames(xs_TBD, np.ones((5, 6)), label_B)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_lanes_are_axis_1_in_batches_of_any_type(count):
    """Not the last axis, which is D here: d61f4e4 cut and padded that one."""
    reading: Any = FrameReading()
    for index in range(count):
        part = Shard(reading, index, count).batch_at(0, 0, 0)
        assert isinstance(part, Frames) and part.xs_TBD.shape == (5, 6 // count, 4)
        assert (part.xs_TBD == part.label_B[None, :, None]).all()
    padded = Padded(reading, 4)
    batch = padded.batch_at(0, 0, 0)
    assert padded.batch == 8 and batch.xs_TBD.shape == (5, 8, 4)
    assert batch.label_B.tolist() == [1, 2, 3, 4, 5, 6, 0, 0]
    assert not batch.mask_TB[:, 6:].any() and not batch.xs_TBD[:, 6:].any()


def test_uneven_shards_are_refused():
    with pytest.raises(DataError, match="multiple of the number of processes"):
        Shard(Streams(numbered([50]).ids, 3, 2), 0, 2)


def test_padding_is_small_on_sentences_of_natural_lengths():
    rng = np.random.default_rng(0)
    lengths = np.maximum(1, rng.lognormal(2.9, 0.6, 5000).astype(int))
    assert Sentences(numbered(np.minimum(lengths, 30_000)), 32, 100).padding < 0.15


@pytest.mark.parametrize(
    ("settings", "golden"),
    [
        ({}, "191904b67ee16b96"),
        ({"window_spread": 3.0}, "c56e6decfa163a3d"),
        ({"reading": "sentences"}, "4ac0409f94d23f8f"),
    ],
)
def test_batches_are_the_same_on_every_python_and_numpy(settings, golden):
    """SHA-256 of two epochs of batches, computed on Python 3.11."""
    config = DataConfig(corpus="grammar", grammar_sentences=500, batch=8, **settings)
    reading = batches_for(config, prepare(config).splits["train"])
    digest = hashlib.sha256()
    for epoch in (0, 1):
        for step in range(reading.steps):
            for field in reading.batch_at(3, epoch, step):
                digest.update(np.ascontiguousarray(field).tobytes())
    assert digest.hexdigest()[:16] == golden

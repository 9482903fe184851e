"""Tasks: labels by brute force, floors by the best blind answer on large samples."""

import math

import jax
import numpy as np
import pytest

from data_pipeline.tasks import TASKS
from data_pipeline.tasks.grammars import LETTERS, REBER, reber_floor
from lm.types import Batch

SIZES = {"dyck": (2, 20), "embedded_reber": (9, 24), "adding": (2, 33)}
CASES = [(name, T) for name in TASKS for T in SIZES.get(name, (33,))]
KEPT: dict[tuple, Batch] = {}


def draw(name, T, B=64, seed=0) -> Batch:
    if (name, T, B, seed) not in KEPT:
        sample = jax.jit(TASKS[name].sample, static_argnums=(1, 2))
        batch = sample(jax.random.key(seed), B, T)
        KEPT[name, T, B, seed] = Batch(*map(np.asarray, batch))
    return KEPT[name, T, B, seed]


def adding(x):
    return sum(value for value, marked in x if marked)


def multiplication(x):
    return math.prod(float(value) for value, marked in x if marked)


def ordered(x):
    label = 0
    for symbol in x:
        label = 2 * label + int(symbol) if symbol < 2 else label
    return label


LAST = {
    "adding": adding,
    "multiplication": multiplication,
    "parity": lambda x: sum(int(bit) for bit in x) % 2,
    "temporal_order_2": ordered,
    "temporal_order_3": ordered,
    "delayed_recall": lambda x: x[0],
}


@pytest.mark.parametrize(("name", "T"), CASES)
def test_shapes_and_ranges(name, T):
    task, batch = TASKS[name], draw(name, T)
    steps = task.length(T)
    assert batch.targets.shape == batch.mask.shape == (steps, 64)
    assert batch.inputs.shape == (steps, 64) + (() if task.symbols else (2,))
    if task.symbols:
        assert 0 <= batch.inputs.min() and batch.inputs.max() < task.symbols
    if task.classes:
        assert 0 <= batch.targets.min() and batch.targets.max() < task.classes
    assert set(np.unique(batch.mask)) <= {0, 1} and batch.mask.sum(axis=0).min() >= 1
    assert batch.fresh.all()
    assert not np.array_equal(batch.inputs, draw(name, T, seed=1).inputs)
    with pytest.raises(ValueError, match=f"{task.shortest} or more"):
        task.sample(jax.random.key(0), 1, task.shortest - 1)


@pytest.mark.parametrize("name", LAST)
@pytest.mark.parametrize("T", (33,))
def test_answers_at_the_end(name, T):
    batch = draw(name, T)
    assert batch.mask[-1].all() and not batch.mask[:-1].any()
    for lane in range(64):
        expected = LAST[name](batch.inputs[:, lane])
        assert batch.targets[-1, lane] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", ["adding", "multiplication"])
def test_one_marker_in_each_half(name):
    markers = draw(name, 11).inputs[..., 1]
    assert (markers[:5].sum(axis=0) == 1).all()
    assert (markers[5:].sum(axis=0) == 1).all()


def test_copy_memory():
    batch = draw("copy_memory", 7)
    for lane in range(64):
        x, y = batch.inputs[:, lane].tolist(), batch.targets[:, lane].tolist()
        assert x == [*x[:10], *[0] * 6, 9, *[0] * 10]
        assert y == [*[0] * 17, *x[:10]] and min(x[:10]) >= 1 and max(x[:10]) <= 8


@pytest.mark.parametrize(
    ("name", "places"),
    [
        ("temporal_order_2", [(10, 20), (50, 60)]),
        ("temporal_order_3", [(10, 20), (33, 43), (66, 76)]),
    ],
)
def test_temporal_order_places(name, places):
    batch = draw(name, 100, B=500)
    for lane in range(500):
        at = np.flatnonzero(batch.inputs[:, lane] < 2)
        assert len(at) == len(places)
        assert all(a <= i < b for i, (a, b) in zip(at, places, strict=True))
    for k, (begin, end) in enumerate(places):
        at = [np.flatnonzero(batch.inputs[:, i] < 2)[k] for i in range(500)]
        assert set(at) == set(range(begin, end))


def reber_accepts(text):
    if text[0] != "B" or text[1] not in "TP" or text[-2:] != text[1] + "E":
        return False
    state = 0
    for letter in text[2:-2]:
        ways = dict(REBER[state])
        if letter not in ways:
            return False
        state = ways[letter]
        if state == 7:
            break
    return state == 7


@pytest.mark.parametrize("T", (9, 24))
def test_embedded_reber_strings_are_legal(T):
    batch = draw("embedded_reber", T, B=3_000, seed=3)
    lengths = set()
    for lane in range(400):
        n = int(batch.mask[:, lane].sum())
        assert batch.mask[:n, lane].all()
        ids = [batch.inputs[0, lane], *batch.targets[:n, lane]]
        assert ids[1:-1] == batch.inputs[1:n, lane].tolist()
        text = "".join(LETTERS[i] for i in ids)
        assert reber_accepts(text), text
        lengths.add(len(text))
    assert min(lengths) == 9 and max(lengths) <= T + 1 and (T == 9 or len(lengths) > 2)
    assert {"BTBTXSETE": True}["BTBTXSETE"]


def test_anbn():
    batch = draw("anbn", 21, B=200)
    for lane in range(200):
        x, y = batch.inputs[:, lane].tolist(), batch.targets[:, lane].tolist()
        n = x.count(1)
        assert x == ([0] + [1] * n + [2] * n + [0] * 21)[:21]
        assert y[:20] == x[1:] and 1 <= n <= 10
        assert [i for i in range(21) if batch.mask[i, lane]] == list(
            range(n + 1, 2 * n + 1)
        )
    assert set((batch.inputs == 1).sum(axis=0)) == set(range(1, 11))


def test_dyck_words_are_balanced_and_equally_likely():
    batch = draw("dyck", 6, B=8000)
    shapes = {}
    for lane in range(8000):
        stack = []
        word = batch.inputs[:, lane].tolist()
        for t, symbol in enumerate(word):
            if symbol < 2:
                stack.append(symbol)
            else:
                assert stack.pop() == symbol - 2
            if batch.mask[t, lane]:
                assert stack[-1] == batch.targets[t, lane]
        assert len(stack) == 1 and batch.mask[-1, lane]
        shape = tuple(symbol < 2 for symbol in word)
        shapes[shape] = shapes.get(shape, 0) + 1
    assert len(shapes) == 5  # the Catalan number of 3
    assert all(abs(n / 8000 - 1 / 5) < 0.025 for n in shapes.values())
    with pytest.raises(ValueError, match="even"):
        TASKS["dyck"].sample(jax.random.key(0), 2, 7)


def blind_loss(name, T):
    """Loss of the best constant answer (by step for copy_memory), from a sample."""
    batch, task = draw(name, T, B=20_000, seed=5), TASKS[name]
    counted = batch.targets[batch.mask == 1]
    if not task.classes:
        return float(np.var(counted))
    rows = batch.targets if name == "copy_memory" else counted[None]
    entropy = []
    for row in rows:
        p = np.bincount(row.ravel(), minlength=task.classes) / row.size
        entropy.append(-sum(q * math.log(q) for q in p if q > 0))
    return float(np.mean(entropy))


@pytest.mark.parametrize("name", [name for name in TASKS if name != "embedded_reber"])
@pytest.mark.parametrize("T", (20,))
def test_floors_are_what_a_blind_answer_costs(name, T):
    assert blind_loss(name, T) == pytest.approx(TASKS[name].floor(T), rel=0.03)


def test_published_floors():
    assert TASKS["adding"].floor(100) == pytest.approx(0.16667, abs=1e-5)
    for T, nats in ((100, 0.17329), (200, 0.09452), (500, 0.03999), (1000, 0.02039)):
        assert TASKS["copy_memory"].floor(T) == pytest.approx(nats, abs=1e-5)


@pytest.mark.parametrize("T", (9, 24))
def test_reber_floor_by_a_predictor_that_forgets_the_first_letter(T):
    """Follow the automaton, with equal chances where the sampler had a choice; the
    string's own frequencies stand in for the exact chances."""
    batch = draw("embedded_reber", T, B=3_000, seed=3)
    counts, total, n = {}, 0.0, 0
    keys = []
    for lane in range(batch.targets.shape[1]):
        length = int(batch.mask[:, lane].sum())
        inner = ""
        for t in range(length):
            target = int(batch.targets[t, lane])
            key = (t, state_after(inner) if t else -1)
            keys.append((key, target))
            counts.setdefault(key, {}).setdefault(target, 0)
            counts[key][target] += 1
            if t >= 1:
                inner += LETTERS[target]
    for key, target in keys:
        total -= math.log(counts[key][target] / sum(counts[key].values()))
        n += 1
    assert total / n == pytest.approx(reber_floor(T), rel=0.03)


def state_after(inner):
    state = 0
    for letter in inner:
        if state >= 7:
            return 8
        ways = dict(REBER[state])
        state = ways[letter]
    return state

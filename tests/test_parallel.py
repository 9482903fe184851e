"""Devices that share a batch give the numbers of one device, up to rounding.

In double precision, so that rounding does not hide a wrong share or mask.
"""

from typing import NamedTuple

import jax
import numpy as np
import pytest

from lm import dropout as drop
from lm.config import DropoutConfig, ModelConfig, OptimConfig
from lm.models.language_model import build
from lm.parallel import (
    make_mesh,
    make_shared_eval_step,
    make_shared_train_step,
    state_shardings,
)
from lm.train import init_state, make_eval_step, make_train_step, numbers_of
from lm.types import Batch
from tests.zoo import close

pytestmark = pytest.mark.usefixtures("x64")
T, B, V, H = 5, 4, 11, 6
KEY = jax.random.key(3)
EVERY_KIND = DropoutConfig("between", 0.1, 0.2, 0.3, 0.1, 0.2, 0.1)


class Case(NamedTuple):
    """As experiments' config: what `numbers_of` reads."""

    model: ModelConfig
    optim: OptimConfig


def case(layers, cell, dropout=None, embedding=3, **optim) -> Case:
    dropout = dropout or DropoutConfig()
    model = ModelConfig(cell, layers, H, embedding, dropout=dropout)
    return Case(model, OptimConfig(**optim))


CASES = {
    "per token": case(2, "lstm", EVERY_KIND, optimizer="sgd", clip_at=0.05),
    "time sum": case(
        1,
        "gru_reset_before",
        DropoutConfig("locked", input=0.3, output=0.3),
        reduction="time_sum",
        clip="value",
        clip_at=0.01,
        average="ema",
    ),
    "truncated": case(1, "tanh", embedding=0, truncation=2, optimizer="momentum"),
}


def windows(empty: bool) -> list[Batch]:
    """Three windows with padding, uneven between lanes, and lanes that start anew; if
    `empty`, the lanes of the second device have no token at all in the last one."""
    rng, found = np.random.default_rng(0), []
    for number in range(3):
        ids = rng.integers(0, V, (T + 1, B)).astype(np.int32)
        mask = (np.arange(T)[:, None] < [T, T - 1, 2, 1]).astype(np.float32)
        fresh = np.array([number == 0, False, number == 1, True])
        found.append(Batch(ids[:-1], ids[1:], mask, fresh))
    if empty:
        found[-1].mask[:, B // 2 :] = 0
    return found


def mesh():
    assert len(jax.devices()) >= 2, "see tests/conftest.py"
    return make_mesh(jax.devices()[:2])


def model_of(given: Case):
    model, numbers = build(given.model, V), numbers_of(given)
    return model, numbers, init_state(model.problem, given.optim, numbers, KEY, B)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_three_steps_equal_those_of_one_device(name):
    given = CASES[name]
    model, numbers, state = model_of(given)
    alone = jax.jit(make_train_step(model.problem, given.optim))
    shared = jax.jit(make_shared_train_step(model.problem, given.optim, mesh()))
    one = two = state
    for window in windows(empty=name == "per token"):
        one, info_one = alone(one, window, KEY, numbers)
        two, info_two = shared(two, window, KEY, numbers)
        close(info_two, info_one, rtol=1e-9, atol=1e-12)
    close(two, one, rtol=1e-7, atol=1e-11)
    for leaf in jax.tree.leaves((two.params, two.opt_state, info_two)):
        first, second = (np.asarray(s.data) for s in leaf.addressable_shards)
        np.testing.assert_array_equal(first, second)
    wanted = state_shardings(mesh(), two)
    jax.tree.map(
        lambda x, s: s.is_equivalent_to(x.sharding, x.ndim) or pytest.fail(str(x)),
        two,
        wanted,
    )


def test_devices_wait_for_each_other_once_a_step():
    """An earlier sum, of counts alone, had a CPU's second thread wait in it while the
    first did both devices' work."""
    given = CASES["per token"]
    with jax.enable_x64(False):
        model, numbers, state = model_of(given)
        step = make_shared_train_step(model.problem, given.optim, mesh())
        lowered = jax.jit(step).lower(state, windows(False)[0], KEY, numbers)
    told = lowered.compile().as_text()
    assert told and told.count(" all-reduce(") == 1


def test_evaluation_equals_that_of_one_device():
    model, _, state = model_of(CASES["time sum"])
    alone = jax.jit(make_eval_step(model.problem))
    shared = jax.jit(make_shared_eval_step(model.problem, mesh()))
    one = two = state.carry
    for window in windows(empty=True):
        one, total_one = alone(state.params, one, window)
        two, total_two = shared(state.params, two, window)
        close(total_two, total_one, rtol=1e-12)
    close(two, one, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", ["between", "locked", "zoneout"])
def test_masks_are_the_whole_batchs_and_differ_between_devices(kind):
    ones = np.ones((T, B, 50), np.float32)

    def draw(xs, lanes=None):
        if kind == "zoneout":
            return np.asarray(drop.zoneout(KEY, {"h": xs[0]}, T, 0.5, lanes)["h"])
        return np.asarray(drop.DROPOUTS[kind](KEY, xs, 0.5, lanes))

    whole = draw(ones)
    parts = [draw(ones[:, :2], drop.Lanes(index, 2)) for index in range(2)]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)
    assert np.any(parts[0] != parts[1])

"""A run over two devices of this process: one device's numbers, and what is refused."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import pytest

from data_pipeline.batches import Padded
from data_pipeline.streams import WholeText
from experiments.config import Config
from experiments.console.command_line import Options, parse
from experiments.run.files import read_json
from experiments.run.metrics import read_metrics
from experiments.train.executor import One
from experiments.train.plan import plan
from experiments.train.session import train
from experiments.train.shared import Shared, make_executor
from lm.config import ConfigError
from tests.group import TINY


def tiny(steps: int, devices: int, **data) -> Config:
    config, _ = parse([*TINY, "--train.steps", str(steps), "--gradflow.every", "0"], "")
    config = replace(config, data=replace(config.data, **data))
    return replace(config, train=replace(config.train, devices=devices))


def losses(folder: Path) -> np.ndarray:
    rows = list(read_metrics(folder / "metrics.jsonl"))
    return np.array([r["loss"] for r in rows if "loss" in r])


@pytest.mark.usefixtures("compile_cache")
def test_two_devices_then_one_give_the_numbers_of_one(tmp_path):
    """With one-hot batches, which have an axis more to be split."""
    one, two = tmp_path / "one", tmp_path / "two"
    train(tiny(6, 1, one_hot=True), Options(one), ())
    train(tiny(3, 2, one_hot=True), Options(two), ())
    train(tiny(6, 1, one_hot=True), Options(two), ())
    np.testing.assert_allclose(losses(two), losses(one), rtol=2e-5)
    found, wanted = (read_json(folder / "summary.json") for folder in (two, one))
    assert found["test"]["tokens"] == wanted["test"]["tokens"]
    for split in ("valid", "test"):
        got, want = found[split], wanted[split]
        assert got["nats_per_token"] == pytest.approx(want["nats_per_token"], rel=1e-4)


def test_an_evaluation_has_few_batches_under_way(monkeypatch):
    """Over 32, devices that share them were seen to wait for each other for ever."""
    executor = make_executor(plan(tiny(1, 2, window=1)))
    evaluate, under_way, most, read = executor._evaluate, 0, 0, jax.device_get

    def begin(*given):
        nonlocal under_way, most
        under_way, most = under_way + 1, max(most, under_way + 1)
        return evaluate(*given)

    def done(tree):
        nonlocal under_way
        under_way -= len(tree) if isinstance(tree, list) else 1
        return read(tree)

    executor._evaluate = begin
    executor.restart([0], [executor.plan.config])
    monkeypatch.setattr(jax, "device_get", done)
    (found,) = executor.evaluate([0], "valid")
    assert executor.plan.evaluation("valid").steps > 32 > 8 == most
    assert under_way == 0 and found["loss"].count > 0


def test_one_device_needs_no_mesh_and_several_share_it():
    assert type(make_executor(plan(tiny(1, 1)))) is One
    assert make_executor(plan(tiny(1, 0))).devices == len(jax.devices())
    shared = make_executor(plan(tiny(1, 2)))
    assert isinstance(shared, Shared) and shared.devices == 2
    assert shared.agree(True, [False]) == (True, [False])


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (tiny(1, 64), "train.devices is 64 but this process has 2"),
        (tiny(1, 2, batch=7), "data.batch is 7 and 2 devices cannot share it evenly"),
    ],
)
def test_devices_that_cannot_be(config, told, tmp_path):
    with pytest.raises(ConfigError, match=told):
        train(config, Options(tmp_path / "run"), ())
    assert not (tmp_path / "run").exists()


def test_empty_lanes_are_added_and_count_nothing():
    whole = WholeText(np.arange(100, dtype=np.int32), 3, 5)
    even = Padded(whole, 4)
    assert (even.batch, even.steps) == (4, whole.steps)
    for step in range(whole.steps):
        batch, wanted = even.batch_at(0, 0, step), whole.batch_at(0, 0, step)
        for got, want in zip(batch, wanted, strict=True):
            np.testing.assert_array_equal(got[..., :3], want)
        assert batch.mask[:, 3].sum() == 0
    assert Padded(whole, 3).batch_at(0, 0, 1).targets.shape == (5, 3)


class Numbers(NamedTuple):
    """A batch of an application with numbers in."""

    xs: np.ndarray
    targets: np.ndarray
    label: np.ndarray


class OneBatch:
    """Three lanes of five steps of two numbers."""

    batch, steps = 3, 1

    def batch_at(self, seed, epoch, step):
        xs = np.arange(30.0).reshape(5, 3, 2)
        return Numbers(xs, np.ones((5, 3), np.int32), np.ones(3, np.int32))


def test_lanes_are_the_second_axis_whatever_the_rank():
    batch = Padded(OneBatch(), 2).batch_at(0, 0, 0)
    assert isinstance(batch, Numbers)
    assert batch.xs.shape == (5, 4, 2) and batch.targets.shape == (5, 4)
    assert batch.label.tolist() == [1, 1, 1, 0]
    assert not batch.xs[:, 3].any() and not batch.targets[:, 3].any()

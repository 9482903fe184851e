"""Benchmarks: all are registered, each gives its row, and what they time can run."""

import jax
import numpy as np
import pytest

from experiments.benchmark import BENCHMARKS, Benchmark, load, rows_of, tables
from experiments.benchmark.__main__ import main
from experiments.benchmark.data import measure
from experiments.benchmark.instruments import calls
from experiments.benchmark.steps import step_cases, step_sides
from experiments.benchmark.timing import random_batch
from experiments.results import rows as results
from lm.config import ModelConfig, OptimConfig
from lm.models.language_model import build
from tests.source import ROOT


def test_every_benchmark_is_registered():
    paths = (ROOT / "experiments" / "benchmark").glob("*.py")
    offered = {p.stem for p in paths if "\nBENCHMARK = " in p.read_text("utf-8")}
    assert offered == set(BENCHMARKS)
    assert all(callable(load(name).measure) for name in BENCHMARKS)


def test_every_committed_row_of_a_benchmark_has_a_table():
    found = results.rows()
    names = {name for name in found if name.startswith(("benchmark_", "data_rates_"))}
    assert names == {name for b in BENCHMARKS for name in rows_of(b, found)}
    assert len(tables(found)) <= len(names) and tables({}) == {}


def test_a_row_is_written_with_its_command(monkeypatch, tmp_path, capsys):
    fake = Benchmark(lambda **given: {"given": given}, str, ("megabytes",), "{name}_x")
    monkeypatch.setattr("experiments.benchmark.__main__.load", lambda name: fake)
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    main(["data", "--megabytes", "3", "--dry"])
    assert capsys.readouterr().out == "given: {'megabytes': 3}\n"
    assert not list(tmp_path.iterdir())
    main(["data", "--megabytes", "3"])
    row = results.rows()["data_x"]
    assert row["command"] == "python -m experiments.benchmark data --megabytes 3"
    assert row["metrics"] == {"given": {"megabytes": 3}}


def test_data_are_prepared_and_read_back():
    found = measure(1, "characters")
    assert found["tokens"] > 900_000 and found["windows_tokens_per_second"] > 0


def test_an_unknown_benchmark_is_answered_with_the_nearest(capsys):
    with pytest.raises(SystemExit) as left:
        main(["step"])
    assert left.value.code == 2
    assert "did you mean 'steps'" in capsys.readouterr().err


def test_random_text_is_a_batch():
    batch = random_batch(7, 5, 3)
    assert batch.inputs.shape == batch.targets.shape == batch.mask.shape == (5, 3)
    assert batch.inputs.dtype == np.int32 and batch.inputs.max() < 7
    np.testing.assert_array_equal(batch.inputs[1:], batch.targets[:-1])
    assert batch.mask.all() and not batch.fresh.any()


def test_steps_and_their_twins_can_be_traced():
    assert len(step_cases()) == 4
    config = ModelConfig(cell="lstm", hidden=4, embedding=3)
    sides = step_sides(7, 5, 3, config, OptimConfig())
    assert set(sides) == {"ours", "plain_scan", "flax"}
    for side in sides.values():
        state, _ = jax.eval_shape(side.step, side.state, *side.given)
        shapes = [jax.tree.map(lambda x: x.shape, s) for s in (state, side.state)]
        assert shapes[0] == shapes[1]


def test_instruments_can_be_traced():
    model = build(ModelConfig("lstm", hidden=6, embedding=5), 11)
    params = jax.eval_shape(model.init, jax.random.key(0))
    ids = jax.ShapeDtypeStruct((101, 32), np.int32)
    found = {
        name: jax.eval_shape(call, params, ids) for name, call in calls(model).items()
    }
    assert len(found) == 12

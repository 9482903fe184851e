"""Benchmarks: all are registered, each gives its row, and what they time can run."""

import time
from statistics import geometric_mean

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.benchmark import (
    BENCHMARKS,
    Benchmark,
    accounting,
    drivers,
    load,
    parallel,
    precision,
    products,
    rows_of,
    sampling,
    scaling,
    softmax,
    startup,
    tables,
)
from experiments.benchmark.__main__ import main
from experiments.benchmark.common import random_batch
from experiments.benchmark.data import measure
from experiments.benchmark.instruments import calls
from experiments.peers import suites
from experiments.results import rows as results
from experiments.results.timing import interleaved
from lm import linear
from lm.cells import make_cell
from lm.config import ModelConfig, OptimConfig
from lm.models.language_model import build
from tests.source import ROOT
from tests.test_peers import ROW, TINY


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


def test_a_turn_begins_with_calls_that_do_not_count():
    called = {"short": 0, "long": 0}

    def call(name, seconds):
        called[name] += 1
        time.sleep(seconds)

    sides = {
        "short": lambda: call("short", 0.01),
        "long": lambda: call("long", 0.05),
    }
    found = interleaved(sides, rounds=3, warm=1, pause=0.001, lead=0.035)
    assert called["long"] == 4 and called["short"] > 6
    assert all(len(seconds) == 3 for seconds in found.values())


def test_instruments_can_be_traced():
    model = build(ModelConfig("lstm", hidden=6, embedding=5), 11)
    params = jax.eval_shape(model.init, jax.random.key(0))
    ids = jax.ShapeDtypeStruct((101, 32), np.int32)
    found = {
        name: jax.eval_shape(call, params, ids) for name, call in calls(model).items()
    }
    assert len(found) == 12


def test_both_precisions_take_a_step_and_their_gradients_are_near():
    case = TINY._replace(optim=OptimConfig("sgd", 0.1))
    found = precision.compared(case)
    assert 0 < found["distance"] < 0.05 and found["gain"] > 0
    metrics = {
        "peak_gflops": {"float32": 10.0, "bfloat16": 20.0},
        "cases": {"tiny lstm": found},
    }
    told = precision.table([ROW | {"metrics": metrics}])
    assert "| tiny lstm |" in told and "| 2.00× |" in told


def test_operations_are_of_the_kind_that_the_program_says():
    step = jax.jit(lambda w, x: jnp.tanh(x @ w).sum(0)[jnp.arange(3)])
    given = jnp.ones((64, 64)), jnp.ones((64, 64))
    kinds = accounting.kinds_in(step.lower(*given).compile().as_text())
    assert {"products", "pointwise functions"} <= set(kinds.values())
    assert accounting.kind_of("  %x.1 = f32[] custom-call(%y)") == "others"


def test_a_step_is_accounted_for():
    found = accounting.accounted(TINY, 1e9)
    kinds = {"step", "at_peak", "waiting", *accounting.KINDS}
    assert kinds <= set(found) and found["products"] > 0
    metrics = {"peak_gflops": 1.0, "cases": {"zaremba_small": found}}
    told = accounting.table([ROW | {"metrics": metrics}])
    assert "| step |" in told and "| products |" in told


def test_time_is_measured_along_one_size():
    sizes = {
        name: {scaling.case_of(name, size) for size in all_of}
        for name, all_of in scaling.ALONG.items()
    }
    assert all(len(sizes[name]) == len(scaling.ALONG[name]) for name in sizes)
    longest = scaling.case_of("T", 100_000)
    assert suites.flop(longest) == suites.flop(scaling.BASE) * 100_000 / 64 / 4


def test_the_table_of_scaling(monkeypatch):
    monkeypatch.setattr(scaling, "BASE", TINY)
    monkeypatch.setattr(scaling, "ROUNDS", 1)
    found = {"H": scaling.along("H", (4, 8))}
    assert found["H"]["8"]["over_work"] > 0
    told = scaling.table([ROW | {"metrics": found}])
    assert "| H = 8 |" in told and scaling.figure(found).axes


def test_seconds_until_the_first_step():
    found = {"help": {"train": 0.512}, "first_step": {"tour": {"cold": 5, "warm": 2}}}
    told = startup.table([ROW | {"metrics": found}])
    assert "| `python -m experiments.train --help` | 0.51 | – |" in told
    assert "| first step of the config `tour` | 5.0 | 2.0 |" in told


def test_samples_of_one_text_and_of_many(monkeypatch):
    monkeypatch.setattr(sampling, "LANES", {1: 6, 3: 4})
    found = sampling.measure()
    assert found["3"]["tokens"] == 12 and found["1"]["maximum"] > 0
    assert "LSTM 1×128, 3 at once" in sampling.table([ROW | {"metrics": found}])


def test_drivers_take_turns():
    names = drivers.driven_cells()
    assert {"lstm", "gru", "tanh", "slstm", "min_gru"} <= set(names)
    shape = drivers.Shape(4, 2, 3)
    found = drivers.compared("lstm", shape, 1)
    assert set(found) == {"ours", "scan", "kept"}
    assert set(drivers.ways_of(make_cell("tanh", 4), 3)) == {"ours", "scan", "anew"}
    assert all(way["difference"] < 1e-5 for way in found.values())
    cells = {"lstm": {str(shape): found}}
    told = drivers.table([ROW | {"metrics": {"cells": cells}}])
    scan, kept = (f"{found[way]['over_ours']:.2f}×" for way in ("scan", "kept"))
    assert f"| `lstm` | anew | {scan}, {kept} | {scan} |" in told


def test_the_softmax_both_ways(monkeypatch):
    monkeypatch.setattr("lm.softmax.LOGITS", 0)
    monkeypatch.setattr("lm.softmax.BLOCK", 2**15)
    size = softmax.memory(ModelConfig("tanh", 1, 4, 4), 4_000, 8, 16)
    assert size["gradient"] == pytest.approx(4e-6 * (4_000 * 9 + 36), abs=0.05)
    assert size["blocks"] < size["whole"] / 3
    timed = softmax.times(6, 11, 4, True, 1)
    assert set(timed) == {"whole", "blocks", "blocks_over_whole"}
    metrics = {"tokens": 128, "vocabulary": 4_000, "megabytes": size}
    metrics["milliseconds"] = {"6 × 11, tied": timed}
    assert "MB of a step, 128 × 4,000" in softmax.table([ROW | {"metrics": metrics}])


def test_both_ways_of_the_softmax_are_one_loss():
    hs, w = (jax.random.normal(jax.random.key(n), (7, 5)) for n in (0, 1))
    for tied in (False, True):
        given = hs, w if tied else w.T, np.ones(7, np.float32), np.arange(7)
        both = [nats(*given) for nats in softmax.nats_of(7, 7, tied).values()]
        np.testing.assert_allclose(*both, rtol=1e-5)


def test_weights_are_the_left_factor_where_that_was_not_slower():
    (row,) = rows_of("products", results.rows()).values()
    gains = [
        row["metrics"]["cases"][name][side]["right_over_left"]
        for name in row["metrics"]["cases"]
        for side, left in products.chosen(name).items()
        if left
    ]
    assert min(gains) > 0.85 and geometric_mean(gains) > 1.3


def test_products_of_a_loop_are_timed_both_ways(monkeypatch):
    monkeypatch.setattr(products, "ROUNDS", 1)
    found = products.times(4, 8, 3, 1e9)
    assert list(found) == ["forward", "backward"]
    assert all(
        told["right"]["minimum"] > 0 and told["share"] > 0 for told in found.values()
    )
    row = {"metrics": {"cases": {"4 8 3": found}}, "command": "x", "seconds": 1}
    row |= {"hardware": {"cores": 2, "devices": ["cpu"]}}
    assert "| 4 × 8 | 0.000128 | 3 |" in products.table([row])


def parallel_row(name, **gains):
    """A row with these gains at T = 64, 256, …"""
    cells = {
        cell: {str(T): {"gain": gain} for T, gain in zip((64, 256), own, strict=True)}
        for cell, own in gains.items()
    }
    return {"name": f"benchmark_parallel{name}", "metrics": cells}


def test_the_table_of_drivers_is_what_was_measured():
    assert linear.AT_ONCE_FROM == parallel.fastest(
        list(rows_of("parallel", results.rows()).values())
    ), "write into lm/linear.py what parallel.fastest says of the committed rows"
    rows = [
        parallel_row("", min_gru=(0.9, 0.8), lru=(1.1, 0.9)),
        parallel_row(
            "_gpu", min_gru=(1.5, 9), lru=(0.9, 2), mlstm=(5, 5), gated_delta_net=(5, 5)
        ),
    ]
    gpu = {"elementwise": 64, "complex": 256}
    assert parallel.fastest(rows) == {"cpu": {}, "gpu": gpu}

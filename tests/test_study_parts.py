"""What the studies of gradients are made of: sentences, sums, budgets."""

import dataclasses
import math
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.config import Config
from experiments.gradients import __main__ as command
from experiments.gradients import (
    cells,
    clipping,
    common,
    depth,
    initialisation,
    rates,
    truncation,
)
from experiments.gradients.display import quiet
from experiments.gradients.reach import reach
from experiments.gradients.study import Job, Table, aligned
from experiments.results.intervals import Mean, mean, rank_correlation, span
from experiments.run.files import RunError
from lm.config import ModelConfig
from lm.gradflow.through_time import lag_norms
from lm.model import build

# Headlines, from rows as the studies make them: what was expected, and what was not.


def cell_rows(**horizons):
    """Perplexity 5 for the first variant, 6 for the second, …"""
    names = {"tanh": "tanh", "gru": "GRU", "irnn": "ReLU, identity", "lstm": "LSTM"}
    return [
        {
            "variant": names[cell],
            "cell": cell,
            "lags": 96,
            "diverged": 0,
            "horizon": [[horizon, horizon - 1, horizon + 1]] * 2,
            "perplexity": 5.0 + n,
            "perplexity_half": 0.25,
        }
        for n, (cell, horizon) in enumerate(horizons.items())
    ]


def test_headline_of_cells():
    told = cells.headline(cell_rows(gru=40, lstm=30, irnn=12, tanh=9))
    assert "GRU predicts best (perplexity 5 ± 0.25, horizon 40 [39, 41] char" in told
    assert "plain tanh: perplexity 8 ± 0.25, horizon 9 [8, 10] characters)" in told
    assert "from 9 to 40 characters to 9 to 40" in told
    assert "-1.00" in told and "both as expected" in told
    told = cells.headline(cell_rows(gru=20, lstm=30, irnn=96, tanh=9))
    assert "to 9 to over 96" in told and "not what was expected" in told
    told = cells.headline(cell_rows(tanh=9, irnn=12, lstm=30, gru=40))
    assert "+1.00" in told and "further than any other, as expected, but" in told
    told = cells.headline(cell_rows(gru=40, irnn=32, lstm=30, tanh=9))
    assert "goes with good prediction, as expected, but not every" in told
    rows = cell_rows(irnn=12, gru=40, lstm=30, tanh=9)
    rows[0]["diverged"] = 1
    told = cells.headline(rows)
    assert "GRU predicts best of those that never diverged (perplexity 6" in told


def start_rows(orthogonal, uniform, perplexities):
    rows = []
    for draw, λs in {"orthogonal": orthogonal, "uniform": uniform}.items():
        for gain, λ, perplexity in zip((0.5, 1.5, 2.5), λs, perplexities, strict=True):
            rows.append(
                {
                    "variant": f"{draw} {gain}",
                    "draw": draw,
                    "gain": gain,
                    "exponents": [λ, λ],
                    "exponent": λ,
                    "exponent_half": 0.0,
                    "perplexity": perplexity + (draw == "uniform"),
                    "perplexity_half": 0.1,
                }
            )
    return rows


@pytest.mark.parametrize(
    ("orthogonal", "uniform", "perplexities", "told"),
    [
        ((-0.6, 0.4, 0.9), (-1, -0.3, 0.6), (7, 9, 9), "The crossings are as expected"),
        ((-0.6, 0.05, 0.9), (-1, -0.3, 0.6), (7, 6, 9), "Neither"),
        ((-0.06, 0.04, 0.9), (-1, -0.3, 0.6), (5, 9, 9), "Both are as expected"),
        ((-0.06, 0.6, 0.9), (-1, -0.6, -0.3), (5, 9, 9), "The best start is"),
    ],
)
def test_headline_of_initialisation(orthogonal, uniform, perplexities, told):
    rows = start_rows(orthogonal, uniform, perplexities)
    if told == "Neither":
        rows[1]["exponent"] = 0.5
    found = initialisation.edges(rows)
    sentence = initialisation.headline(rows, found)
    assert told in sentence
    if told.startswith("The best"):
        assert "not in every seed up to gain 2.5 for uniform" in sentence


def test_crossing_is_interpolated():
    assert initialisation.crossing([1, 2, 4], [-3, -1, 3]) == pytest.approx(2.5)
    assert initialisation.crossing([1, 2], [0, 1]) == 1
    assert math.isnan(initialisation.crossing([1, 2], [-2, -1]))
    assert math.isnan(initialisation.crossing([1, 2], [1, 2]))


def truncation_rows(errors, perplexities):
    τs = [1, 4, 7]
    bias = {"τ": τs, "relative_error_after": errors}
    rows = [
        {"cell": "tanh", "τ": τ, "full": τ == 7, "perplexity": p}
        for τ, p in zip(τs, perplexities, strict=True)
    ]
    rows[-1]["bias"] = bias
    return rows


def test_headline_of_truncation():
    told = truncation.headline(truncation_rows([0.5, 0.1, 0.0], [6.0, 5.01, 5.0]))
    assert "loses 10% of the gradient at τ = 4" in told and "from τ = 4 on" in told
    assert "windows of 8" in told and told.endswith(": as expected.")
    told = truncation.headline(truncation_rows([0.5, 0.6, 0.0], [6.0, 5.01, 5.0]))
    assert "60%" in told and told.endswith("not in every way what was expected.")
    told = truncation.headline(truncation_rows([0.5, 0.1, 0.0], [6.0, 5.5, 5.0]))
    assert "from τ = 7 on" in told and "not in every way" in told


def clip_row(clip, at, spikes, nats, diverged=0):
    return {
        "clip": clip,
        "clip_at": at,
        "seeds": 3,
        "diverged": diverged,
        "spikes": spikes,
        "nats": nats,
        "nats_half": 0.5,
    }


def test_headline_of_clipping():
    none, value = clip_row("none", 5, 4, 9.0), clip_row("value", 0.1, 1, 7.0)
    good, bad = clip_row("norm", 1, 0, 6.0), clip_row("norm", 4, 9, 8.0)
    told = clipping.headline([none, good, bad, value])
    assert "Without clipping 4 spikes a run, 9 ± 0.5 nats a character; clipped" in told
    assert "by norm at 1, 0 spikes a run, 6 ± 0.5 nats" in told
    assert told.endswith("by norm takes 100% of the spikes away, as expected.")
    assert clipping.headline([none, bad, value]).endswith(
        "not what was expected of clipping."
    )
    gone = clip_row("none", 5, 0, math.inf, diverged=3)
    told = clipping.headline([gone, good, value])
    assert "all 3 seeds diverged" in told and "from diverging, as expected" in told
    calm = clip_row("none", 5, 0, 5.0)
    assert "not what was expected" in clipping.headline([calm, good, value])


def stack_row(layers, residual, down, perplexity):
    kind = "residual" if residual else "plain"
    return {
        "variant": f"{kind}, {layers} layers",
        "layers": layers,
        "residual": residual,
        "down_before": down,
        "down_after": down / 2,
        "perplexity": perplexity,
        "perplexity_half": math.nan,
    }


def test_headline_of_depth():
    rows = [stack_row(1, False, 1, 6.0), stack_row(8, False, 1e-3, 7.0)]
    told = depth.headline([*rows, stack_row(8, True, 2.0, 5.0)])
    assert "Down 8 layers 0.1 % of the gradient" in told and "2 times all" in told
    assert "5 at best (residual, 8 layers): as expected." in told
    told = depth.headline([*rows, stack_row(8, True, 0.01, 7.5)])
    assert "6 at best (plain, 1 layers): not in every way" in told


def test_the_share_that_comes_down_counts_all_lags():
    """Layer 1 gets 3 and 4 at lags 1 and 2, the last layer 10 at lag 0."""
    logs_SLK = np.log10([[[1e-9, 3, 4], [10, 1e-9, 1e-9]]])
    assert depth.share_down(logs_SLK) == pytest.approx([math.log10(0.5)])


# The pieces.


@pytest.mark.parametrize("cell", ["tanh", "gru", "lstm", "irnn"])
@pytest.mark.parametrize("budget", [20_000, 60_000])
def test_models_of_one_budget_differ_by_less_than_two_percent(cell, budget):
    model = cells.with_parameters(ModelConfig(cell, embedding=32), 97, budget)
    count = cells.parameters_of(model, 97)
    assert abs(count / budget - 1) < 0.02
    for hidden in (model.hidden - 1, model.hidden + 1):
        other = cells.parameters_of(dataclasses.replace(model, hidden=hidden), 97)
        assert abs(other - budget) >= abs(count - budget)


def test_spikes_are_steps_above_the_median_before():
    losses = [3.0, 2.0, 1.0, 1.0, 1.5, 1.0, 1.4, 1.0]
    assert clipping.spikes(losses, 0.5, 3) == [4]
    assert clipping.spikes(losses, 0.39, 3) == [4, 6]
    assert clipping.spikes([9.0, 0.0], 0.1, 3) == []
    assert clipping.spikes([1.0, 1.0, math.nan], 0.1, 2) == []


def test_windows_are_evenly_spread_and_targets_follow_inputs():
    ids = np.arange(100)
    inputs, targets = common.windows(ids, 10, 4)
    assert inputs.shape == (10, 4) and (targets == inputs + 1).all()
    assert inputs[0, 0] == 0 and targets[-1, -1] == 99
    assert common.windows(np.arange(25), 10, 4).inputs_TB.shape == (10, 2)


def test_lag_measure_is_the_lag_profile_with_c_beside_h():
    ids = np.random.default_rng(0).integers(0, 7, 200)
    at = common.windows(ids, 9, 3)
    for cell in ("tanh", "lstm"):
        model = build(ModelConfig(cell, 2, 4, 3), 7)
        params = model.init(jax.random.key(0))
        state = model.initial_state(params, 3)
        inputs, targets = map(jnp.asarray, at)
        want = lag_norms(model, params, inputs, targets, state)[:, :6]
        got = common.lag_measure(model, at, 5)(params)
        np.testing.assert_allclose(got["h_norms_LKB"], want, rtol=1e-5)
        more = got["lag_norms_LKB"] > got["h_norms_LKB"] * 1.001
        assert more[:, 1:].all() if cell == "lstm" else not more.any()
        assert not more[-1, 0].any(), "c of the last step is past its loss"


def test_means_over_seeds():
    one = mean([3.0])
    assert str(one) == "3" and math.isnan(one.half)
    three = mean([1.0, 2.0, 3.0])
    assert three.value == 2 and three.half == pytest.approx(4.303 / 3**0.5, rel=1e-3)
    assert str(Mean(5.1234, 0.0321)) == "5.123 ± 0.032"
    assert str(Mean(28123.4, 71234.5)) == "28120 ± 71000"
    assert mean([1.0, math.inf]).value == math.inf


def test_rank_correlation():
    assert rank_correlation([1, 2, 30], [2, 4, 5]) == pytest.approx(1)
    assert rank_correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert rank_correlation([1, 1, 2, 3], [1, 1, 2, 3]) == pytest.approx(1)
    assert math.isnan(rank_correlation([1, 1], [1, 2]))


def test_reach_pools_seeds_at_their_own_scale():
    """Two seeds of the same profile 2^−k, one a thousand times the other."""
    profile_K = 2.0 ** -np.arange(10)
    norms = np.stack([profile_K, 1000 * profile_K])[:, :, None] * np.ones((2, 10, 5))
    found = reach(norms)
    np.testing.assert_allclose(found.normalised_K, profile_K, rtol=1e-5)
    assert found.horizon == (6, 6, 6) and found.horizons == [6, 6]
    assert span(found.half_life) == "2 [2, 2]"


def test_tables_are_aligned():
    table = Table(("name", "n"), [("a", "10"), ("longer", "9")])
    assert aligned(table).splitlines() == [
        "name     n",
        "──────  ──",
        "a       10",
        "longer   9",
    ]


def test_what_is_recorded_has_no_curves():
    row = {"a": 1, "curve": list(range(99)), "few": [1, [2, 3]], "b": {"c": [0] * 40}}
    assert command.compact(row) == {"a": 1, "few": [1, [2, 3]]}


# Learning rates, with stand-ins for the pilots.


def pilots(monkeypatch, losses):
    """`tuned` with these losses, by variant and learning rate."""

    class Run(NamedTuple):
        variant: str
        nats: float

    def train_all(tasks, *_):
        assert {task.seed for task in tasks} == {1000, 1001}
        rated = [(t.variant[0], t.config.optim.learning_rate, t.seed) for t in tasks]
        return [
            Run(t.variant, losses[key[:2]] if key[2] == 1000 else losses.get(key, 2.0))
            for t, key in zip(tasks, rated, strict=True)
        ]

    monkeypatch.setattr(rates, "train_all", train_all)
    found = rates.tuned(
        {"a": Config(), "b": Config()}, (0.01, 0.1), Job(Path(), 1, quiet())
    )
    return {name: config.optim.learning_rate for name, config in found.items()}


def test_each_variant_gets_the_rate_of_its_least_loss(monkeypatch):
    """Of the mean over both seeds: one that does well by luck is not enough."""
    losses = {("a", 0.01): 2.0, ("a", 0.1): math.inf, ("b", 0.01): 3.0, ("b", 0.1): 1}
    assert pilots(monkeypatch, losses) == {"a": 0.01, "b": 0.1}
    assert pilots(monkeypatch, {**losses, ("b", 0.1, 1001): 5.0})["b"] == 0.01
    with pytest.raises(RunError, match="a diverged at every learning rate"):
        pilots(monkeypatch, {**losses, ("a", 0.01): math.inf})

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
from experiments.gradients import (
    STUDIES,
    cells,
    clipping,
    common,
    depth,
    directory,
    initialisation,
    load,
    mean_field,
    rates,
    truncation,
    widths,
)
from experiments.gradients.display import quiet
from experiments.gradients.reach import reach
from experiments.gradients.study import Job, Table, aligned
from experiments.readme.many_runs import recorded
from experiments.results.intervals import Mean, mean, rank_correlation, span
from experiments.results.rows import rows
from experiments.run.files import RunError
from lm.config import ModelConfig
from lm.gradflow.through_time import lag_norms, stacked
from lm.models.language_model import build
from lm.types import Batch

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


def said(study, rows):
    """The sentence, which is short."""
    sentence = study.headline(rows)
    assert len(sentence.split()) <= 30 and sentence.endswith(".")
    return sentence


@pytest.mark.parametrize("name", STUDIES)
def test_sentences_are_made_of_what_is_recorded(name):
    """Of committed rows, which have no curves, the sentence can be made again."""
    found = recorded(name, rows())
    if not found:
        pytest.skip(f"nothing is recorded of {name} yet")
    assert said(load(name), found)[0].isupper()


def test_headline_of_cells():
    told = said(cells, cell_rows(gru=40, lstm=30, irnn=12, tanh=9))
    assert told.startswith("GRU predicts best (perplexity 5, horizon 40); gated cells")
    assert "predicts better (rank correlation -1.00), as expected" in told
    told = said(cells, cell_rows(irnn=96, gru=20, lstm=30, tanh=9))
    assert "horizon over 96" in told and "unexpected" not in told
    told = said(cells, cell_rows(gru=20, lstm=30, irnn=96, tanh=90))
    assert "nor do all gated cells reach further: unexpected" in told
    told = said(cells, cell_rows(tanh=9, irnn=12, lstm=30, gru=40))
    assert "1.00" in told and "reach further, as expected, but far sight" in told
    told = said(cells, cell_rows(gru=40, irnn=32, lstm=30, tanh=9))
    assert "as expected, but not all gated cells reach further" in told
    rows = cell_rows(irnn=12, gru=40, lstm=30, tanh=9)
    rows[0]["diverged"] = 1
    told = said(cells, rows)
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
                    "input_variance": 0.002,
                    "perplexity": perplexity + (draw == "uniform"),
                    "perplexity_half": 0.1,
                }
            )
    return rows


@pytest.mark.parametrize(
    ("orthogonal", "uniform", "perplexities", "crossings", "start"),
    [
        ((-0.6, 0.4, 0.9), (-0.4, -0.3, 0.6), (7, 9, 9), True, False),
        ((-0.4, 0.4, 0.9), (-0.4, 0.05, 0.9), (7, 6, 9), False, False),
        ((-0.06, 0.04, 0.9), (-0.4, -0.3, 0.6), (5, 9, 9), True, True),
        ((-0.06, 0.04, 0.9), (-1, -0.6, -0.3), (5, 9, 9), False, True),
    ],
)
def test_headline_of_initialisation(
    orthogonal, uniform, perplexities, crossings, start
):
    """Theory has the crossings at 1.107 and 1.917 for inputs of variance .002."""
    rows = start_rows(orthogonal, uniform, perplexities)
    if perplexities[1] == 6:
        rows[1]["exponent"] = 0.5
    told = said(initialisation, rows)
    assert (", as expected; the best" in told) is crossings
    assert ("at the edge, as expected." in told) is start
    if uniform[-1] < 0:
        assert "over 2.5 (uniform), unexpected" in told


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
    told = said(truncation, truncation_rows([0.5, 0.1, 0.0], [6.0, 5.01, 5.0]))
    assert "perplexity 6 (tanh), the full gradient 5;" in told
    assert told.endswith("within 1 % from τ 4 on, as expected.")
    told = said(truncation, truncation_rows([0.5, 0.6, 0.0], [6.0, 5.01, 5.0]))
    assert told.endswith("from τ 4 on, unexpected.")
    told = said(truncation, truncation_rows([0.5, 0.1, 0.0], [6.0, 5.5, 5.0]))
    assert told.endswith("from τ 7 on, unexpected.")
    rows = truncation_rows([0.5, 0.1, 0.0], [6.0, 5.01, 5.0])
    del rows[-1]["bias"]
    assert said(truncation, rows).endswith("from τ 4 on, as expected.")


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
    told = said(clipping, [none, good, bad, value])
    assert told.startswith("Without clipping 4 spikes, 9 nats; by norm at 1, 0")
    assert told.endswith("by value at 0.1, 1 spikes, 7 nats: as expected.")
    assert said(clipping, [none, bad, value]).endswith(": not what was expected.")
    gone = clip_row("none", 5, 0, math.inf, diverged=3)
    told = said(clipping, [gone, good, value])
    assert "3 of 3 seeds diverged" in told and told.endswith(": as expected.")
    calm = clip_row("none", 5, 0, 5.0)
    assert "not what was expected" in said(clipping, [calm, good, value])


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
    told = said(depth, [*rows, stack_row(8, True, 2.0, 5.0)])
    assert told.startswith("Untrained, 0.1 % of the gradient comes down 8 plain layers")
    assert "2 times all" in told and told.endswith("is 7 against 5: as expected.")
    told = said(depth, [*rows, stack_row(8, True, 0.01, 7.5)])
    assert told.endswith("7 against 7.5: not in every way what was expected.")


def test_the_share_that_comes_down_counts_all_lags():
    """Layer 1 gets 3 and 4 at lags 1 and 2, the last layer 10 at lag 0."""
    logs_SLK = np.log10([[[1e-9, 3, 4], [10, 1e-9, 1e-9]]])
    assert depth.share_down(logs_SLK) == pytest.approx([math.log10(0.5)])


# The pieces.


@pytest.mark.parametrize(
    ("variance", "gain"),
    [(0, 1), (0.001, 1.09), (0.01, 1.193), (0.1, 1.409), (1 / 3, 1.603), (1, 1.856)],
)
def test_the_critical_gain_grows_with_the_inputs(variance, gain):
    """Beside values of another integration of the same equations."""
    assert mean_field.critical_gain(variance) == pytest.approx(gain, abs=4e-3)


@pytest.mark.parametrize(
    ("gain", "λ"), [(0.9, -0.1054), (1.05, 0.0014), (1.5, 0.065), (2.5, 0.237)]
)
def test_growth_without_inputs(gain, λ):
    assert math.log(mean_field.growth(gain, 0)) / 2 == pytest.approx(λ, abs=5e-4)


def test_mean_field_theory_holds_in_a_wide_network():
    """λ of 400 units driven by noise, by the growth of a small difference."""
    rng, gain, variance = np.random.default_rng(0), 1.3, 0.05
    w = rng.normal(0, gain / 20, (400, 400))
    x, d, λ = np.zeros(400), rng.normal(0, 1, 400), []
    for _ in range(600):
        x = np.tanh(x) @ w + rng.normal(0, variance**0.5, 400)
        d = (d * (1 - np.tanh(x) ** 2)) @ w
        λ.append(math.log(np.linalg.norm(d)))
        d /= np.linalg.norm(d)
    theory = math.log(mean_field.growth(gain, variance)) / 2
    assert np.mean(λ[100:]) == pytest.approx(theory, abs=0.02)


def test_the_variance_of_inputs_is_that_of_what_they_add():
    params = {
        "embedding": jnp.asarray([[3.0, 0.0], [0.0, 1.0]]),
        "layers": ({"w_x": jnp.asarray([[1.0], [2.0]]), "b": jnp.asarray([1.0])},),
    }
    found = initialisation.input_variance(params, jnp.asarray([[0], [1]]))
    assert float(found) == pytest.approx((16 + 9) / 2)


@pytest.mark.parametrize("cell", ["tanh", "gru", "lstm", "irnn"])
@pytest.mark.parametrize("budget", [20_000, 60_000])
def test_models_of_one_budget_differ_by_less_than_two_percent(cell, budget):
    model = widths.with_parameters(ModelConfig(cell, embedding=32), 97, budget)
    count = widths.parameters_of(model, 97)
    assert abs(count / budget - 1) < 0.02
    for hidden in (model.hidden - 1, model.hidden + 1):
        other = widths.parameters_of(dataclasses.replace(model, hidden=hidden), 97)
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
        batch = Batch(inputs, targets, np.ones((9, 3), np.float32), np.ones(3, bool))
        want = stacked(lag_norms(model.problem, params, state, batch))[:, :6]
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
    assert directory.compact(row) == {"a": 1, "few": [1, [2, 3]]}


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

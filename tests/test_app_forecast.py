"""Time series: a known optimum, forecasts against oracles, what is refused."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from data_pipeline.dynamics import lorenz, mackey_glass, seasonal_ar
from data_pipeline.errors import DataError
from data_pipeline.series import (
    Series,
    SeriesWindows,
    WholeStretch,
    cut,
    from_csv,
    made,
    read_column,
    sunspot_series,
)
from experiments import predict
from experiments.applications.forecast.baselines import (
    autoregressive,
    baselines,
    chosen_autoregression,
    lagged,
)
from experiments.applications.forecast.config import (
    ForecastConfig,
    ForecastModel,
    SeriesConfig,
)
from experiments.applications.forecast.scores import (
    Ahead,
    Forecasts,
    Scales,
    by_horizon,
    scales_of,
    scored,
)
from experiments.config import GradflowConfig, TrainConfig
from experiments.configs.forecast import CONFIG
from experiments.console.command_line import Options
from experiments.run.files import read_json
from experiments.train.__main__ import main
from experiments.train.session import train
from lm.config import ConfigError, InitConfig, ModelConfig
from lm.models.forecaster import Normal, build_forecaster
from lm.types import Batch, Context

pytestmark = pytest.mark.usefixtures("compile_cache")
RNG = np.random.default_rng(0)
FIRST_VALUES = [-0.4111328125, -0.90625, 2.0537109375]
T, B = 7, 3
VALUES = RNG.normal(3, 2, (T + 1, B)).astype(np.float32)
BATCH = Batch(
    VALUES[:-1, :, None], VALUES[1:], np.ones((T, B), np.float32), np.ones(B, bool)
)


@pytest.fixture(scope="module")
def forecaster():
    config = ModelConfig("gru", 2, 5, 0, init=InitConfig(scale=1.5))
    model = build_forecaster(config, 3.0, 2.0)
    return model, model.problem.init(jax.random.key(0), None)


def test_what_the_seasonal_process_is_drawn_from():
    values, truth = seasonal_ar(4_000, 0)
    np.testing.assert_allclose(
        truth.mean[5:], 0.5 * values[4:-1] + 0.8 * values[1:-4] - 0.4 * values[:-5]
    )
    before = values[4:-1]
    wanted = np.exp(0.5 * before / (1 + np.abs(before)))
    np.testing.assert_allclose(truth.deviation[5:], wanted)
    noise_N = (values - truth.mean) / truth.deviation
    assert abs(noise_N.mean()) < 0.05 and abs(noise_N.std() - 1) < 0.05
    assert values[:3].tolist() == FIRST_VALUES
    series = made("seasonal_ar", 4_000)
    known = Forecasts(truth.mean, truth.deviation**2)
    stretch, scales = series.splits["test"], scales_of(series)
    best = scored(series, known, stretch, scales)
    for other in baselines(series, 10).values():
        found = scored(series, other.one_step(series), stretch, scales)
        assert found["loss"] > best["loss"] and found["rmse"] > 0.98 * best["rmse"]


def test_chaotic_series_stay_on_their_attractors():
    glass, butterfly = mackey_glass(600, 0), lorenz(2_000, 0)
    assert 0.2 < glass.min() and glass.max() < 1.5 and glass.std() > 0.1
    assert len(butterfly) == 2_000 and 15 < np.abs(butterfly).max() < 20.5
    assert (butterfly > 0).any() and (butterfly < 0).any()


def test_sunspots_are_the_public_ones():
    series = sunspot_series()
    assert len(series.values) == 309
    for year, number in ((1700, 5), (1778, 154.4), (1957, 190.2), (2008, 2.9)):
        assert series.values[year - series.start] == number
    assert series.splits == {"train": (0, 201), "valid": (201, 221), "test": (221, 280)}
    assert series.ranges["1921_1955"] == (221, 256)
    assert scales_of(series).variance == pytest.approx(1495.594, abs=1e-3)


def test_nats_are_those_of_a_normal_distribution_with_its_gradients():
    mean, variance, value = 1.5, 0.7, 3.0
    found = Normal(mean, variance).nats(value)
    wanted = -stats.norm.logpdf(value, mean, variance**0.5)
    assert float(found) == pytest.approx(wanted, rel=1e-6)
    slopes = jax.grad(lambda m, v: Normal(m, v).nats(value), (0, 1))(mean, variance)
    off = value - mean
    by_hand = -off / variance, 0.5 * (1 / variance - off**2 / variance**2)
    np.testing.assert_allclose(slopes, by_hand, rtol=1e-5)


def test_forecasts_step_by_step_see_no_future_and_begin_anew(forecaster):
    model, params = forecaster
    whole = model.forecast(params, BATCH.inputs)
    state = model.layer.initial_state(params["layers"], B)
    states = model.states(params, BATCH.inputs)
    for t in range(T):
        before = jax.tree.map(lambda s, t=t: s[t], states)
        for a, b in zip(jax.tree.leaves(before), jax.tree.leaves(state), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
        scaled = (BATCH.inputs[t] - 3.0) / 2.0
        state, h = model.layer.step(params["layers"], state, scaled)
        out, a = params["outputs"], params["outputs"]["a"]
        raw = np.asarray(h) @ np.asarray(out["w"]) + np.asarray(out["b"])
        mean = 3 + 2 * (raw[:, 0] + float(a) * scaled[:, 0])
        variance = 4 * (np.log1p(np.exp(raw[:, 1])) + 1e-4)
        np.testing.assert_allclose(whole.mean[t], mean, rtol=1e-4)
        np.testing.assert_allclose(whole.variance[t], variance, rtol=1e-4)

    def at(inputs, t):
        return model.forecast(params, inputs).mean[t].sum()

    slopes = np.asarray(jax.grad(at)(jnp.asarray(BATCH.inputs), 3))
    assert (slopes[4:] == 0).all() and (slopes[:4] != 0).all()


def test_scores_count_what_the_mask_says(forecaster):
    model, params = forecaster
    mask = np.ones((T, B), np.float32)
    mask[:2] = 0
    batch = BATCH._replace(mask=mask)
    found = model.forecast(params, BATCH.inputs)
    off = BATCH.targets - np.asarray(found.mean)
    deviation = np.sqrt(np.asarray(found.variance))
    nats = -stats.norm.logpdf(off, 0, deviation)[2:]
    _, scores = model.problem.evaluate(params, (), batch)
    wanted = {
        "loss": nats.sum(),
        "squared_error": (off[2:] ** 2).sum(),
        "absolute_error": np.abs(off[2:]).sum(),
        "coverage_80": (np.abs(off) < stats.norm.ppf(0.9) * deviation)[2:].sum(),
        "coverage_95": (np.abs(off) < stats.norm.ppf(0.975) * deviation)[2:].sum(),
    }
    for name, total in wanted.items():
        assert float(scores[name].total) == pytest.approx(total, rel=1e-5)
        assert float(scores[name].count) == (T - 2) * B
    _, loss = model.problem.loss(params, (), batch, Context())
    assert float(loss.total) == pytest.approx(nats.sum(), rel=1e-5)
    assert model.problem.truncated is not None
    cut_off = model.problem.truncated(T)
    gradients = (
        jax.grad(lambda p, own=own: own.loss(p, (), batch, Context())[1].total)(params)
        for own in (model.problem, cut_off)
    )
    for a, b in zip(*map(jax.tree.leaves, gradients), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_futures_are_drawn_from_the_forecasts(forecaster):
    model, params = forecaster
    many, t = 20_000, 4
    states = model.states(params, BATCH.inputs)
    state = jax.tree.map(lambda s: jnp.repeat(s[t, :1], many, axis=0), states)
    values = jnp.repeat(BATCH.inputs[t, :1], many, axis=0)
    paths = model.paths(params, state, values, jax.random.key(1), 2)
    one = model.forecast(params, BATCH.inputs)
    mean, variance = float(one.mean[t, 0]), float(one.variance[t, 0])
    assert float(paths[0].mean()) == pytest.approx(
        mean, abs=5 * (variance / many) ** 0.5
    )
    assert float(paths[0].var()) == pytest.approx(variance, rel=0.05)
    # The second step is drawn after the first one of the same path was read.
    drawn = np.concatenate([BATCH.inputs[: t + 1, :1, 0], np.asarray(paths[:1, :1])])
    after = model.forecast(params, jnp.asarray(drawn[..., None], jnp.float32))
    near = np.abs(np.asarray(paths[0]) - float(paths[0, 0])) < 0.05
    second = np.asarray(paths[1])[near]
    spread = float(after.variance[-1, 0]) ** 0.5
    bound = 5 * spread / len(second) ** 0.5 + 0.1
    assert second.mean() == pytest.approx(float(after.mean[-1, 0]), abs=bound)


def test_stretches_count_every_value_once():
    values = np.arange(40.0)
    for context, begin in ((0, 0), (5, 14)):
        batch = WholeStretch(values, (20, 30), context).batch_at(0, 0, 0)
        assert batch.targets[batch.mask > 0].tolist() == list(range(20, 30))
        assert batch.inputs[0, 0, 0] == begin
        np.testing.assert_array_equal(batch.targets, batch.inputs[..., 0] + 1)
    read = SeriesWindows(values[:20], 4, 8, 3, 5)
    one = read.batch_at(1, 2, 3)
    np.testing.assert_array_equal(one.inputs, read.batch_at(1, 2, 3).inputs)
    assert (one.inputs != read.batch_at(1, 2, 4).inputs).any()
    assert one.mask[:3].sum() == 0 and one.mask[3:].all() and one.targets.max() < 20
    assert SeriesWindows(values[:5], 2, 100, 50, 1).batch_at(0, 0, 0).mask.sum() == 2


def test_baselines_by_hand():
    values = np.array([1.0, 2, 4, 1, 2, 5, 1, 3, 4, 2])
    series = Series(
        "s", values, {"train": (0, 8), "valid": (8, 9), "test": (9, 10)}, {}
    )
    found = lagged(3).one_step(series)
    assert found.mean[3:].tolist() == values[:-3].tolist()
    ahead = lagged(3).ahead(series, np.array([5]), 5)
    assert ahead.mean.tolist() == [[1, 2, 5, 1, 2]]
    # AR(1) with weight ½: known means, and variances σ²·(1 − φ^2h)/(1 − φ²).
    one = autoregressive(np.array([1.0, 0.5]), 2.0).ahead(series, np.array([5]), 3)
    assert one.mean.tolist() == [[3.5, 2.75, 2.375]]
    low, high = one.bands[95]
    half = 1.959963984540054 * 2 * np.sqrt([1, 1.25, 1.3125])
    np.testing.assert_allclose((high - low)[0] / 2, half)
    noise, x = RNG.normal(size=6_000), np.zeros(6_000)
    for t in range(2, 6_000):
        x[t] = 2 + 0.6 * x[t - 1] - 0.5 * x[t - 2] + noise[t]
    whole = Series("x", x, cut(6_000, 0.1, 0.1, "x"), {})
    weights, deviation = chosen_autoregression(whole, 6)
    np.testing.assert_allclose(weights[:3], [2, 0.6, -0.5], atol=0.1)
    assert deviation == pytest.approx(1, abs=0.05)


def test_scores_by_hand():
    series = Series("s", np.array([0.0, 1, 3, 2]), {}, {})
    found = Forecasts(np.array([0.0, 1, 1, 4]), np.array([1.0, 1, 4, 1]))
    scores = scored(series, found, (1, 4), Scales(naive=2.0, variance=4.0))
    nats = np.mean(-stats.norm.logpdf([0, 2, -2], 0, [1, 2, 1]))
    wanted = {"loss": nats, "rmse": (8 / 3) ** 0.5, "mase": 2 / 3, "arv": 2 / 3}
    wanted |= {"coverage_80": 2 / 3, "coverage_95": 2 / 3}
    assert scores == pytest.approx(wanted)
    bands = {80: (np.array([[0.5, 4]]), np.array([[2.0, 5]]))}
    curves = by_horizon(series, Ahead(np.array([0]), np.array([[1.0, 5]]), bands))
    assert curves == {"rmse": [0, 2], "mae": [0, 2], "coverage_80": [1, 0]}


def test_csv_files_are_read_or_refused_with_their_line(tmp_path):
    file = tmp_path / "a.csv"
    for text, column in (
        ("year,sun\n1700,5\n1701,11\n\n", "sun"),
        ("5\n11\n", ""),
        ("year;sun\n1700;5\n1701;11\n", "sun"),
    ):
        file.write_text(text)
        assert read_column(str(file), column).tolist() == [5, 11]
    for text, why in (
        ("y\n1\n\n2\n", "line 3: there is no value; a series must have no gaps"),
        ("y\n1\nNA\n", "line 3: 'NA' is no number"),
        ("y\n1\nnan\n", "line 3: 'nan' is no number"),
        ("a,b\n1,2\n", "has 2 columns; its columns: a, b; set data.column"),
        ("", "is empty"),
    ):
        file.write_text(text)
        with pytest.raises(DataError, match=why):
            read_column(str(file))
    with pytest.raises(DataError, match="no column 'c'; its columns: a, b"):
        file.write_text("a,b\n1,2\n")
        read_column(str(file), "c")
    file.write_text("\n".join(map(str, range(20))))
    with pytest.raises(DataError, match="20 values, which gives 16 to learn from"):
        from_csv(str(file), "", 1, 0.1, 0.1)
    file.write_text("7\n" * 50)
    with pytest.raises(DataError, match="all 40 values to learn from are 7"):
        from_csv(str(file), "", 1, 0.1, 0.1)
    with pytest.raises(
        ConfigError, match="data.series 'sunspot' is unknown; did you mean 'sunspots'"
    ):
        SeriesConfig(series="sunspot")
    with pytest.raises(ConfigError, match="nothing of a window would count"):
        SeriesConfig(window=5, burn_in=5)
    with pytest.raises(ConfigError, match="model.embedding is 3"):
        ForecastModel(embedding=3)


def test_ones_own_series_is_learnt_and_continued(tmp_path, capsys):
    file, run = tmp_path / "own.csv", tmp_path / "run"
    rows = [f"{t},{np.sin(t / 2):.4f}" for t in range(120)]
    file.write_text("t,y\n" + "\n".join([*rows[:50], "50,", *rows[51:]]))
    command = ["--config", "forecast", "--run-dir", str(run), "--data.csv", str(file)]
    command += ["--data.column", "y"]
    with pytest.raises(SystemExit) as left:
        main(command)
    said = capsys.readouterr().err
    assert left.value.code == 2 and "line 52" in said and said.count("\n") == 1
    assert not run.exists()
    file.write_text("t,y\n" + "\n".join(rows))
    data = SeriesConfig(
        csv=str(file), column="y", batch=4, window=20, updates=10, horizon=3, paths=20
    )
    config = ForecastConfig(
        data=data,
        model=ForecastModel("gru", 1, 4),
        train=TrainConfig(epochs=1, samples=0),
        gradflow=GradflowConfig(every=0),
    )
    assert train(config, Options(run), []) is not None
    capsys.readouterr()
    predict.main(["--run", str(run), "--input", str(file)])
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 3 and shown[0].startswith("step 1  mean ")
    lines = tmp_path / "lines.txt"
    lines.write_text("1 2 x\n")
    with pytest.raises(SystemExit):
        predict.main(["--run", str(run), "--input", str(lines)])
    assert "line 1 is no series" in capsys.readouterr().err


def test_a_small_form_ends_near_the_optimum(tmp_path):
    config = dataclasses.replace(
        CONFIG,
        data=SeriesConfig(length=20_000, window=60, updates=50, paths=100, origins=20),
        model=ForecastModel("gru", 1, 16),
        optim=dataclasses.replace(CONFIG.optim, learning_rate=0.02),
        train=TrainConfig(epochs=8, samples=0),
        gradflow=GradflowConfig(every=0),
    )
    run = train(config, Options(tmp_path / "run"), [])
    assert run is not None
    summary = read_json(run / "summary.json")
    best, found = summary["optimum"], summary["scores"]["test"]
    assert best["loss"] - 1e-3 < found["loss"] < best["loss"] + 0.06
    assert found["rmse"] < 1.04 * best["rmse"]
    assert 0.7 < found["coverage_80_ahead"] < 0.9
    (name,) = (n for n in summary["baselines"] if n.startswith("AR("))
    assert found["loss"] < summary["baselines"][name]["test"]["loss"]

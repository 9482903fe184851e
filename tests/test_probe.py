"""Probes during training: what they measure, when, and that a resumed run's are those
of an unbroken one, to the byte."""

import dataclasses

import jax
import numpy as np
import pytest

from data_pipeline.config import DataConfig
from data_pipeline.errors import DataError
from data_pipeline.windows import windows
from experiments.config import Config, GradflowConfig, TrainConfig, differences
from experiments.run.checkpoint import Checkpoints
from experiments.run.files import RunError, read_json
from experiments.run.probes import FILE, TAIL, Rows, read_probe, rewind_probe
from experiments.run.record import config_of
from experiments.train.callback import Callback
from experiments.train.plan import fresh_state, plan
from experiments.train.probe import (
    COST,
    SELDOM,
    SHARE,
    interval,
    make_measure,
)
from lm.config import ModelConfig
from lm.gradflow.gates import gate_statistics, state_statistics
from lm.gradflow.jacobians import spectral_radius
from lm.gradflow.through_time import lag_profile, norms_through_time, stacked
from tests.runs import last_state, outcome_of, trained

pytestmark = pytest.mark.usefixtures("compile_cache")
STEPS = 7


def tiny(every: int = 3, steps: int = STEPS, **train) -> Config:
    return Config(
        name="tiny",
        data=DataConfig(corpus="grammar", grammar_sentences=60, batch=8, window=16),
        model=ModelConfig(layers=2, hidden=6, embedding=5),
        train=TrainConfig(epochs=0, steps=steps, samples=0, **train),
        gradflow=GradflowConfig(every=every, lanes=3, lags=8),
    )


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    return trained(tiny(), tmp_path_factory.mktemp("runs") / "unbroken")


def test_probes_stand_at_the_start_on_time_and_at_the_end(unbroken):
    columns = read_probe(unbroken)
    assert columns["step"].tolist() == [0, 3, 6, 7]
    assert columns["last"].tolist() == [False, False, False, True]
    assert columns["lag_LK"].shape == columns["norms_LT"].shape == (4, 2, 9)
    assert all(np.isfinite(column).all() for column in columns.values())


def test_a_probe_is_a_direct_call_of_the_instruments(unbroken):
    planned = plan(tiny())
    problem, batch = planned.problem, planned.probed
    fresh = fresh_state(problem, tiny(), planned.reading.batch)
    found = Checkpoints(unbroken / "checkpoints").latest(fresh)
    assert found is not None
    state, _ = found
    columns = read_probe(unbroken)

    @jax.jit
    def measured(params):
        given = problem, params, problem.carry(params, 3), batch
        norms_LT = stacked(norms_through_time(*given))
        statistics = state_statistics(*given), gate_statistics(*given)
        return lag_profile(*given), norms_LT, *statistics

    for probe, params in ((0, fresh.params), (3, state.params)):
        profile, norms_LT, states, gates = jax.device_get(measured(params))
        got = {name: column[probe] for name, column in columns.items()}
        np.testing.assert_allclose(got["lag_LK"], profile.raw_LK, rtol=1e-4)
        np.testing.assert_allclose(got["norms_LT"], norms_LT, rtol=1e-4)
        assert got["horizon_L"].tolist() == profile.horizon_L.tolist()
        assert got["half_life_L"].tolist() == profile.half_life_L.tolist()
        share_LK = got["lag_LK"] / got["lag_LK"][:, :1]
        assert (got["lag_low_LK"] <= share_LK * (1 + 1e-5)).all()
        assert (share_LK <= got["lag_high_LK"] * (1 + 1e-5)).all()
        np.testing.assert_allclose(
            got["state_norm_L"], [np.mean(s.norm_T) for s in states.values()], rtol=1e-4
        )
        for number, layer in enumerate(gates.values()):
            for name, gate in layer.items():
                np.testing.assert_allclose(
                    got[f"gates_{number}_{name}"], gate.histogram, atol=1e-6
                )
                np.testing.assert_allclose(
                    got[f"gate_mean_{number}_{name}"], gate.mean, rtol=1e-4
                )
            radii = spectral_radius(
                params["layers"][number], problem.parts[number].cell
            )
            found = got["spectral_radius_L"][number]
            np.testing.assert_allclose(found, np.max(radii), rtol=0.01)


def test_training_is_the_same_without_probes(unbroken, tmp_path):
    trained(tiny(every=0), tmp_path / "run")
    assert not (tmp_path / "run" / FILE).exists()
    assert last_state(tmp_path / "run") == last_state(unbroken)


@pytest.mark.parametrize("at", [1, 3, 5])
def test_a_run_that_went_on_has_the_same_bytes(unbroken, tmp_path, at):
    """The probe at the end of the shorter run is not one of the longer."""
    trained(tiny(steps=at), tmp_path / "run")
    ended = read_probe(tmp_path / "run")["step"].tolist()
    assert ended[-1] == at
    trained(tiny(), tmp_path / "run")
    assert (tmp_path / "run" / FILE).read_bytes() == (unbroken / FILE).read_bytes()


@pytest.mark.parametrize("written", ["nothing", "too much"])
def test_a_killed_run_writes_its_probes_again(unbroken, tmp_path, written):
    """A checkpoint at step 4; whatever the file holds of later steps at the kill."""
    config, folder = tiny(checkpoint_every=4), tmp_path / "run"

    class Kill(BaseException):
        pass

    class KillAtSix(Callback):
        def stepped(self, run, step, row):
            if step == 6:
                if written == "too much":
                    run.callbacks[-1].saving(run)
                raise Kill

    with pytest.raises(Kill):
        outcome_of(config, folder, [KillAtSix()])
    found = read_probe(folder)["step"].tolist()
    assert found == ([0, 3, 6] if written == "too much" else [0, 3])
    trained(config, folder)
    assert (folder / FILE).read_bytes() == (unbroken / FILE).read_bytes()


def test_probing_may_begin_change_and_end_on_resuming(tmp_path, capfd):
    folder = tmp_path / "run"
    trained(tiny(every=0, steps=2), folder)
    trained(tiny(every=2, steps=4), folder)
    assert read_probe(folder)["step"].tolist() == [2, 4]
    trained(tiny(every=0, steps=5), folder)
    assert read_probe(folder)["step"].tolist() == [2, 4]
    assert capfd.readouterr().err == ""
    other = dataclasses.replace(tiny(every=6), gradflow=GradflowConfig(3, 2, 5))
    trained(other, folder)
    assert read_probe(folder)["step"].tolist() == [6, 7]
    assert "are dropped" in capfd.readouterr().err


def test_a_config_from_before_there_were_probes_still_loads(unbroken):
    record = read_json(unbroken / "config.json")
    del record["config"]["gradflow"]
    old = config_of(record, unbroken, Config)
    assert old.gradflow == GradflowConfig()
    assert differences(old, tiny()) == {}


def test_windows_are_spread_and_shrink_with_the_text():
    text = windows(np.arange(100, dtype=np.uint8), 5, 3)
    assert text.inputs_TB[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert text.inputs_TB[0].tolist() == [0, 47, 94]
    assert (text.targets_TB == text.inputs_TB + 1).all() and text.targets_TB.max() == 99
    assert text.inputs_TB.dtype == np.int32
    assert windows(np.arange(12), 5, 3).inputs_TB.shape == (5, 2)
    assert windows(np.arange(4), 5, 3).inputs_TB.shape == (3, 1)
    with pytest.raises(DataError, match="a text of 2 tokens has no window"):
        windows(np.arange(2), 5, 3)
    for length in range(3, 30):
        at_TB = windows(np.arange(length), 5, 3).inputs_TB
        assert len(np.unique(at_TB)) == at_TB.size, "windows overlap"


def test_the_automatic_interval_keeps_its_share():
    assert interval(GradflowConfig(every=7), 10**6, 1.0) == 7
    for probed in (100, 816, 10**5):
        for read in (11, 400, 2_500):
            steps = interval(GradflowConfig(), probed, read)
            assert steps >= SELDOM
            assert COST * probed / read <= SHARE * steps
    assert interval(GradflowConfig(), 10, 0.0) > 0


def test_not_finite_parameters_are_measured_all_the_same(unbroken):
    planned = plan(tiny())
    model, text = planned.problem, planned.probed
    params = jax.tree.map(lambda p: p * np.nan, model.init(jax.random.key(0)))
    found = jax.jit(make_measure(model, text))(params)
    assert np.isnan(found["lag_LK"]).all() and found["horizon_L"].shape == (2,)


def test_a_probe_costs_what_its_numbers_take(tmp_path):
    """Rows hold no views of the device's buffers; what is written grows with their
    number, and a file that goes on is put together from its two parts."""
    made, row = Rows(tmp_path), {"last": np.array(False), "a": np.arange(100.0)}
    written = 0
    for number in range(300):
        made.add({"step": np.array(number), **row})
        before = stamps(tmp_path)
        made.flush()
        written += sum(
            size - (before.get(name, (0, 0))[1] if name == TAIL else 0)
            for name, (time, size) in stamps(tmp_path).items()
            if before.get(name) != (time, size)
        )
        assert read_probe(tmp_path)["step"].tolist() == list(range(number + 1))
    made.close()
    whole = (tmp_path / FILE).stat().st_size
    assert not (tmp_path / TAIL).exists() and written < 6 * whole
    assert read_probe(tmp_path)["a"].shape == (300, 100)


def stamps(folder):
    """{name: (when written, size)} of what is there."""
    found = [(p.name, p.stat()) for p in folder.iterdir()]
    return {name: (stat.st_mtime_ns, stat.st_size) for name, stat in found}


def test_a_torn_tail_is_left_out(tmp_path):
    made = Rows(tmp_path)
    for step in range(7):
        made.add({"step": np.array(step), "last": np.array(False)})
        made.flush()
    tail = (tmp_path / TAIL).read_bytes()
    (tmp_path / TAIL).write_bytes(tail[:-3])
    assert read_probe(tmp_path)["step"].tolist() == list(range(6))
    rewind_probe(tmp_path, 4)
    assert read_probe(tmp_path)["step"].tolist() == list(range(5))
    assert not (tmp_path / TAIL).exists()


def test_missing_and_damaged_files_answer_in_one_line(tmp_path):
    with pytest.raises(RunError, match="made no probes"):
        read_probe(tmp_path)
    (tmp_path / FILE).write_bytes(b"PK\x03\x04 not much more")
    with pytest.raises(RunError, match="is damaged") as error:
        read_probe(tmp_path)
    assert "\n" not in str(error.value)
    (tmp_path / FILE).unlink()
    rewind_probe(tmp_path, 3)
    assert not (tmp_path / FILE).exists()

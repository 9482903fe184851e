"""Runs trained together against the same runs by themselves: all that they leave."""

import dataclasses
import math
from pathlib import Path

import jax
import numpy as np
import pytest

from data_pipeline.config import DataConfig
from experiments.config import Config, GradflowConfig, TrainConfig
from experiments.console.interrupts import Interrupt
from experiments.run.checkpoint import Checkpoints
from experiments.run.files import read_json
from experiments.run.metrics import read_metrics
from experiments.run.probes import read_probe
from experiments.train import many
from experiments.train.callback import Callback
from experiments.train.many import Many
from experiments.train.plan import plan
from experiments.train.population import same_shape, train_population
from lm.config import ConfigError, DropoutConfig, InitConfig, ModelConfig, OptimConfig
from tests.runs import trained

pytestmark = pytest.mark.usefixtures("compile_cache")
TIMES = {"seconds", "step_seconds", "step_tokens", "feed_seconds", "tokens_per_second"}
TIMES |= {"feed_share"}


def config_of(number: int, reading="streams", **optim) -> Config:
    """Member `number`, of another length, with another schedule and other numbers."""
    sizes = {"corpus": "grammar", "grammar_sentences": 60, "window": 16}
    sizes["batch"] = 4 if reading == "sentences" else 8
    schedules = ("step_decay", "constant", "cosine", "plateau")
    given = {
        "optimizer": "momentum",
        "learning_rate": 0.1 * (1 + number),
        "clip_at": 0.1 + 0.1 * number,
        "average": "ema",
        "schedule": schedules[number % 4],
        "hold": 1,
    }
    return Config(
        name=f"member{number}",
        seed=number,
        data=DataConfig(reading=reading, max_length=3, **sizes),
        model=ModelConfig(
            cell="tanh",
            hidden=6,
            embedding=5,
            init=InitConfig(gain=0.8 + 0.2 * number),
            dropout=DropoutConfig(kind="locked", output=0.1 + 0.1 * number),
        ),
        optim=OptimConfig(**(given | optim)),
        train=TrainConfig(epochs=0, steps=7 + 2 * number, eval_every=3, samples=0),
        gradflow=GradflowConfig(
            every=3 if reading == "sentences" else 0, lanes=2, lags=4
        ),
    )


class Report(Callback):
    """Calls what it is given with each evaluation, and once with nan of a diverged run;
    False ends the run."""

    def __init__(self, report):
        self.report = report

    def judged(self, run, row):
        return not self.report(run.number, run.at.step, run.at.valid)

    def ended(self, run, outcome):
        if outcome.error is not None:
            self.report(run.number, outcome.error.step, math.nan)


def together(configs, folder: Path, report=lambda *_: True, **options):
    """How each one ended; None of those that never began."""
    directories = [folder / config.name for config in configs]
    outcomes = train_population(configs, directories, [Report(report)], **options)
    return [outcome and outcome.how for outcome in outcomes]


def alone(config: Config, folder: Path) -> Path:
    return trained(config, folder / config.name)


def rows(run: Path) -> list[dict]:
    return list(read_metrics(run / "metrics.jsonl"))


def last_state(run: Path, config: Config):
    checkpoints, shapes = Checkpoints(run / "checkpoints"), plan(config).shapes
    found = checkpoints.latest(
        jax.tree.map(lambda x: np.empty(x.shape, x.dtype), shapes)
    )
    assert found is not None
    return found


def same_numbers(a, b, path="") -> None:
    """Two JSON values are alike, numbers to 2e-5, but for what is read off a clock."""
    if isinstance(b, dict):
        assert a.keys() == b.keys(), path
        for key in b.keys() - TIMES:
            same_numbers(a[key], b[key], f"{path}.{key}")
    elif isinstance(b, list):
        assert len(a) == len(b), path
        for x, y in zip(a, b, strict=True):
            same_numbers(x, y, path)
    elif isinstance(b, float):
        assert math.isclose(float(a), b, rel_tol=2e-5, abs_tol=1e-7), (path, a, b)
    else:
        assert a == b, path


def same_run(got: Path, want: Path, config: Config) -> None:
    """All that a run leaves is there, with the same numbers."""
    files = {
        str(p.relative_to(want)) for p in want.rglob("*") if "arrays" not in p.parts
    }
    assert files == {
        str(p.relative_to(got)) for p in got.rglob("*") if "arrays" not in p.parts
    }
    same_numbers(rows(got), rows(want))
    summaries = [read_json(run / "summary.json") for run in (got, want)]
    assert all(summary["seconds"] > 0 for summary in summaries)
    same_numbers(*summaries)
    (state, meta), (wanted, told) = last_state(got, config), last_state(want, config)
    same_numbers(meta, told)
    if config.data.reading == "sentences":  # nothing is carried on, and padding differs
        state, wanted = state._replace(carry=()), wanted._replace(carry=())
    for g, w in zip(jax.tree.leaves(state), jax.tree.leaves(wanted), strict=True):
        assert np.linalg.norm(g - w) <= 1e-6 * np.linalg.norm(w)


MEMBERS = [config_of(number) for number in range(3)]


@pytest.fixture(scope="module")
def solo(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("solo")
    for config in MEMBERS:
        alone(config, folder)
    return folder


def test_members_leave_what_solo_runs_leave(solo, tmp_path):
    """Three members in two slots, each of another length."""
    heard = []
    found = together(
        MEMBERS, tmp_path, lambda *told: heard.append(told) or True, chunk=2
    )
    assert found == ["finished"] * 3
    for config in MEMBERS:
        same_run(tmp_path / config.name, solo / config.name, config)
    for number, config in enumerate(MEMBERS):
        told = [(step, nats) for member, step, nats in heard if member == number]
        wanted = [
            (row["step"], row["valid_nats_per_token"])
            for row in rows(solo / config.name)
            if "valid_nats_per_token" in row
        ]
        same_numbers([list(pair) for pair in told], [list(pair) for pair in wanted])


def test_sentences_of_another_order_for_each(tmp_path):
    """Each seed shuffles for itself: batches of several lengths side by side. With
    probes, which are those of the solo run too."""
    members = [config_of(number, "sentences") for number in range(2)]
    together(members, tmp_path / "together")
    for config in members:
        alone(config, tmp_path / "alone")
        name = config.name
        got, want = tmp_path / "together" / name, tmp_path / "alone" / name
        same_run(got, want, config)
        probes, wanted = read_probe(got), read_probe(want)
        assert probes.keys() == wanted.keys() and len(probes["step"]) >= 4
        for column in wanted:
            np.testing.assert_allclose(probes[column], wanted[column], 2e-3, 1e-6)


def test_a_pruned_member_can_be_resumed_alone(solo, tmp_path):
    found = together(
        MEMBERS, tmp_path, lambda member, step, _: (member, step) != (1, 6), chunk=2
    )
    assert found == ["finished", "ended", "finished"]
    run = tmp_path / MEMBERS[1].name
    assert not (run / "summary.json").exists()
    assert rows(run)[-1]["step"] == 6
    alone(MEMBERS[1], tmp_path)
    same_run(run, solo / run.name, MEMBERS[1])


def test_interrupt_saves_all_and_resumes(solo, tmp_path):
    stop = Interrupt()

    def report(member, step, nats):
        stop.name = "SIGTERM"
        return True

    found = together(MEMBERS, tmp_path, report, chunk=2, stop=stop)
    assert found == ["interrupted", "interrupted", None]
    for config in MEMBERS[:2]:  # asked for in an evaluation: at once, as of solo runs
        assert Checkpoints(tmp_path / config.name / "checkpoints").steps() == [3]
    together(MEMBERS, tmp_path, chunk=2)
    for config in MEMBERS:
        same_run(tmp_path / config.name, solo / config.name, config)
    again = together(MEMBERS[:1], tmp_path, chunk=2)  # has ended already
    assert again == ["finished"]


def test_a_diverged_member_leaves_its_slot(solo, tmp_path, capsys, caplog):
    """The others do not notice, and nothing is compiled anew for whoever comes."""
    wild = dataclasses.replace(MEMBERS[1].optim, learning_rate=1e38)
    configs = [MEMBERS[0], dataclasses.replace(MEMBERS[1], optim=wild), *MEMBERS[2:]]
    heard = []
    with jax.log_compiles():
        found = together(
            configs, tmp_path, lambda *told: heard.append(told) or True, chunk=2
        )
    assert found == ["finished", "diverged", "finished"]
    ((member, step, nats),) = [told for told in heard if not math.isfinite(told[2])]
    assert member == 1 and math.isnan(nats)
    run = tmp_path / MEMBERS[1].name
    assert f"{run} diverged: step {step}: loss" in capsys.readouterr().err
    assert not (run / "summary.json").exists()
    for config in (MEMBERS[0], *MEMBERS[2:]):
        same_run(tmp_path / config.name, solo / config.name, config)
    for name in ("train_step", "begin"):
        begun = [r for r in caplog.records if f"Compiling jit({name})" in r.message]
        assert len(begun) == 1


def test_a_chunk_fits_into_memory(monkeypatch):
    made = Many(plan(MEMBERS[0]), 1, fit=False, devices=jax.devices()[:1])
    state = sum(leaf.nbytes for leaf in jax.tree.leaves(made.template()))
    assert 4 * state < made._bytes(4) < 400 * state
    monkeypatch.setattr(made, "_bytes", lambda size: 1000 * size)
    for free, wanted in ((1e9, 12), (5000 / many.SHARE, 4), (10, 1)):
        monkeypatch.setattr(many, "free_bytes", lambda _, free=free: free)
        assert made._fitting(12) == wanted


def test_fused_steps_are_the_single_steps_of_members_too(solo, tmp_path):
    train = [dataclasses.replace(config.train, fused=3) for config in MEMBERS]
    pairs = zip(MEMBERS, train, strict=True)
    together([dataclasses.replace(c, train=t) for c, t in pairs], tmp_path, chunk=2)
    for config in MEMBERS:
        same_run(tmp_path / config.name, solo / config.name, config)


def test_same_shape():
    first = MEMBERS[0]
    assert all(same_shape(first, other) for other in MEMBERS)

    def changed(part, **values):
        new = dataclasses.replace(getattr(first, part), **values)
        return dataclasses.replace(first, **{part: new})

    rates = dataclasses.replace(first.model.dropout, output=0.0)
    for other in (
        changed("model", cell="gru"),
        changed("model", hidden=7),
        changed("model", dropout=rates),
        changed("optim", weight_decay=0.1),
        changed("optim", clip="value"),
        changed("optim", b1=0.5),
        changed("data", batch=4),
        changed("train", eval_batch=3),
    ):
        assert not same_shape(first, other)
    spread = changed("data", window_spread=2.0)
    assert not same_shape(spread, spread)


def test_unlike_members_are_refused(tmp_path):
    model = dataclasses.replace(MEMBERS[1].model, hidden=7)
    other = dataclasses.replace(MEMBERS[1], model=model)
    with pytest.raises(ConfigError, match="member 1 has model.hidden 7, member 0 6"):
        together([MEMBERS[0], other], tmp_path / "runs")
    data = dataclasses.replace(MEMBERS[0].data, window_spread=2.0)
    with pytest.raises(ConfigError, match="window_spread is 2.0"):
        together([dataclasses.replace(MEMBERS[0], data=data)] * 2, tmp_path / "runs")
    assert not (tmp_path / "runs").exists()

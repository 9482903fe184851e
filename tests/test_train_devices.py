"""How many devices a run gets where it asks for none: by the table, and as before."""

from dataclasses import replace

import pytest

from experiments.benchmark.devices import cases
from experiments.config import AUTO, Config, TrainConfig, from_dict, to_dict
from experiments.console.command_line import Options, parse
from experiments.results import rows
from experiments.run.files import read_json
from experiments.train import devices
from experiments.train.plan import plan
from experiments.train.session import train
from lm.config import ConfigError, DropoutConfig
from tests.group import TINY


def tiny(steps: int) -> Config:
    words = ["--train.steps", str(steps), "--gradflow.every", "0"]
    return parse([*TINY, *words, "--train.devices", "auto"], "")[0]


def test_the_table_is_what_was_measured():
    found = rows.rows()["benchmark_devices"]["metrics"]
    assert [*found] == [*cases()]
    for name, told in found.items():
        gain = told["2_devices_speedup"]
        number = devices.number_by_table(cases()[name]())
        assert number in (1, 2)
        if number == 2:
            assert gain > 1, f"{name}: write into SHARED what the row says"
        else:
            assert gain < 1.2, f"{name}: write into SHARED what the row says"


@pytest.mark.usefixtures("compile_cache")
def test_a_run_keeps_to_what_was_chosen_at_its_beginning(tmp_path, monkeypatch, capsys):
    for name, value in (("SHARED", {2: (1, 10**6)}), ("LANES", 1)):
        monkeypatch.setattr(devices, name, value)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(tiny(6), Options(whole))
    assert "2 cores share each batch" in capsys.readouterr().out
    train(tiny(3), Options(parts))
    monkeypatch.setattr(devices, "SHARED", {})
    capsys.readouterr()
    train(tiny(6), Options(parts))
    assert "2 devices" in capsys.readouterr().out
    for folder in (whole, parts):
        config = read_json(folder / "config.json")["config"]
        assert config["train"]["devices"] == 2
    one, two = (read_json(folder / "summary.json") for folder in (whole, parts))
    assert one["test"] == two["test"]  # bit for bit


def test_one_device_where_nothing_was_measured_or_it_cannot_be(monkeypatch):
    planned, told = devices.settled(plan(tiny(1)))
    assert (planned.config.train.devices, told) == (1, ())
    for name, value in (("SHARED", {2: (1, 10**6)}), ("LANES", 1)):
        monkeypatch.setattr(devices, name, value)
    config = tiny(1)
    assert devices.number_by_table(plan(config)) == 2
    model = replace(config.model, dropout=DropoutConfig())
    for other in (
        replace(config, data=replace(config.data, batch=7)),
        replace(config, model=model, optim=replace(config.optim, omega=1.0)),
    ):
        assert devices.number_by_table(plan(other)) == 1


def test_what_devices_may_be():
    with pytest.raises(ConfigError, match="train.devices is 'some': must be a number"):
        TrainConfig(devices="some")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="train.devices is 2000"):
        TrainConfig(devices=2000)
    values = to_dict(replace(Config(), train=TrainConfig(devices=AUTO)))
    assert from_dict(values, Config).train.devices == AUTO
    with pytest.raises(ConfigError, match="train.devices is True"):
        from_dict(values | {"train": values["train"] | {"devices": True}}, Config)

"""Configs: validation, JSON, the ready ones, and the command line."""

import importlib
import json
import subprocess
import sys

import pytest

from data_pipeline.config import DataConfig
from experiments.config import (
    Config,
    TrainConfig,
    differences,
    from_dict,
    load_named,
    named,
    of_kinds,
    to_dict,
)
from experiments.console.command_line import parse
from lm.config import ConfigError, OptimConfig


def refused(argv, capsys):
    """The one line that a refused command line prints."""
    with pytest.raises(SystemExit) as leave:
        parse(argv, "Train.")
    out, err = capsys.readouterr()
    assert leave.value.code == 2
    assert out == ""
    assert err.count("\n") == 1
    return err


@pytest.mark.parametrize("name", named())
def test_ready_configs_are_named_after_their_file_and_survive_json(name):
    config = load_named(name)
    assert config.name == name
    kind = type(config)
    assert from_dict(json.loads(json.dumps(to_dict(config))), kind) == config


def test_ready_configs_say_their_command():
    for name in named():
        load_named(name)
        module = sys.modules[f"experiments.configs.{name}"]
        assert module.__doc__ and "experiments.train" in module.__doc__


def test_ready_configs_are_read_without_anything_heavy():
    code = (
        "import sys; from experiments.config import load_named, named\n"
        "for name in named(): load_named(name)\n"
        "found = {'jax', 'sklearn', 'scipy', 'matplotlib'} & set(sys.modules)\n"
        "assert not found, found\n"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr


def test_published_setups():
    small, large = load_named("zaremba_small"), load_named("zaremba_large")
    assert (small.model.hidden, small.data.window, small.train.epochs) == (200, 20, 13)
    assert (small.optim.hold, small.optim.factor, small.optim.clip_at) == (4, 0.5, 5)
    assert (large.model.hidden, large.data.window, large.train.epochs) == (1500, 35, 55)
    assert (large.optim.hold, large.optim.clip_at) == (14, 10)
    assert large.model.dropout.hidden == 0.65
    assert load_named("tutorial_part2").optim.truncation == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": {"steps": -1}}, "train.steps is -1"),
        ({"train": {"epochs": 0}}, "never end"),
        ({"train": {"keep": 0}}, "train.keep is 0"),
        ({"train": {"minutes": float("nan")}}, "train.minutes is nan"),
        ({"seed": -3}, "seed is -3"),
        ({"name": "a/b"}, "name is 'a/b'"),
        (
            {"optim": {"truncation": 4}, "model": {"dropout": {"weight": 0.1}}},
            "optim.truncation is 4",
        ),
        (
            {"optim": {"omega": 2.0}, "model": {"dropout": {"weight": 0.1}}},
            "optim.omega is 2.0",
        ),
        ({"optim": {"warmup": 9}, "train": {"steps": 5}}, "optim.warmup is 9"),
        (
            {
                "optim": {"schedule": "cosine"},
                "train": {"epochs": 0, "minutes": 1.0},
            },
            "cosine",
        ),
        ({"modle": {}}, "did you mean 'model"),
        ({"model": {"hiden": 3}}, "did you mean 'model.hidden'"),
        ({"model": {"hidden": "3"}}, "must be of type int"),
        ({"model": {"hidden": True}}, "must be of type int"),
        ({"model": 3}, "must be an object"),
    ],
)
def test_wrong_values_are_named(changes, message):
    with pytest.raises(ConfigError) as error:
        from_dict(changes, Config)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_differences_ignore_pacing_but_not_for_cosine():
    base, longer = Config(), Config(name="b", train=TrainConfig(epochs=99, keep=5))
    assert differences(base, longer) == {}
    other = Config(optim=OptimConfig(learning_rate=0.5), train=TrainConfig(epochs=99))
    assert differences(base, other) == {"optim.learning_rate": (0.002, 0.5)}
    cosine = OptimConfig(schedule="cosine")
    told = differences(
        Config(optim=cosine), Config(optim=cosine, train=TrainConfig(epochs=99))
    )
    assert told == {"train.epochs": (10, 99)}


def test_command_line_overrides_the_named_base():
    argv = "--config zaremba_medium --data.one-hot --model.no-bias --run-dir x"
    config, options = parse([*argv.split(), "--optim.learning_rate", "0.5"], "Train.")
    base = load_named("zaremba_medium")
    assert config.name == "zaremba_medium"
    assert config.data.one_hot and not config.model.bias
    assert config.optim.learning_rate == 0.5
    assert config.model.hidden == base.model.hidden
    assert str(options.run_dir) == "x" and not options.dry_run
    assert type(config) is Config


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("--config zaremba_smal", "did you mean 'zaremba_small'"),
        ("--config", "--config needs a name"),
        ("--model.cel lstm", "did you mean --model.cell?"),
        ("--optim.learnin-rate=1", "did you mean --optim.learning-rate?"),
        ("--model.layers", "--model.layers needs a value"),
        ("--model.layers two", "--model.layers: 'two' is not a whole number"),
        ("--optim.learning-rate fast", "'fast' is not a number"),
        ("--optim.learning-rate nan", "optim.learning_rate is nan"),
        ("--model.layers 9", "model.layers is 9: must lie in [1, 8]"),
        ("--model.dropout.kind betwen", "did you mean 'between'"),
        ("--data.batch 0", "data.batch is 0"),
        ("--train.epochs 0 --train.minutes 0", "never end"),
        ("corpus", "'corpus' is not an option"),
        ("--run-dir=", "--run-dir is empty"),
        ("--run-dir=~nosuchuser/x", "no user 'nosuchuser'"),
    ],
)
def test_refused_command_lines_answer_in_one_line(argv, message, capsys):
    assert message in refused(argv.split(), capsys)


def test_help_shows_the_base_and_needs_no_jax():
    code = (
        "import sys; from experiments.console.command_line import parse\n"
        "try: parse(['--config', 'zaremba_large', '--help'], 'Train.')\n"
        "finally: assert 'jax' not in sys.modules"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60
    )
    assert shown.returncode == 0, shown.stderr
    assert "(default: 1500)" in shown.stdout
    assert "--train.checkpoint-every" in shown.stdout
    assert "tutorial_part2" in shown.stdout


def test_what_fields_are():
    """The three lists that stood in three places before, as their metadata give
    them."""
    pacing = of_kinds(Config, "bound", "pacing", "probe")
    assert pacing >= set(
        "name train.epochs train.steps train.minutes train.checkpoint_every train.keep "
        "train.patience train.sample_every train.samples train.tensorboard "
        "train.devices gradflow.every gradflow.lanes gradflow.lags".split()
    )
    assert of_kinds(Config, "traced") == set(
        "model.init.scale model.init.gain model.init.forget_bias optim.learning_rate "
        "optim.clip_at".split()
    )
    assert of_kinds(Config, "switched") == set(
        "model.dropout.input model.dropout.hidden model.dropout.output "
        "model.dropout.embedding model.dropout.weight optim.weight_decay".split()
    )
    host = "seed optim.schedule optim.factor optim.hold optim.patience optim.floor"
    assert of_kinds(Config, "host") == set(
        f"{host} optim.warmup train.eval_every".split()
    )
    assert of_kinds(Config, "text") >= {"data.corpus"}


def test_where_the_text_lies_does_not_count_where_it_is_the_same():
    old = Config(data=DataConfig(corpus="a.txt", workers=2))
    new = Config(data=DataConfig(corpus="b.txt", cache_dir="c"))
    assert differences(old, new, same_text=True) == {}
    assert differences(old, new) == {"data.corpus": ("a.txt", "b.txt")}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optim": {"learning_rate": [0.1, 0.2]}}, "must be of type float"),
        ({"model": {"softmax": ["tied"]}}, "must be of type str"),
        ({"data": {"fractions": 0.5}}, "must be a list"),
        ({"data": {"fractions": [0.5, 0.5]}}, "has 2 values: must have 3"),
        ({"data": {"fractions": [0.5, "x", 0.2]}}, r"data.fractions\[1\] is 'x'"),
        ({"data": {"drop_containing": [3]}}, "must be of type str"),
        ({"optim": {"learning_rate": 10**400}}, "too large"),
        ({"name": "x" * 300}, "at most 100 bytes"),
        ({"name": "a\nb"}, "folder's name"),
        ({"name": "caf\udce9"}, "folder's name"),
    ],
)
def test_values_of_other_types_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message) as error:
        from_dict(changes, Config)
    assert "\n" not in str(error.value) and len(str(error.value)) < 600


def test_a_missing_argument_is_told_with_its_help(capsys):
    for command in ("generate", "score.__main__"):
        main = importlib.import_module(f"experiments.{command}").main
        with pytest.raises(SystemExit):
            main([])
        told = capsys.readouterr().err
        assert told.startswith("error: --run is needed: Directory of the run")
        assert "functools" not in told and told.count("\n") == 1


def test_a_command_line_is_text(capsys):
    with pytest.raises(SystemExit) as left:
        parse(["--data.corpus", "caf\udce9.txt"], "Train.")
    told = capsys.readouterr().err
    assert left.value.code == 2 and "not UTF-8" in told and told.count("\n") == 1

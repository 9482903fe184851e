"""Run directories: made, resumed, refused, locked; metrics and signals."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

from data_pipeline.vocabulary import Vocabulary
from experiments.config import Config, TrainConfig
from experiments.console.interrupts import interrupts
from experiments.run.directory import dated, open_run, read_run
from experiments.run.files import RunError, plain, read_json, write_json_atomic
from experiments.run.metrics import Metrics, read_metrics
from experiments.run.provenance import versions
from lm.config import OptimConfig


def test_a_new_run_records_how_it_was_made(tmp_path):
    config = Config(seed=5)
    with open_run(tmp_path / "a" / "b", config) as run:
        assert not run.resumed
    record = read_json(run.directory / "config.json")
    assert record["config"]["seed"] == 5
    assert record["versions"] == versions()
    assert {"python", "jax", "orbax-checkpoint"} <= set(record["versions"])
    assert record["hardware"]["cores"] >= 1 and record["command"]
    assert len(record["git"]["commit"]) == 40 if record["git"] else True


def test_the_default_directory_is_dated_and_new(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runs = [open_run(None, Config(name="tiny")) for _ in range(2)]
    names = sorted(p.name for p in (tmp_path / "runs").iterdir())
    assert len(names) == 2 and all("-tiny" in name for name in names)
    for run in runs:
        run.close()
    assert dated("x").parent.name == "runs"


def test_the_same_config_resumes_and_pacing_may_differ(tmp_path):
    config = Config()
    open_run(tmp_path, config).close()
    longer = replace(config, name="b", train=TrainConfig(epochs=50, keep=9))
    with open_run(tmp_path, longer) as run:
        assert run.resumed
    record = read_json(tmp_path / "config.json")
    assert record["config"]["train"]["epochs"] == 50
    assert len(record["resumed"]) == 1


def test_a_number_of_many_digits_resumes(tmp_path):
    config = Config(optim=OptimConfig(learning_rate=1 / 3))
    open_run(tmp_path, config).close()
    with open_run(tmp_path, config) as run:
        assert run.resumed
    record = read_json(tmp_path / "config.json")
    assert record["config"]["optim"]["learning_rate"] == 1 / 3


def test_another_config_is_refused_by_field_and_changes_nothing(tmp_path):
    open_run(tmp_path, Config()).close()
    before = (tmp_path / "config.json").read_bytes()
    other = Config(seed=1, optim=OptimConfig(learning_rate=0.5))
    with pytest.raises(RunError) as error:
        open_run(tmp_path, other)
    message = str(error.value)
    assert "seed was 0, is 1" in message
    assert "optim.learning_rate was 0.002, is 0.5" in message
    assert "\n" not in message
    assert (tmp_path / "config.json").read_bytes() == before
    open_run(tmp_path, Config()).close()  # the lock was given back


def test_wrong_directories_answer_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("")
    with pytest.raises(RunError, match="is a file"):
        open_run(tmp_path / "file", Config())
    with pytest.raises(RunError, match="other files"):
        open_run(tmp_path / "full", Config())
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["thesis.tex"]
    with pytest.raises(RunError, match="cannot be made"):
        open_run(tmp_path / "file" / "below", Config())


def test_one_process_at_a_time(tmp_path):
    with open_run(tmp_path, Config()):
        with pytest.raises(RunError, match=f"in use by process {os.getpid()}"):
            open_run(tmp_path, Config())
    open_run(tmp_path, Config()).close()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "not a run's config"),
        ('{"format": "other"}', "format"),
        ('{"format": "run-1", "config": {"sed": 1}}', "did you mean 'seed'"),
    ],
)
def test_broken_configs_are_refused(tmp_path, text, message):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(RunError, match=message):
        open_run(tmp_path, Config())
    with pytest.raises(RunError, match=message):
        read_run(tmp_path, Config)


def test_read_run(tmp_path):
    with pytest.raises(RunError, match="not there"):
        read_run(tmp_path / "none", Config)
    with pytest.raises(RunError, match="holds no run"):
        read_run(tmp_path, Config)
    with open_run(tmp_path, Config(seed=3)) as run:
        with pytest.raises(RunError, match="no vocabulary.json"):
            read_run(tmp_path, Config)
        words = Vocabulary(("<eos>", "<unk>", "ü"), (1, 2, 3))
        words.save(run.vocabulary)
    assert read_run(tmp_path, Config) == (Config(seed=3), words)
    (tmp_path / "vocabulary.json").write_text("[]")
    with pytest.raises(RunError, match="not a vocabulary"):
        read_run(tmp_path, Config)


def test_metrics_round_trip(tmp_path):
    metrics = Metrics(tmp_path / "m.jsonl")
    row = {"step": 1, "loss": np.float32(0.1), "norms": jnp.arange(3.0), "why": "é"}
    metrics.write(row)
    metrics.write({"step": 2, "loss": float("nan"), "scale": np.inf})
    metrics.close()
    first, second = read_metrics(tmp_path / "m.jsonl")
    assert np.float32(first["loss"]) == np.float32(0.1)
    assert first["norms"] == [0, 1, 2] and first["why"] == "é"
    assert np.isnan(float(second["loss"])) and float(second["scale"]) == np.inf


def test_rewinding_drops_later_rows_and_a_torn_line(tmp_path):
    with open_run(tmp_path, Config()) as run:
        for step in range(1, 6):
            run.log(step=step, loss=1 / step)
            run.sample(step, [f"text {step}", "# step x"])
        run.summary({"steps": 5})
        run.metrics.close()
        with open(run.metrics.path, "a") as file:
            file.write('{"step": 6, "lo')
        run.rewind(3)
        run.log(step=4, loss=0)
        run.metrics.close()
        rows = list(read_metrics(run.metrics.path))
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    assert rows[-1]["loss"] == 0
    samples = (tmp_path / "samples.txt").read_text()
    assert "text 3" in samples and "text 4" not in samples
    assert samples.startswith("=== step 1 ===\ntext 1\n# step x\n=== step 2 ===\n")
    assert not (tmp_path / "summary.json").exists()


def test_a_torn_line_is_cut_off_before_the_next_row(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text('{"step": 1}\n{"step": 2, "l')
    assert [row["step"] for row in read_metrics(path)] == [1]
    metrics = Metrics(path)
    metrics.write({"step": 2})
    metrics.close()
    assert [row["step"] for row in read_metrics(path)] == [1, 2]
    path.write_text('{"step": 1}\nbroken\n{"step": 2}\n')
    with pytest.raises(RunError, match="line 2"):
        list(read_metrics(path))


def test_metrics_are_flushed_within_about_a_second(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    metrics = Metrics(tmp_path / "m.jsonl")
    metrics.write({"step": 1})
    assert (tmp_path / "m.jsonl").read_text() == ""
    now[0] = 1.5
    metrics.write({"step": 2})
    assert (tmp_path / "m.jsonl").read_text().count("\n") == 2
    metrics.close()


def test_json_is_strict_and_atomic(tmp_path):
    path = tmp_path / "x.json"
    write_json_atomic(path, {"a": np.float32(1 / 3), "b": float("nan"), "c": (1, None)})
    assert json.loads(path.read_text()) == {
        "a": 0.333333343,
        "b": "nan",
        "c": [1, None],
    }
    with pytest.raises((TypeError, ValueError, RecursionError)):
        write_json_atomic(path, {"a": object()})
    assert json.loads(path.read_text())["b"] == "nan"
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]
    assert plain(1 / 3, 17) == 1 / 3


def test_the_first_signal_sets_the_flag():
    with interrupts() as flag:
        assert not flag
        signal.raise_signal(signal.SIGTERM)
        assert flag and flag.name == "SIGTERM"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_the_second_signal_ends_the_process():
    code = (
        "import signal\nfrom experiments.console.interrupts import interrupts\n"
        "with interrupts() as flag:\n"
        "    signal.raise_signal(signal.SIGINT)\n"
        "    print(flag.name, flush=True)\n"
        "    signal.raise_signal(signal.SIGINT)\n"
        "print('never')"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60
    )
    assert ended.stdout == "SIGINT\n" and ended.returncode == 130


def board_scalars(folder):
    """{(tag, step): value} of TensorBoard's event files, without TensorBoard."""
    event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")
    found = {}
    for path in folder.iterdir():
        data = path.read_bytes()
        while data:
            size = int.from_bytes(data[:8], "little")
            event = event_pb2.Event.FromString(data[12 : 12 + size])
            for value in event.summary.value:
                found[value.tag, event.step] = value.simple_value
            data = data[16 + size :]
    return found


def test_tensorboard_gets_the_same_numbers(tmp_path):
    pytest.importorskip("tensorboardX")
    metrics = Metrics(tmp_path / "metrics.jsonl", tensorboard=True)
    metrics.write({"step": 0, "groups": ["w", "b"]})
    metrics.write({"step": 1, "loss": 2.5, "weight_norms": [3.0, 4.0]})
    metrics.close()
    again = Metrics(tmp_path / "metrics.jsonl", tensorboard=True)
    again.write({"step": 2, "loss": 1.5, "weight_norms": [5.0, 6.0]})
    again.close()
    assert board_scalars(tmp_path / "tensorboard") == {
        ("loss", 1): 2.5,
        ("weight_norms/w", 1): 3.0,
        ("weight_norms/b", 1): 4.0,
        ("loss", 2): 1.5,
        ("weight_norms/w", 2): 5.0,
        ("weight_norms/b", 2): 6.0,
    }


def test_without_tensorboardx_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(RunError, match="pip install tensorboardX"):
        Metrics(tmp_path / "metrics.jsonl", tensorboard=True)

"""Weights in and out: torch's networks and language models, files, runs."""

import json
import pathlib

import jax
import numpy as np
import pytest

from experiments import export, import_weights
from experiments.applications.application import Prepared
from experiments.applications.exported import exported_of, make_run, run_of_exported
from experiments.applications.forecast import application as forecast
from experiments.applications.forecast.config import ForecastConfig, ForecastModel
from experiments.applications.language_model.torch_files import (
    load_torch,
    torch_arrays,
)
from experiments.applications.restored import restore_best, shapes_of
from experiments.run.directory import KEPT, open_run
from experiments.run.files import RunError
from experiments.run.record import Text
from experiments.run.weights import named_leaves, read_weights, write_weights
from experiments.train.trained import load_trained
from lm.config import ConfigError, OptimConfig
from lm.torch_weights import from_torch, to_torch
from tests import tiny_run
from tests.test_tutorial_files import arrays_of, part_2
from tests.tiny_run import refused
from tests.zoo import close

GOLDEN = pathlib.Path(__file__).parent / "golden"
TIGHT = {"rtol": 1e-5, "atol": 1e-6}
RNG = np.random.default_rng(0)


def golden(kind):
    """(state dict, its input, torch's output) that golden/make_torch.py wrote."""
    arrays, notes = read_weights(GOLDEN / f"torch_{kind}.safetensors")
    return arrays, *(np.array(json.loads(notes[name])) for name in "xy")


def outputs(net, x):
    """Of a TorchNet's layer, from its initial state."""
    layer = net.layer
    state = layer.initial_state(net.params, x.shape[1])
    return layer.apply(net.params, x.astype(np.float32), state)[1]


def logits(model, params, ids_TB):
    """Of a language model, from its initial state."""
    _, hs = model.apply(params, ids_TB, model.initial_state(params, ids_TB.shape[1]))
    return np.asarray(model.logits(params, hs))


@pytest.mark.parametrize("kind", ["both_ways", "no_bias"])
def test_torchs_networks_give_torchs_outputs(kind):
    """Both ways over two layers of GRU; three of LSTM without biases."""
    arrays, x, y = golden(kind)
    net = from_torch(arrays)
    assert (net.both_ways, net.bias) == (kind == "both_ways", kind == "both_ways")
    close(outputs(net, x), y, **TIGHT)
    again = to_torch(net.cell, net.params)
    assert {n: a.shape for n, a in again.items()} == {
        n: a.shape for n, a in arrays.items()
    }
    close(outputs(from_torch(again), x), y, **TIGHT)


def test_torchs_language_model_gives_torchs_logits():
    arrays, x, y = golden("language_model")
    model, params = load_torch(GOLDEN / "torch_language_model.safetensors")
    close(logits(model, params, x), y, **TIGHT)
    out = torch_arrays(model.config, params)
    assert set(out) == set(arrays)
    for name in out:  # torch's two biases come back as their sum and 0
        both = [name.replace("bias_hh", "bias_ih"), name.replace("bias_ih", "bias_hh")]
        if "bias_ih" in name or "bias_hh" in name:
            got, want = (a[both[0]] + a[both[1]] for a in (out, arrays))
        else:
            got, want = out[name], arrays[name]
        np.testing.assert_array_equal(got, want)


def changed(arrays, **change):
    """Arrays with some of them replaced; None: taken away."""
    named = {name.replace("__", "."): array for name, array in change.items()}
    return {n: a for n, a in {**arrays, **named}.items() if a is not None}


ONE = np.ones(1, np.float32)


@pytest.mark.parametrize(
    "change, said",
    [
        ({"weight_hh_l1": None}, "weight_hh_l1 is not there"),
        ({"weight_ih_l1": np.ones((12, 4))}, r"weight_ih_l1 is \(12, 4\), must be \(1"),
        ({"bias_ih_l1_reverse": None}, "bias_ih_l1_reverse is not there"),
        ({"weight_hr_l0": ONE}, "projections"),
        ({"weight_hh_l0": np.ones((5, 2))}, r"weight_hh_l0 is \(5, 2\) and"),
        ({"weight_ih_l0": None}, "there is no weight_ih_l0 among bias_hh_l0"),
        ({"other__weight_ih_l0": ONE}, "networks at '', 'other.': give the prefix"),
        ({"weight_ih_l3": ONE}, "weight_ih_l2 is not there"),
    ],
)
def test_other_arrays_than_torchs_are_refused_in_one_line(change, said):
    arrays, *_ = golden("both_ways")
    with pytest.raises(ConfigError, match=said):
        from_torch(changed(arrays, **change))
    with pytest.raises(ConfigError, match="no name ends in weight_ih_l0 among x"):
        from_torch({"x": ONE})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A GRU with random weights."""
    return tiny_run.make_run(tmp_path_factory.mktemp("weights"))


@pytest.mark.parametrize("layout", ["own", "torch"])
def test_a_run_out_and_in_again_answers_alike(run, layout, tmp_path, capsys):
    out, again = tmp_path / "w.safetensors", tmp_path / "again"
    export.main(["--run", str(run), "--out", str(out), "--layout", layout])
    assert "of step 7" in capsys.readouterr().out
    arrays, _ = read_weights(out)
    assert ("rnn.weight_ih_l0" if layout == "torch" else "layers.0.w_x") in arrays
    import_weights.main(["--weights", str(out), "--run-dir", str(again)])
    assert "again: 1-layer gru, 6 units" in capsys.readouterr().out
    was, now = load_trained(run), load_trained(again)
    assert was.vocabulary == now.vocabulary and was.step == now.step
    same = jax.tree.map(np.array_equal, was.params, now.params)
    assert all(jax.tree.leaves(same))
    err = refused(import_weights.main, ["--weights", out, "--run-dir", again], capsys)
    assert "is there already" in err
    with pytest.raises(RunError, match="no state of training"):
        open_run(again, now.config)


def test_every_application_goes_out_and_in(tmp_path):
    """With what it keeps in files of its own; the average, where that is evaluated."""
    config = ForecastConfig(
        optim=OptimConfig(average="ema"), model=ForecastModel("gru", 1, 4)
    )
    kept = {KEPT: json.dumps({"centre": 1.0, "spread": 2.0})}
    first, again = tmp_path / "first", tmp_path / "again"
    path = tmp_path / "made.npz"
    known = Prepared(Text("", "", ""), {}, source=forecast.Source(1.0, 2.0))
    wanted = shapes_of(forecast.problem(config, known))
    params = jax.tree.map(lambda s: RNG.normal(size=s.shape), wanted)
    make_run(path, first, config, None, kept, named_leaves(params), step=3)
    arrays, metadata = exported_of(first)
    run_of_exported(path, arrays, metadata, again)
    was, now = restore_best(first), restore_best(again)
    assert (was.config, was.step) == (now.config, now.step) == (config, 3)
    assert was.prepared == now.prepared
    close(now.params, was.params, rtol=0, atol=0)
    with pytest.raises(ConfigError, match="is a run of 'forecast'"):
        exported_of(first, "torch")


def test_the_tutorials_file_becomes_a_run(tmp_path, capsys):
    """Its start is what is read of <eos>, its end what is guessed of it."""
    arrays, path, words = arrays_of(2), tmp_path / "t.npz", tmp_path / "words.txt"
    np.savez(path, **arrays)
    theirs = ["the", "START", "cat", "END", "UNKNOWN", "sat", "."]
    words.write_text("\n".join(theirs) + "\n")
    argv = ["--weights", path, "--words", words, "--run-dir", tmp_path / "run"]
    assert "no line '<eos>'" in refused(import_weights.main, argv, capsys)
    argv += "--start START --end END --unknown UNKNOWN".split()
    import_weights.main([str(word) for word in argv])
    capsys.readouterr()
    trained = load_trained(tmp_path / "run")
    assert trained.vocabulary.tokens == ("<eos>", "<unk>", "the", "cat", "sat", ".")
    ids = trained.vocabulary.encode(["<eos>", "the", "cat", "sat", "dog"])
    got = logits(trained.model, trained.params, ids[:, None])[:, 0]
    want = part_2(arrays, [1, 0, 2, 5, 4])[:, [3, 4, 0, 2, 5, 6]]
    close(jax.nn.softmax(got), want / want.sum(-1, keepdims=True), **TIGHT)
    words.write_text("\n".join(theirs[1:]))
    argv[-7] = tmp_path / "other"
    assert "has 6 words" in refused(import_weights.main, argv, capsys)


def test_a_head_of_any_length_is_read(tmp_path):
    """That of 128 bytes begins as a pickle does."""
    path, begins = tmp_path / "w.safetensors", set()
    for blanks in range(0, 300, 8):
        write_weights(path, {"x": ONE}, {"note": " " * blanks})
        begins.add(path.read_bytes()[0])
        assert read_weights(path)[1]["note"] == " " * blanks
    assert 0x80 in begins


def test_files_of_other_kinds_are_refused_in_one_line(run, tmp_path, capsys):
    path = tmp_path / "w.safetensors"
    argv = ["--weights", path, "--run-dir", tmp_path / "new"]
    assert "is not there" in refused(import_weights.main, argv, capsys)
    for content, said in {
        b"\x80\x02\x8a\n": "is a pickle",
        b"PK\x03\x04 and so on": "damaged .npz",
        b"nothing": "neither a .safetensors nor",
    }.items():
        path.write_bytes(content)
        assert said in refused(import_weights.main, argv, capsys)
    arrays, metadata = exported_of(run)
    for change, notes, said in (
        ({}, {}, "holds no vocabulary"),
        ({"embedding": None}, metadata, "embedding is not there"),
        ({"extra": ONE}, metadata, "extra is (1,), but must be no part of the model"),
        ({"softmax.b": ONE}, metadata, "softmax.b is (1,), but must be (12,)"),
        ({"embedding": arrays["embedding"] * np.nan}, metadata, "holds nan or inf"),
        ({}, metadata | {"layout": "other"}, "its metadata are not of weights-1"),
        ({}, metadata | {"vocabulary.json": "{}"}, "is not a vocabulary"),
    ):
        write_weights(path, changed(arrays, **change), notes)
        assert said in refused(import_weights.main, argv, capsys), said
    assert sorted(p.name for p in tmp_path.iterdir()) == ["w.safetensors"]


def test_arrays_go_out_as_they_are_seen(tmp_path):
    """Views and single numbers, which the package would copy as they lie."""
    given = {"turned": np.arange(6.0).reshape(2, 3).T, "one": np.float32(2)}
    write_weights(tmp_path / "w", given, {"a": "b"})
    arrays, notes = read_weights(tmp_path / "w")
    assert notes == {"a": "b"}
    for name, array in given.items():
        assert np.array_equal(arrays[name], array)
        assert arrays[name].shape == np.shape(array)

"""Checkpoints: bit-exact, atomic under kills, and damage is noticed."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import optax
import pytest

from experiments.run import checkpoint
from experiments.run.checkpoint import Checkpoints
from experiments.run.files import RunError

NAN = float("nan")


class State(NamedTuple):
    step: object
    params: object
    opt_state: object
    average: object = None


def tree_of(seed: int) -> State:
    a, b = jax.random.split(jax.random.key(seed))
    params: dict = {
        "layers": ({"w": jax.random.normal(a, (3, 5))}, {"w": jnp.ones((4,))})
    }
    params["softmax"] = {"b": jax.random.normal(b, (7,)).astype(jnp.bfloat16)}
    opt_state = optax.chain(optax.clip(1.0), optax.adam(0.1)).init(params)
    return State(jnp.asarray(seed, jnp.int32), params, opt_state)


def same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert x.dtype == y.dtype and x.shape == y.shape
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes()


def quiet(folder, keep=2):
    """Checkpoints and the list of their warnings."""
    lines = []
    return Checkpoints(folder, keep, lines.append), lines


def sound(found):
    """(tree, meta) of a checkpoint that has to be there."""
    assert found is not None
    return found


def damage(path: Path, where: float) -> None:
    """Flips one bit of the largest file below."""
    file = max(
        (p for p in path.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size
    )
    data = bytearray(file.read_bytes())
    data[int(where * (len(data) - 1))] ^= 16
    file.write_bytes(bytes(data))


def test_restores_bit_for_bit(tmp_path):
    special = np.array([NAN, -0.0, np.inf, 1e-45, 1 / 3], np.float32)
    tree = {
        "special": special,
        "half": special.astype(ml_dtypes.bfloat16),
        "double": np.array([1 / 3, NAN]),
        "wide": np.array([2**62 + 1, -1]),
        "key": np.asarray(jax.random.key_data(jax.random.key(3))),
        "flag": np.array(True),
        "empty": np.zeros((0, 4), np.float32),
        "none": None,
        "noncontiguous": np.arange(12.0).reshape(3, 4).T,
        "jax": jnp.float32(1 / 3),
    }
    meta = {"best": 1 / 3, "worst": NAN, "position": [1, 2], "name": "ü"}
    checkpoints, _ = quiet(tmp_path)
    checkpoints.save(3, tree, meta)
    restored, told = sound(checkpoints.latest(tree))
    same(tree, restored)
    assert isinstance(restored["double"], np.ndarray)
    assert isinstance(restored["jax"], jax.Array)
    assert told["best"] == 1 / 3 and np.isnan(float(told["worst"]))
    assert told["position"] == [1, 2] and told["name"] == "ü"


def test_typed_trees_and_parts_of_them(tmp_path):
    tree = tree_of(1)
    checkpoints, _ = quiet(tmp_path)
    checkpoints.save(1, tree, {})
    template = jax.eval_shape(lambda: tree)
    same(tree, sound(checkpoints.latest(template))[0])
    part = sound(checkpoints.best({"params": template.params}))[0]
    same({"params": tree.params}, part)


def test_keeps_the_last_and_the_best(tmp_path):
    checkpoints, _ = quiet(tmp_path, keep=2)
    assert checkpoints.latest({}) is None and checkpoints.best({}) is None
    for step in range(1, 8):
        tree = {"x": np.full(3, step)}
        checkpoints.save(step, tree, {"step": step}, best=step in (2, 4))
    assert checkpoints.steps() == [4, 6, 7]
    assert sound(checkpoints.latest(tree))[1] == {"step": 7}
    assert sound(checkpoints.best(tree))[1] == {"step": 4}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["4", "6", "7"]


def test_saving_an_earlier_step_replaces_the_later_ones(tmp_path):
    checkpoints, _ = quiet(tmp_path, keep=3)
    for step, value in ((10, 1), (20, 1), (10, 2)):
        checkpoints.save(step, {"x": np.full(3, value)}, {})
    assert checkpoints.steps() == [10]
    assert sound(checkpoints.latest({"x": np.zeros(3, int)}))[0]["x"][0] == 2


@pytest.mark.parametrize("where", [0.05, 0.3, 0.5, 0.7, 0.95])
@pytest.mark.parametrize("by", ["file", "array"])
def test_flipped_bits_fall_back_to_the_older_step(tmp_path, where, by, monkeypatch):
    if by == "array":  # the digests alone
        monkeypatch.setattr(checkpoint, "_files", lambda folder: {})
    checkpoints, lines = quiet(tmp_path)
    noise = np.random.default_rng(0).normal(size=5000).astype(np.float32)
    for step in (1, 2):
        checkpoints.save(step, {"x": noise + step}, {"step": step}, best=True)
    damage(tmp_path / "2", where)
    template = {"x": noise}
    for found in (checkpoints.latest(template), checkpoints.best(template)):
        restored = sound(found)
        assert restored[1] == {"step": 1}
        same(restored[0], {"x": noise + 1})
    assert len(lines) == 2 and "2 is damaged" in lines[0] and "\n" not in lines[0]


def test_every_file_that_is_missing_or_cut_is_noticed_or_harmless(tmp_path):
    checkpoints, lines = quiet(tmp_path)
    template = {"x": np.zeros(100, np.float32), "y": np.zeros(3, int)}
    checkpoints.save(1, template, {"step": 1})
    checkpoints.save(2, {"x": template["x"] + 1, "y": template["y"]}, {"step": 2})
    files = [p for p in (tmp_path / "2").rglob("*") if p.is_file()]
    assert len(files) >= 4
    for file in files:
        data = file.read_bytes()
        for broken in (None, data[: len(data) // 2]):
            file.unlink()
            if broken is not None:
                file.write_bytes(broken)
            tree, meta = sound(checkpoints.latest(template))
            assert (tree["x"] == meta["step"] - 1).all()
            file.write_bytes(data)
    assert lines
    lines.clear()
    assert sound(checkpoints.latest(template))[1] == {"step": 2} and not lines


def test_changed_meta_is_noticed(tmp_path):
    checkpoints, lines = quiet(tmp_path)
    checkpoints.save(1, {"x": np.zeros(3)}, {"epoch": 4})
    path = tmp_path / "1" / "meta.json"
    record = json.loads(path.read_text())
    record["meta"]["epoch"] = 5
    path.write_text(json.dumps(record))
    for read in (checkpoints.latest, checkpoints.best):
        with pytest.raises(RunError, match=r"none .* sound \(.*digest of meta.json"):
            read({"x": np.zeros(3)})
    assert checkpoints.steps() == [1] and not lines


def test_another_model_is_an_error_not_damage(tmp_path):
    checkpoints, lines = quiet(tmp_path)
    checkpoints.save(1, {"x": np.zeros(3)}, {})
    with pytest.raises(RunError, match=r"x should be float64\[4\] and is float64\[3\]"):
        checkpoints.latest({"x": np.zeros(4)})
    with pytest.raises(RunError, match="z should be .* and is not there"):
        checkpoints.latest({"z": np.zeros(4)})
    assert not lines


def test_typed_keys_are_refused(tmp_path):
    with pytest.raises(TypeError, match="key_data"):
        quiet(tmp_path)[0].save(1, {"key": jax.random.key(0)}, {})


class Killed(BaseException):
    """Stands for a kill."""


@pytest.mark.parametrize("at", range(8))
def test_a_kill_between_any_two_file_operations_leaves_a_sound_state(
    tmp_path, monkeypatch, at
):
    checkpoints, _ = quiet(tmp_path, keep=1)
    template = {"x": np.zeros(3, int)}
    checkpoints.save(1, {"x": np.full(3, 1)}, {}, best=True)
    calls = iter(range(100))

    def dying(real):
        def operation(*args, **kwargs):
            if next(calls) == at:
                raise Killed
            return real(*args, **kwargs)

        return operation

    with monkeypatch.context() as patch:
        for owner, name in (
            (Path, "rename"),
            (Path, "mkdir"),
            (checkpoint, "write_text_atomic"),
            (checkpoint.shutil, "rmtree"),
        ):
            patch.setattr(owner, name, dying(getattr(owner, name)))
        try:
            checkpoints.save(2, {"x": np.full(3, 2)}, {}, best=True)
            survived = True
        except Killed:
            survived = False
    fresh, lines = quiet(tmp_path, keep=1)
    value = sound(fresh.latest(template))[0]["x"][0]
    assert value in (1, 2) and not lines
    assert value == 2 or not survived
    fresh.save(3, {"x": np.full(3, 3)}, {})
    assert [p.name for p in sorted(tmp_path.iterdir())] == [str(value), "3"]


KILLED = """
import sys, numpy as np
from experiments.run.checkpoint import Checkpoints
checkpoints = Checkpoints(sys.argv[1])
template = {"x": np.zeros(200_000), "step": np.zeros((), int)}
found = checkpoints.latest(template)
step = 0
if found:
    step = found[1]["step"]
    assert found[0]["step"] == step and (found[0]["x"] == step).all()
print(step, flush=True)
while True:
    step += 1
    tree = {"x": np.full(200_000, float(step)), "step": np.asarray(step)}
    checkpoints.save(step, tree, {"step": step}, best=step % 3 == 0)
"""


def test_real_kills_in_the_middle_of_saves(tmp_path):
    chance, reached = random.Random(0), 0
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        restored = process.stdout.readline()
        checkpoints = Checkpoints(tmp_path)
        while process.poll() is None and checkpoints.steps()[-1:] <= [int(restored)]:
            time.sleep(0.01)  # until it has saved once
        time.sleep(0.3 * chance.random())
        process.send_signal(signal.SIGKILL)
        _, errors = process.communicate()
        assert restored, errors
        assert int(restored) >= reached and "damaged" not in errors
        reached = int(restored)
    assert reached > 0

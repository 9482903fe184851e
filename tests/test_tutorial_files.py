"""Files of the tutorial's own programs: the same outputs as its equations give."""

import os

import jax
import numpy as np
import pytest

from experiments.applications.language_model.tutorial_files import load_tutorial
from experiments.run.files import RunError

C, H = 7, 3
SENTENCE = [0, 5, 2, 2, 6]


def arrays_of(part):
    """Weights as that part's program saves them."""
    draw = np.random.default_rng(part).normal
    if part == 2:
        return {"U": draw(size=(H, C)), "V": draw(size=(C, H)), "W": draw(size=(H, H))}
    square = {name: draw(size=(6, H, H)) for name in "UW"}
    words = {"E": draw(size=(H, C)), "V": draw(size=(C, H)), "c": draw(size=C)}
    return {**square, **words, "b": draw(size=(6, H))}


def softmax(z):
    """Of one vector."""
    e = np.exp(z - z.max())
    return e / e.sum()


def part_2(a, words):
    """rnn_theano.py: its forward pass, columns and all."""
    s, probabilities = np.zeros(len(a["W"])), []
    for x in words:
        s = np.tanh(a["U"][:, x] + a["W"] @ s)
        probabilities.append(softmax(a["V"] @ s))
    return np.array(probabilities)


def part_4(a, words):
    """gru_theano.py: its forward pass."""
    U, W, b = a["U"], a["W"], a["b"]

    def hard(x):
        return np.clip(0.2 * x + 0.5, 0, 1)

    def layer(n, x, s):
        z = hard(U[n] @ x + W[n] @ s + b[n])
        r = hard(U[n + 1] @ x + W[n + 1] @ s + b[n + 1])
        c = np.tanh(U[n + 2] @ x + W[n + 2] @ (s * r) + b[n + 2])
        return (1 - z) * c + z * s

    s1, s2 = np.zeros((2, len(a["E"])))
    probabilities = []
    for x in words:
        s1 = layer(0, a["E"][:, x], s1)
        s2 = layer(3, s1, s2)
        probabilities.append(softmax(a["V"] @ s2 + a["c"]))
    return np.array(probabilities)


FORWARD = {2: part_2, 4: part_4}


def ours(path):
    """P of each next word in SENTENCE, (T, C), by the model made of such a file."""
    model, params = load_tutorial(path)
    ids_TB = np.array(SENTENCE)[:, None]
    _, hs = model.apply(params, ids_TB, model.initial_state(params, 1))
    return jax.nn.softmax(model.logits(params, hs))[:, 0]


# Of P(word 1 | the sentence), as the two programs above gave it once.
GOLDEN = {2: 0.582799467, 4: 0.073747632}


@pytest.mark.parametrize("part", FORWARD)
def test_its_weights_give_its_probabilities(part, tmp_path):
    path, arrays = tmp_path / "weights.npz", arrays_of(part)
    np.savez(path, **arrays)
    theirs = FORWARD[part](arrays, SENTENCE)
    np.testing.assert_allclose(ours(path), theirs, atol=1e-6)
    assert theirs[-1, 1] == pytest.approx(GOLDEN[part], abs=1e-9)


def test_the_original_s_own_file_gives_its_probabilities():
    path = os.environ.get("TUTORIAL_WEIGHTS")
    if path is None:
        pytest.skip("TUTORIAL_WEIGHTS names no file that the tutorial's programs saved")
    arrays = dict(np.load(path))
    theirs = FORWARD[4 if "E" in arrays else 2](arrays, SENTENCE)
    np.testing.assert_allclose(ours(path), theirs, atol=1e-6)


@pytest.mark.parametrize(
    "change, said",
    [
        ({"U": None}, "has the arrays V, W"),
        ({"x": np.ones(1)}, "has the arrays U, V, W, x"),
        ({"V": np.ones((C, 2))}, r"V is \(7, 2\), but must be \(7, 3\)"),
        ({"W": np.ones(H)}, r"W is \(3,\), but must be \(3, 3\)"),
        ({"U": np.array([{}])}, "cannot be read"),
    ],
)
def test_another_file_is_refused_in_one_line(change, said, tmp_path):
    arrays = {k: v for k, v in {**arrays_of(2), **change}.items() if v is not None}
    path = tmp_path / "weights.npz"
    np.savez(path, **arrays)
    with pytest.raises(RunError, match=said):
        load_tutorial(path)


def test_a_file_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(RunError, match="is not there"):
        load_tutorial(tmp_path / "none.npz")

"""The weights that the tutorial's own programs saved (Britz 2015), as models here.

    Part 2, rnn_theano.py      U (H, C), V (C, H), W (H, H)
    Part 4, gru_theano.py      E (H, C), U and W (6, H, H), V (C, H), b (6, H), c (C,):
                               of each of two layers z, r and the candidate

Columns there are rows here, and numbers float32. The files hold no vocabulary: words
are numbers.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments.run.files import RunError
from experiments.run.weights import read_weights
from lm.config import ModelConfig
from lm.models.language_model import LanguageModel, build

ELMAN = {"U": "HC", "V": "CH", "W": "HH"}
GRU = {"E": "HC", "U": "6HH", "V": "CH", "W": "6HH", "b": "6H", "c": "C"}


def load_tutorial(path: str | Path) -> tuple[LanguageModel, Any]:
    """The model in a file of Part 2 or Part 4, and its parameters.

    Raises:
      RunError: where it cannot be read, or has other arrays.
    """
    config, params = tutorial_model(path, read_weights(path)[0])
    return build(config, len(params["softmax"]["w"].T)), params


def is_tutorial(arrays: Mapping[str, np.ndarray]) -> bool:
    """Whether arrays have the names that both parts' have."""
    return set(ELMAN) <= set(arrays)


def tutorial_model(
    path: str | Path, arrays: Mapping[str, np.ndarray]
) -> tuple[ModelConfig, Any]:
    """The arrays of such a file as a config and its parameters."""
    check(path, arrays)
    arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
    return gru_of(arrays) if "E" in arrays else elman_of(arrays)


def check(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Raises RunError where the arrays are not those of Part 2 or Part 4."""
    axes = GRU if "E" in arrays else ELMAN
    if set(arrays) != set(axes):
        raise RunError(
            f"{path} has the arrays {', '.join(sorted(arrays)) or 'none'}: the "
            "tutorial's have U, V, W (Part 2) or E, U, V, W, b, c (Part 4)"
        )
    sizes = {"6": 6}
    for name, letters in axes.items():
        shape = arrays[name].shape
        for letter, size in zip(letters, shape, strict=False):
            sizes.setdefault(letter, size)
        if list(shape) != [sizes.get(letter) for letter in letters]:
            wanted = ", ".join(str(sizes.get(x, x)) for x in letters)
            raise RunError(f"{path}: {name} is {shape}, but must be ({wanted})")


def elman_of(arrays: dict[str, np.ndarray]) -> tuple[ModelConfig, Any]:
    """Part 2: s = tanh(U[:, x] + W·s), o = softmax(V·s)."""
    U, V, W = (arrays[name] for name in "UVW")
    config = ModelConfig(cell="tanh", hidden=len(W), embedding=0, bias=False)
    return config, {"layers": ({"w_x": U.T, "w_h": W.T},), "softmax": {"w": V.T}}


def gru_of(arrays: dict[str, np.ndarray]) -> tuple[ModelConfig, Any]:
    """Part 4: an embedding and two GRUs, reset before the product, hard gates."""
    E, U, V, W, b, c = (arrays[name] for name in "EUVWbc")
    config = ModelConfig(cell="gru_tutorial", layers=2, hidden=len(E), embedding=len(E))

    def layer(first: int) -> dict[str, np.ndarray]:
        z, r, candidate = range(first, first + 3)
        packed = [r, z, candidate]  # as lm.cells.gru has them
        return {
            "w_x": np.concatenate([U[n].T for n in packed], axis=1),
            "w_h": np.concatenate([W[n].T for n in packed], axis=1),
            "b": np.concatenate([b[n] for n in packed]),
        }

    softmax = {"w": V.T, "b": c}
    return config, {
        "embedding": E.T,
        "layers": (layer(0), layer(3)),
        "softmax": softmax,
    }

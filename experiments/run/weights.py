"""Files of weights: named arrays in .safetensors, which is written, or .npz.

Neither can hold code. What is no array goes into the metadata of a safetensors file,
texts by name. https://huggingface.co/docs/safetensors describes the format.
"""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from experiments.run.files import RunError, reading, whole_or_nothing

ZIP, PICKLE = b"PK\x03\x04", b"\x80"


def read_weights(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """({name: array}, metadata) of a file, known by what is in it.

    Raises:
      RunError: where it cannot be read or is of another kind; a pickle is not read.
    """
    with reading(path):
        with open(path, "rb") as file:
            head = file.read(len(ZIP))
        if head == ZIP and _arrays_alone(path):
            with np.load(path, allow_pickle=False) as npz:
                return {name: npz[name] for name in npz.files}, {}
        if head == ZIP:
            raise RunError(_pickled(path))
        try:
            with safe_open(path, framework="numpy") as stored:
                arrays = {name: stored.get_tensor(name) for name in stored.keys()}
                return arrays, stored.metadata() or {}
        except SafetensorError as error:
            # A safetensors file begins with the length of its head: any byte.
            if head[:1] == PICKLE:
                raise RunError(_pickled(path)) from None
            raise RunError(
                f"{path} is neither a .safetensors nor an .npz file: {error}"
            ) from None


def _pickled(path: str | Path) -> str:
    return (
        f"{path} is a pickle, as torch.save writes: it can run any program and is not "
        "read; write the same by safetensors.torch.save_file(net.state_dict(), "
        "'FILE.safetensors')"
    )


def _arrays_alone(path: str | Path) -> bool:
    try:
        with zipfile.ZipFile(path) as file:
            return all(name.endswith(".npy") for name in file.namelist())
    except zipfile.BadZipFile:
        raise RunError(f"{path} cannot be read: it is a damaged .npz file") from None


def write_weights(
    path: str | Path, arrays: Mapping[str, Any], metadata: Mapping[str, str]
) -> None:
    """Writes a safetensors file, whole or nothing.

    Raises:
      RunError: where it cannot be written.
    """
    # safetensors copies memory as it lies: rows first, whatever a view says.
    plain = {name: np.array(array, order="C") for name, array in arrays.items()}
    with whole_or_nothing(path) as file:
        file.write(save(plain, dict(metadata)))


def named_leaves(tree: Any) -> dict[str, Any]:
    """{dotted path: leaf} of a tree: layers.0.w_h, softmax.b."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="."): leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def in_shape(path: str | Path, arrays: Mapping[str, np.ndarray], shapes: Any) -> Any:
    """Named arrays as a tree of the structure, shapes and types of `shapes`.

    Raises:
      RunError: where one is missing, too many, or of another shape.
    """
    wanted = named_leaves(shapes)
    for name in wanted | dict(arrays):
        have = arrays[name].shape if name in arrays else "not there"
        must = wanted[name].shape if name in wanted else "no part of the model"
        if have != must:
            raise RunError(f"{path}: {name} is {have}, but must be {must}")
    leaves = [arrays[n].astype(leaf.dtype) for n, leaf in wanted.items()]
    return jax.tree.unflatten(jax.tree.structure(shapes), leaves)

"""The same language model in other libraries' own parts, to be timed beside this one.

A peer is a file with `make(case, batch) -> a call that takes one training step (or
reads, or writes: `Case.does`) and waits for it`, and a line in `PEERS`. The model is a
`Case`'s: an embedding, stacked recurrent layers, a softmax. Peers on JAX share the
loss, the clipping and the optimizer of `lm`, so that only the model differs; others run
in a process of their own. `ours.py` has this project's own sides; `readings.py` has the
text of `data`, whose peers make batches. A peer that has not got a cell, or does no
such thing, raises `Absent`; a library that is not installed is left out and named. This
room may import `lm` and `data_pipeline`, and of experiments only what describes a
config and takes times.
"""

from collections.abc import Callable
from importlib import import_module, metadata
from importlib.util import find_spec
from typing import Any, NamedTuple

# suite: what a turn does
SUITES = {
    "lm": "training steps of language models",
    "bfloat16": "the same, the gradient's products in bfloat16",
    "recurrence": "training steps of little but the recurrence",
    "score": "windows read, their loss without a gradient",
    "generate": "texts written, token by token",
    "gradflow": "the loss's gradients in every state of a window",
    "data": "a text's batches on the host, an epoch of them",
}

# name: (the file here, the library that it needs, its package)
PEERS = {
    "flax": ("flax_nnx", "flax", "flax"),
    "equinox": ("equinox_cells", "equinox", "equinox"),
    "haiku": ("haiku_cores", "haiku", "dm-haiku"),
    "keras": ("keras_layers", "keras", "keras"),
    "torch": ("torch_apart", "torch", "torch"),
    "grain": ("grain_readings", "grain", "grain"),
}


class Peer(NamedTuple):
    """A library that is installed.

    make     (case, batch) -> a call that takes one training step and waits for it.
    version  of its package.
    """

    make: Callable[..., Callable[[], Any]]
    version: str


def installed() -> dict[str, Peer]:
    """Those that can be imported here."""
    return {
        name: Peer(import_module(f"{__name__}.{file}").make, metadata.version(package))
        for name, (file, library, package) in PEERS.items()
        if find_spec(library) is not None
    }

"""PyTorch in a process of its own."""

from functools import partial

from experiments.peers.apart import Apart

make = partial(Apart, "experiments.peers.torch_layers")

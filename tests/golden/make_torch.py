"""Writes torch_*.npz: two stacked layers of torch's own cells, values and gradients.

    pip install torch==2.13.0 safetensors==0.8.0 numpy
    python tests/golden/make_torch.py

The files hold, in float64: the inputs x (T, B, D), the start h0 (and c0) (2, B, H),
what the loss weighs the outputs by, every weight by torch's name, the outputs, the
last states, the loss and its gradient in all of them (grad_…). L = Σ on_y ⊙ y.

And torch_KIND.safetensors: state dicts alone, as torch users save them, float32; what
the network gives for an input stands in the metadata, as JSON.
"""

import json
import pathlib

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

T, B, D, H, LAYERS, V = 5, 2, 3, 4, 2, 7
KINDS = {
    "tanh": lambda: nn.RNN(D, H, LAYERS, nonlinearity="tanh"),
    "relu": lambda: nn.RNN(D, H, LAYERS, nonlinearity="relu"),
    "lstm": lambda: nn.LSTM(D, H, LAYERS),
    "gru": lambda: nn.GRU(D, H, LAYERS),
}


def golden(kind: str) -> dict[str, np.ndarray]:
    torch.manual_seed(1)
    torch.set_default_dtype(torch.float64)
    net = KINDS[kind]()
    x = torch.randn(T, B, D, requires_grad=True)
    start = [torch.randn(LAYERS, B, H, requires_grad=True)]
    if kind == "lstm":
        start.append(torch.randn(LAYERS, B, H, requires_grad=True))
    on_y = torch.randn(T, B, H)
    y, last = net(x, tuple(start) if kind == "lstm" else start[0])
    last = list(last) if kind == "lstm" else [last]
    loss = (on_y * y).sum()
    loss.backward()
    leaves = {"x": x, "h0": start[0], **dict(net.named_parameters())}
    leaves |= {"c0": start[1]} if kind == "lstm" else {}
    out = {"on_y": on_y, "y": y, "loss": loss, "h": last[0]}
    out |= {"c": last[1]} if kind == "lstm" else {}
    out |= leaves | {f"grad_{name}": leaf.grad for name, leaf in leaves.items()}
    return {name: np.asarray(value.detach()) for name, value in out.items()}


class LanguageModel(nn.Module):
    """The names and the layers of PyTorch's example `word_language_model`."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Embedding(V, D)
        self.rnn = nn.LSTM(D, H, LAYERS)
        self.decoder = nn.Linear(H, V)

    def forward(self, ids):
        hs, _ = self.rnn(self.encoder(ids))
        return self.decoder(hs)


SAVED = {
    "both_ways": lambda: nn.GRU(D, H, LAYERS, bidirectional=True),
    "no_bias": lambda: nn.LSTM(D, H, 3, bias=False),
    "language_model": LanguageModel,
}


def save(kind: str, path: pathlib.Path) -> None:
    torch.manual_seed(2)
    torch.set_default_dtype(torch.float32)
    net = SAVED[kind]()
    words = kind == "language_model"
    x = torch.randint(V, (T, B)) if words else torch.randn(T, B, D)
    y = net(x) if words else net(x)[0]
    shown = {"x": x.tolist(), "y": y.tolist()}
    save_file(net.state_dict(), path, {k: json.dumps(v) for k, v in shown.items()})


if __name__ == "__main__":
    here = pathlib.Path(__file__).parent
    for kind in KINDS:
        path = here / f"torch_{kind}.npz"
        np.savez_compressed(path, allow_pickle=False, **golden(kind))
    for kind in SAVED:
        save(kind, here / f"torch_{kind}.safetensors")

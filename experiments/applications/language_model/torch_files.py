"""Language models of torch's, by the names of PyTorch's example word_language_model.

    encoder.weight (V, D)      nn.Embedding; not there: words are read one-hot
    rnn.weight_ih_l0, …        nn.LSTM, nn.GRU or nn.RNN; any prefix but these two
    decoder.weight (V, H)      nn.Linear; not there: the embedding's (tied)
    decoder.bias (V,)

So a class with these three attributes loads what goes out, by `load_state_dict`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.run.files import RunError
from experiments.run.weights import read_weights
from lm.config import ConfigError, ModelConfig
from lm.models.language_model import LanguageModel, build
from lm.torch_weights import BLOCKS, NAME, TorchNet, from_torch, to_torch

ENCODER, RNN = "encoder.weight", "rnn."
DECODER, BIAS = "decoder.weight", "decoder.bias"


def load_torch(path: str | Path, relu: bool = False) -> tuple[LanguageModel, Any]:
    """The language model in a file of torch's weights, and its parameters.

    relu: its nn.RNN has nonlinearity="relu", which no weight says.

    Raises:
      RunError: where it cannot be read, or has other arrays.
    """
    config, params, words = torch_model(path, read_weights(path)[0], relu)
    return build(config, words), params


def torch_model(
    path: str | Path, arrays: Mapping[str, np.ndarray], relu: bool = False
) -> tuple[ModelConfig, Any, int]:
    """The arrays of such a file as a config, its parameters, and V."""
    arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
    try:
        net = from_torch(arrays, relu=relu)
    except ConfigError as error:
        raise RunError(f"{path}: {error}") from None
    if net.both_ways:
        raise RunError(f"{path}: a language model reads one way; this one reads both")
    others = {n: array for n, array in arrays.items() if not NAME.fullmatch(n)}
    words = _check(path, net, others)
    tied, bias = DECODER not in others, net.bias or BIAS in others
    config = ModelConfig(
        cell=net.cell,
        layers=len(net.params),
        hidden=net.hidden,
        embedding=net.d_in if ENCODER in others else 0,
        bias=bias,
        softmax="tied" if tied else "full",
    )
    softmax = {} if tied else {"w": others[DECODER].T}
    if bias:
        softmax["b"] = others.get(BIAS, np.zeros(words, np.float32))
    layers = tuple(_biased(net, layer) if bias else layer for layer in net.params)
    params = {"layers": layers, "softmax": softmax}
    if ENCODER in others:
        params["embedding"] = others[ENCODER]
    return config, params, words


def _check(path: str | Path, net: TorchNet, others: Mapping[str, np.ndarray]) -> int:
    """V; RunError unless what stands around the network fits it."""
    first = others.get(ENCODER, others.get(DECODER, np.empty((net.d_in, 0))))
    words = len(first)
    shapes = {ENCODER: (words, net.d_in), DECODER: (words, net.hidden), BIAS: (words,)}
    for name, array in others.items():
        if name not in shapes:
            known = ", ".join(shapes)
            raise RunError(f"{path}: {name} is not read; beside the network's: {known}")
        if array.shape != shapes[name]:
            raise RunError(f"{path}: {name} is {array.shape}, must be {shapes[name]}")
    if DECODER not in others and (ENCODER not in others or net.d_in != net.hidden):
        raise RunError(
            f"{path}: {DECODER} is not there, and no {ENCODER} of (V, {net.hidden}) "
            "that it could share"
        )
    if ENCODER not in others and words != net.d_in:
        raise RunError(
            f"{path}: {ENCODER} is not there, and the network reads vectors of "
            f"{net.d_in} numbers, where {words} words are written"
        )
    return words


def _biased(net: TorchNet, layer: Any) -> Any:
    """The parameters of a layer with biases, of 0 where there are none."""
    gates = BLOCKS[net.cell] * net.hidden
    zeros = {"b": np.zeros(gates, np.float32)}
    if net.cell == "gru":
        zeros["b_hn"] = np.zeros(net.hidden, np.float32)
    return zeros | layer


def torch_arrays(config: ModelConfig, params: Any) -> dict[str, np.ndarray]:
    """A model's parameters by torch's names: the inverse of `torch_model`.

    Raises:
      ConfigError: where torch's layers cannot give its outputs.
    """
    if config.residual or config.softmax == "tied_projected":
        raise ConfigError(
            "torch's nn.LSTM, nn.GRU and nn.RNN with a decoder have no residual "
            "connections (model.residual) and no projection before a tied softmax "
            "(model.softmax 'tied_projected'): leave --layout out"
        )
    params = jax.tree.map(np.asarray, params)
    arrays = to_torch(config.cell, params["layers"], RNN)
    softmax = params["softmax"]
    if config.embedding:
        arrays[ENCODER] = params["embedding"]
    arrays[DECODER] = softmax["w"].T if "w" in softmax else params["embedding"]
    return arrays | ({BIAS: softmax["b"]} if "b" in softmax else {})

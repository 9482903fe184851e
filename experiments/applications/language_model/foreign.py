"""Language models of other programs: their weights and their words as a run of ours.

There a text may begin and end with words of their own (SENTENCE_START, SENTENCE_END);
here `<eos>` is both, id 0: what is read of it is their start, what is guessed their
end. Id 1 is `<unk>`; the other words keep their order.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from data_pipeline.config import DataConfig
from data_pipeline.tokens import EOS, UNK
from data_pipeline.vocabulary import Vocabulary
from experiments.applications.language_model.torch_files import torch_model
from experiments.applications.language_model.tutorial_files import (
    is_tutorial,
    tutorial_model,
)
from experiments.config import Config
from experiments.run.files import RunError, reading
from lm.config import ModelConfig


class Words(NamedTuple):
    """The words of a model, and which of them are the marks.

    path                 a file, a word a line in the order of their rows.
    start, end, unknown  what is read before a text, guessed after it, and stands for
                         words that are not there.
    tokenizer            as in `DataConfig`.
    """

    path: Path
    start: str = EOS
    end: str = EOS
    unknown: str = UNK
    tokenizer: str = "whitespace"


def foreign(
    path: str | Path,
    arrays: Mapping[str, np.ndarray],
    words: Words,
    relu: bool = False,
) -> tuple[Config, Any, Vocabulary]:
    """A model of torch's or of the tutorial's, its rows in the order of our ids.

    relu: as in `torch_model`.

    Raises:
      RunError: where arrays and words do not go together.
    """
    if is_tutorial(arrays):
        model, params = tutorial_model(path, arrays)
        size = params["softmax"]["w"].shape[1]
    else:
        model, params, size = torch_model(path, arrays, relu)
    with reading(words.path):
        tokens = words.path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    if len(tokens) != size:
        raise RunError(
            f"{words.path} has {len(tokens):,} words, and {path} has {size:,}: give a "
            "line for each"
        )
    read, guessed = orders(words, tokens)
    kept = (EOS, UNK, *(tokens[row] for row in read[2:]))
    if len(set(kept)) != len(kept):
        raise RunError(f"{words.path}: a word stands there twice")
    vocabulary = Vocabulary(kept, (0,) * len(kept), words.tokenizer)
    model, params = reordered(model, params, read, guessed)
    data = DataConfig(tokenizer=words.tokenizer)
    return Config(name=Path(path).stem, data=data, model=model), params, vocabulary


def orders(words: Words, tokens: list[str]) -> tuple[list[int], list[int]]:
    """Which rows are read, and which are guessed, in the order of our ids."""
    marks = {"start": words.start, "end": words.end, "unknown": words.unknown}
    for name, mark in marks.items():
        if mark not in tokens:
            raise RunError(
                f"{words.path} has no line {mark!r}: say with --{name} which of its "
                "words that is"
            )
    rest = [row for row, token in enumerate(tokens) if token not in marks.values()]
    start, end, unknown = map(tokens.index, marks.values())
    return [start, unknown, *rest], [end, unknown, *rest]


def reordered(
    model: ModelConfig, params: Any, read: list[int], guessed: list[int]
) -> tuple[ModelConfig, Any]:
    """The parameters with these rows of what reads words and of what guesses them."""
    first, *above = params["layers"]
    softmax = {n: array[..., guessed] for n, array in params["softmax"].items()}
    embedding = params.get("embedding")
    if embedding is None:
        layers = ({**first, "w_x": first["w_x"][read]}, *above)
        return model, {"layers": layers, "softmax": softmax}
    if model.softmax == "tied" and read != guessed:
        softmax["w"] = embedding[guessed].T
        model = replace(model, softmax="full")
    layers = params["layers"]
    embedded = {"embedding": embedding[read], "layers": layers, "softmax": softmax}
    return model, embedded

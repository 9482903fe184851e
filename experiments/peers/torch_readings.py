"""PyTorch's `DataLoader` in this process, with `default_collate` and `pad_sequence`."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset, default_collate

from data_pipeline.types import TokenArray
from experiments.peers.case import Case
from experiments.peers.readings import sentence, text_of, window, windows_in


class Windows(Dataset):
    """Those of `experiments.peers.readings.window`, one by one."""

    def __init__(self, case: Case, text: TokenArray):
        self.case, self.text = case, text

    def __len__(self) -> int:
        return windows_in(self.case)

    def __getitem__(self, number: int) -> Any:
        return window(self.case, self.text, number)


class Sentences(Dataset):
    """A text's sentences, one by one."""

    def __init__(self, text: TokenArray):
        self.text = text

    def __len__(self) -> int:
        return len(self.text.starts) - 1

    def __getitem__(self, number: int) -> Any:
        return sentence(self.text, number)


def reader(case: Case) -> Callable[[], None]:
    """An epoch of batches."""
    text = text_of(case)
    text = text._replace(ids=text.ids.astype("int64"))
    if case.does == "windows":
        loader = DataLoader(Windows(case, text), case.lanes, collate_fn=stacked)
    else:
        loader = DataLoader(Sentences(text), case.lanes, True, collate_fn=padded)

    def read() -> None:
        for _ in loader:
            pass

    return read


def stacked(pairs: Sequence[Any]) -> tuple[Any, Any]:
    """(inputs, targets), time-major."""
    inputs, targets = default_collate(pairs)
    return inputs.T, targets.T


def padded(pairs: Sequence[Any]) -> tuple[Any, Any, Any]:
    """(inputs, targets, lengths), time-major."""
    inputs, targets = zip(*pairs, strict=True)
    lengths = torch.tensor([len(array) for array in targets])
    both = (pad_sequence(list(map(torch.from_numpy, x))) for x in (inputs, targets))
    return *both, lengths

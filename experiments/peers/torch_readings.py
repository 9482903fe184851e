"""PyTorch's `DataLoader` in this process, with `default_collate` and `pad_sequence`."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset, default_collate

from experiments.peers.case import Case
from experiments.peers.readings import pieces, text_of


class Pieces(Dataset):
    """Windows or sentences, one by one."""

    def __init__(self, size: int, one: Callable[[int], Any]):
        self.size, self.one = size, one

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, number: int) -> Any:
        return self.one(number)


def reader(case: Case) -> Callable[[], None]:
    """An epoch of batches."""
    text = text_of(case)
    text = text._replace(ids=text.ids.astype("int64"))
    windows = case.does == "windows"
    loader = DataLoader(
        Pieces(*pieces(case, text)),
        case.lanes,
        shuffle=not windows,
        collate_fn=stacked if windows else padded,
    )

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

"""PyTorch on the CPU, or on the GPU where it sees one: `nn.LSTM`, `nn.GRU`, `nn.RNN`,
eager, with as many threads as there are cores."""

import os
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from experiments.peers import torch_readings
from experiments.peers.case import READINGS, Absent, Case, cell_of
from lm.types import Batch

CELLS = {"lstm": nn.LSTM, "gru": nn.GRU, "tanh": nn.RNN}
ONE_STEP = {"lstm": nn.LSTMCell, "gru": nn.GRUCell, "tanh": nn.RNNCell}


class TorchLM(nn.Module):
    """Embedding (or one-hot), stacked layers in one module, softmax."""

    def __init__(self, case: Case):
        super().__init__()
        model = case.model
        self.vocabulary = case.vocabulary
        self.embed = (
            nn.Embedding(case.vocabulary, model.embedding) if model.embedding else None
        )
        width, hidden = case.widths[0]
        self.layers = cell_of(CELLS, case)(width, hidden, model.layers)
        self.softmax = nn.Linear(hidden, case.vocabulary)

    def inputs(self, ids_TB) -> Any:
        """Rows of the embedding, or one-hot rows."""
        if self.embed is None:
            return nn.functional.one_hot(ids_TB, self.vocabulary).float()
        return self.embed(ids_TB)

    def forward(self, ids_TB, carry) -> tuple[Any, Any]:
        """(carry, logits_TBV)."""
        hs, carry = self.layers(self.inputs(ids_TB), carry)
        return carry, self.softmax(hs)


def make(case: Case, batch: Batch) -> Callable[[], None]:
    """What the case does."""
    if case.does in READINGS:
        return torch_readings.reader(case)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = TorchLM(case).to(device)
    ids, targets = (
        torch.as_tensor(array).long().to(device)
        for array in (batch.inputs, batch.targets)
    )
    carry: Any = None
    act = MAKERS[case.does](case, model)

    def step() -> None:
        nonlocal carry
        carry = act(ids, targets, carry)
        if device == "cuda":
            torch.cuda.synchronize()

    return step


def training(case: Case, model: TorchLM) -> Callable[..., Any]:
    """Its training step: the gradient clipped by norm where the case clips, under
    autocast where it is to have products in bfloat16.

    Raises:
      Absent: another optimizer, another way of clipping.
    """
    optim = case.optim
    if optim.optimizer not in OPTIMIZERS or optim.clip == "value":
        raise Absent(f"{optim.optimizer}, clipped by {optim.clip}")
    rule = OPTIMIZERS[optim.optimizer](model.parameters(), lr=optim.learning_rate)
    mixed = optim.precision == "bfloat16"

    def act(ids, targets, carry) -> Any:
        rule.zero_grad()
        with torch.autocast(ids.device.type, torch.bfloat16, enabled=mixed):
            carry, loss = loss_of(case, model, ids, targets, carry)
        loss.backward()
        if optim.clip == "norm":
            nn.utils.clip_grad_norm_(model.parameters(), optim.clip_at)
        rule.step()
        return detached(carry)

    return act


def loss_of(case: Case, model: TorchLM, ids, targets, carry) -> tuple[Any, Any]:
    """(carry, loss) of a window."""
    carry, logits = model(ids, carry)
    return carry, judged(case, logits, targets)


def judged(case: Case, logits, targets) -> Any:
    """The loss of a window by its logits."""
    flat = logits.view(-1, case.vocabulary), targets.view(-1)
    total = nn.functional.cross_entropy(*flat, reduction="sum")
    return total / case.denominator


def reading(case: Case, model: TorchLM) -> Callable[..., Any]:
    """The loss of a window."""

    @torch.no_grad()
    def act(ids, targets, carry) -> Any:
        return loss_of(case, model, ids, targets, carry)[0]

    return act


def writing(case: Case, model: TorchLM) -> Callable[..., Any]:
    """A token drawn at each of the steps, in every lane."""

    @torch.no_grad()
    def act(ids, _targets, carry) -> Any:
        now = ids[:1]
        for _ in range(case.steps):
            carry, logits = model(now, carry)
            now = torch.multinomial(logits[0].softmax(-1), 1).T
        return carry

    return act


def tracing(case: Case, model: TorchLM) -> Callable[..., Any]:
    """The loss's gradients in the state after each step of each layer: a loop over
    PyTorch's own cells, since `nn.LSTM` hands out no state but the last."""
    cell = cell_of(ONE_STEP, case)
    device = model.softmax.weight.device
    layers = [cell(*widths).to(device) for widths in case.widths]

    def act(ids, targets, carry) -> Any:
        carry = carry or [None] * len(layers)
        states, tops = [], []
        for x in model.inputs(ids):
            for number, layer in enumerate(layers):
                state = carry[number] = layer(x, carry[number])
                parts = state if isinstance(state, tuple) else (state,)
                states += parts
                x = parts[0]
            tops.append(x)
        loss = judged(case, model.softmax(torch.stack(tops)), targets)
        # The last memory of an LSTM's top layer is read by nobody.
        torch.autograd.grad(loss, states, allow_unused=True)
        return [detached(state) for state in carry]

    return act


MAKERS = {"train": training, "read": reading, "write": writing, "trace": tracing}
OPTIMIZERS = {
    "sgd": torch.optim.SGD,
    "rmsprop": torch.optim.RMSprop,
    "adam": torch.optim.Adam,
}


def detached(carry: Any) -> Any:
    """No gradient goes back into the window before."""
    if isinstance(carry, tuple):
        return tuple(part.detach() for part in carry)
    return carry.detach()

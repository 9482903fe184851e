"""One training step of a tiny model in each of the ways that draw or tie something.

What `tests/golden/steps.npz` holds was written from commit d61f4e4, before `Layer`s:

    python -m tests.steps        writes it anew, from the code as it is

Initial leaves have to be the same to the bit, and leaves after a step to 1e-6, so that
checkpoints keep their names, keys and numbers whatever the code looks like.
"""

from pathlib import Path

import jax
import numpy as np

from lm.config import DropoutConfig, ModelConfig, OptimConfig
from lm.models.language_model import build
from lm.train import init_state, make_train_step, numbers_of
from lm.types import Batch

PATH = Path(__file__).parent / "golden" / "steps.npz"
T, B, V = 6, 3, 7

MODELS = {
    "plain": ModelConfig("lstm", 2, 4, 3),
    "one_hot": ModelConfig("tanh", 1, 4, 0, bias=False),
    "tied": ModelConfig("gru", 2, 4, 4, softmax="tied"),
    "tied_projected": ModelConfig("lstm", 1, 4, 3, softmax="tied_projected"),
    "residual": ModelConfig("gru_reset_before", 3, 4, 3, residual=True),
    "between": ModelConfig(
        "lstm", 2, 4, 3, dropout=DropoutConfig("between", 0.2, 0.3, 0.4)
    ),
    "locked": ModelConfig(
        "gru", 2, 4, 3, dropout=DropoutConfig("locked", 0.2, 0.3, 0.4)
    ),
    "embedding_dropout": ModelConfig(
        "lstm", 1, 4, 3, dropout=DropoutConfig(embedding=0.4)
    ),
    "weight_drop": ModelConfig("lstm", 2, 4, 3, dropout=DropoutConfig(weight=0.4)),
    "zoneout": ModelConfig("lstm", 2, 4, 3, dropout=DropoutConfig(zoneout=0.3)),
    "all": ModelConfig(
        "lstm",
        2,
        4,
        4,
        residual=True,
        softmax="tied",
        dropout=DropoutConfig("locked", 0.1, 0.2, 0.3, 0.1, 0.2, 0.1),
    ),
}
OPTIMS = {
    "truncated": OptimConfig("sgd", 0.5, truncation=2, clip_at=0.5),
    "omega": OptimConfig("sgd", 0.5, omega=2.0, clip_at=0.5),
}


def batch() -> Batch:
    """Two lanes in full, one with padding; the second starts anew."""
    ids = np.random.default_rng(0).integers(0, V, (T + 1, B)).astype(np.int32)
    mask = np.ones((T, B), np.float32)
    mask[4:, 2] = 0
    return Batch(ids[:-1], ids[1:], mask, np.array([False, True, False]))


def named(tree, prefix: str) -> dict[str, np.ndarray]:
    """Leaves by their paths."""
    flat = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {
        f"{prefix}/{jax.tree_util.keystr(path, simple=True, separator='.')}": np.array(
            leaf
        )
        for path, leaf in flat
    }


class Whole:
    """A config as `numbers_of` reads it."""

    def __init__(self, model: ModelConfig, optim: OptimConfig):
        self.model, self.optim = model, optim


def case(name: str) -> dict[str, np.ndarray]:
    """Initial leaves, and leaves, state and loss after two steps."""
    config = MODELS.get(name, MODELS["plain"])
    optim = OPTIMS.get(name, OptimConfig("adam", 0.05, clip_at=0.5))
    model, numbers = build(config, V), numbers_of(Whole(config, optim))
    state = init_state(model.problem, optim, numbers, jax.random.key(3), B)
    found = named(state.params, f"{name}/init")
    step = jax.jit(make_train_step(model.problem, optim))
    for number in range(2):
        key = jax.random.fold_in(jax.random.key(5), number)
        state, info = step(state, batch(), key, numbers)
    found |= named(state.params, f"{name}/after")
    found |= named(state.carry, f"{name}/carry")
    return found | {f"{name}/loss": np.array(info.loss)}


if __name__ == "__main__":
    cases = [case(name) for name in (*MODELS, *OPTIMS)]
    arrays = {name: array for found in cases for name, array in found.items()}
    np.savez_compressed(PATH, allow_pickle=False, **arrays)

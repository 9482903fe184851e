"""Members of a population against the same runs by themselves, in `lm`."""

import functools

import jax
import numpy as np
import pytest

from experiments.config import Config
from lm import population
from lm.config import DropoutConfig, InitConfig, ModelConfig, OptimConfig
from lm.models.language_model import build
from lm.problem import init_numbers
from lm.train import init_state, make_train_step, numbers_of
from lm.types import Batch
from tests.zoo import OF_EACH_FORM

V, T, B, H, MEMBERS = 23, 6, 3, 7, 3
# Each cell with other kinds of dropout, so that all are there and little is compiled.
DROPPED = {
    "tanh": {"kind": "between", "hidden": 0.2},
    "lstm": {"kind": "locked", "input": 0.1, "output": 0.3},
    "gru": {"weight": 0.1},
    "gru_reset_before": {"embedding": 0.1, "zoneout": 0.1},
    "min_gru": {"kind": "between", "output": 0.1},
}


def config_of(number: int, cell="lstm", dropout=None, layers=1, **optim) -> Config:
    """Member `number`: every number that may differ does."""
    rates = DROPPED[cell] if dropout is None else dropout
    fixed = ("kind", "zoneout")
    rates = {k: v if k in fixed else v * (1 + 0.3 * number) for k, v in rates.items()}
    rate = optim.pop("learning_rate", 0.1) * (1 + 0.5 * number)
    scale, gain = 1 - 0.1 * number, 0.8 + 0.1 * number
    return Config(
        seed=number,
        model=ModelConfig(
            cell=cell,
            layers=layers,
            hidden=H,
            embedding=5,
            init=InitConfig(scale=scale, gain=gain, forget_bias=number),
            dropout=DropoutConfig(**rates),
        ),
        optim=OptimConfig(
            **({"optimizer": "sgd"} | optim),
            learning_rate=rate,
            clip_at=0.2 + 0.1 * number,
            weight_decay=1e-3 * (1 + number),
        ),
    )


def configs(members=MEMBERS, **given) -> list[Config]:
    return [config_of(number, **given) for number in range(members)]


def text(seed: int, steps: int, length: int = T) -> list[Batch]:
    ids = np.random.default_rng(seed).integers(0, V, (steps, length + 1, B), np.int32)
    mask, fresh = np.ones((length, B), np.float32), np.zeros(B, bool)
    return [Batch(window[:-1], window[1:], mask, fresh) for window in ids]


def stacked(trees):
    """Trees of host arrays or numbers, in the float width in use, behind an axis N."""

    def leaf(*values):
        array = np.stack(values)
        return array.astype(jax.numpy.zeros(0).dtype) if array.dtype == float else array

    return jax.tree.map(leaf, *trees)


@functools.cache
def solo_step(config: ModelConfig, optim: OptimConfig):
    """One for all members: their numbers are its arguments, as in the training loop."""
    return jax.jit(make_train_step(build(config, V).problem, optim))


def alone(config: Config, batches: list[Batch], shared: Config | None = None):
    """(state, losses) of a run by itself, with the compiled step of `shared`."""
    key, shared = jax.random.key(config.seed), shared or config
    model, optim = build(config.model, V), config.optim
    state, losses = init_state(model.problem, optim, numbers_of(config), key, B), []
    step = solo_step(shared.model, shared.optim)
    numbers = population.member(stacked([numbers_of(config)]), 0)
    for batch in batches:
        state, info = step(state, batch, key, numbers)
        losses.append(float(info.loss.total))
    return jax.device_get(state), losses


@functools.cache
def shared_init(config: ModelConfig, optim: OptimConfig):
    problem = build(config, V).problem
    return jax.jit(population.make_population_init(problem, optim, B))


@functools.cache
def shared_step(config: ModelConfig, optim: OptimConfig):
    return jax.jit(population.make_population_step(build(config, V).problem, optim))


class Together:
    """A population: its compiled step and the arguments of its members."""

    def __init__(self, members: list[Config]):
        model, optim = members[0].model, members[0].optim
        self.keys = jax.vmap(jax.random.key)(np.array([c.seed for c in members]))
        self.numbers = stacked([numbers_of(c) for c in members])
        inits = stacked([init_numbers(c.model.init) for c in members])
        self.states = shared_init(model, optim)(self.keys, inits, self.numbers)
        self.step = shared_step(model, optim)

    def run(self, texts: list[list[Batch]]):
        """(states_N, losses_NS), each member reading its own text."""
        states, losses = self.states, []
        for at_once in zip(*texts, strict=True):
            states, info = self.step(states, stacked(at_once), self.keys, self.numbers)
            losses.append(info.loss.total)
        return jax.device_get(states), np.stack(losses, axis=1)


def difference(got, want) -> float:
    """The largest ‖got − want‖/‖want‖ of any leaf."""

    def leaf(g, w):
        norm = np.linalg.norm(np.asarray(w, float))
        return np.linalg.norm(np.asarray(g, float) - w) / max(norm, 1e-30)

    return max(jax.tree.leaves(jax.tree.map(leaf, got, want)))


def worst(members: list[Config], texts) -> tuple[float, float]:
    """Largest differences of parameters and losses, population against solo."""
    states, losses = Together(members).run(texts)
    of_params, of_losses = [], []
    for number, (config, own) in enumerate(zip(members, texts, strict=True)):
        state, wanted = alone(config, own, members[0])
        got = jax.tree.map(lambda x, n=number: x[n], states)
        both = (got.params, got.average), (state.params, state.average)
        of_params.append(difference(*both))
        of_losses.append(np.max(np.abs(losses[number] / np.array(wanted) - 1)))
    return max(of_params), max(of_losses)


@pytest.mark.parametrize("cell", OF_EACH_FORM)
def test_a_member_equals_its_solo_run_over_100_steps(cell):
    """Seed, text, learning rate, clip norm, decay, dropout and init all differ."""
    members = configs(cell=cell, layers=2 if cell == "tanh" else 1)
    params, losses = worst(members, [text(number, 100) for number in range(MEMBERS)])
    assert params < 1e-6 and losses < 1e-6


def test_nan_in_one_member_stops_nobody():
    """The others keep every bit."""
    texts = [text(number, 5) for number in range(MEMBERS)]
    sound, broken = Together(configs()), Together(configs())
    rates = np.array(broken.numbers.learning_rate)
    rates[1] = 1e38
    broken.numbers = broken.numbers._replace(learning_rate=rates)
    (want, _), (got, losses) = sound.run(texts), broken.run(texts)
    assert not np.isfinite(losses[1]).all() and np.isfinite(losses[[0, 2]]).all()
    for g, w in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_array_equal(g[[0, 2]], w[[0, 2]])


OPTIMIZERS = {
    "momentum": {"learning_rate": 0.05, "clip": "value", "average": "tail"},
    "adamw": {"learning_rate": 0.003, "average": "ema", "reduction": "time_sum"},
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_difference_is_rounding(optimizer, x64):
    """In double precision it is gone, whatever the optimizer."""
    given = {"optimizer": optimizer} | OPTIMIZERS[optimizer]
    members = configs(dropout={}, **given)
    params, losses = worst(members, [text(n, 20) for n in range(MEMBERS)])
    assert params < 1e-12 and losses < 1e-12

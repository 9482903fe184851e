"""Members of a population against the same runs by themselves, in `lm`."""

import dataclasses
import functools
import json
import os
import subprocess
import sys

import jax
import numpy as np
import pytest

from experiments.config import Config
from lm import population
from lm.cells import CELLS
from lm.config import DropoutConfig, InitConfig, ModelConfig, OptimConfig
from lm.model import build
from lm.train import init_state, make_eval_step, make_train_step, numbers_of
from lm.types import Batch
from tests.zoo import OF_EACH_FORM

V, T, B, H, MEMBERS = 23, 6, 3, 7, 3
# Each cell with other kinds of dropout, so that all are there and little is compiled.
DROPPED = {
    "tanh": {"kind": "between", "input": 0.1, "hidden": 0.2},
    "lstm": {"kind": "locked", "output": 0.3},
    "gru": {"weight": 0.1},
    "gru_reset_before": {"embedding": 0.1, "zoneout": 0.1},
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
    return jax.jit(make_train_step(build(config, V), optim))


def alone(config: Config, batches: list[Batch], shared: Config | None = None):
    """(state, losses) of a run by itself, with the compiled step of `shared`."""
    key, shared = jax.random.key(config.seed), shared or config
    model, optim = build(config.model, V), config.optim
    state, losses = init_state(model, optim, numbers_of(config), key, B), []
    step = solo_step(shared.model, shared.optim)
    numbers = population.member(stacked([numbers_of(config)]), 0)
    for batch in batches:
        state, info = step(state, batch, key, numbers)
        losses.append(float(info.loss.nats))
    return jax.device_get(state), losses


@functools.cache
def shared_step(config: ModelConfig, optim: OptimConfig):
    return jax.jit(population.make_population_step(build(config, V), optim))


class Together:
    """A population: its compiled step and the arguments of its members."""

    def __init__(self, members: list[Config]):
        model, optim = members[0].model, members[0].optim
        self.keys = jax.vmap(jax.random.key)(np.array([c.seed for c in members]))
        self.numbers = stacked([numbers_of(c) for c in members])
        inits = stacked([population.init_numbers(c.model.init) for c in members])
        self.init = population.make_population_init(model, optim, V, B)
        self.states = self.init(self.keys, inits, self.numbers)
        self.step = shared_step(model, optim)

    def run(self, texts: list[list[Batch]]):
        """(states_N, losses_NS), each member reading its own text."""
        states, losses = self.states, []
        for at_once in zip(*texts, strict=True):
            states, info = self.step(states, stacked(at_once), self.keys, self.numbers)
            losses.append(info.loss.nats)
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
    "rmsprop": {"learning_rate": 0.003, "reduction": "time_sum"},
    "adamw": {"learning_rate": 0.003, "average": "ema"},
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_difference_is_rounding(optimizer, x64):
    """In double precision it is gone, whatever the optimizer."""
    given = {"optimizer": optimizer} | OPTIMIZERS[optimizer]
    members = configs(dropout={}, **given)
    params, losses = worst(members, [text(n, 20) for n in range(MEMBERS)])
    assert params < 1e-12 and losses < 1e-12


INITS = [
    InitConfig(weights="fan_in"),
    InitConfig(weights="uniform", recurrent="orthogonal"),
    InitConfig(weights="normal", recurrent="identity"),
    InitConfig(weights="glorot"),
]


@pytest.mark.parametrize("cell", CELLS)
def test_traced_init_equals_the_configs(cell):
    """Scale, gain and forget bias as arguments, against each config's own."""
    base = INITS[list(CELLS).index(cell) % len(INITS)]
    values = [(1.0, 1.0, 1.0), (0.3, 1.5, -2.0), (2.0, 0.0, 0.5)]
    members = []
    for scale, gain, bias in values:
        init = dataclasses.replace(base, scale=scale, gain=gain, forget_bias=bias)
        model = ModelConfig(cell=cell, hidden=H, embedding=5, init=init)
        members.append(Config(model=model))
    states = Together(members).states
    for n, config in enumerate(members):
        state, _ = alone(config, [])
        assert difference(population.member(states, n).params, state.params) < 2e-7
    w_h = np.asarray(states.params["layers"][0]["w_h"])
    assert w_h[0].any() and not w_h[2].any() and not np.allclose(w_h[0], w_h[1])


def test_evaluation_equals_solo():
    together, (batch,) = Together(configs(dropout={"zoneout": 0.2})), text(9, 1)
    states, model = (
        together.states,
        build(config_of(0, dropout={"zoneout": 0.2}).model, V),
    )
    evaluate, one = population.make_population_eval(model), make_eval_step(model)
    got = jax.jit(evaluate)(states.params, states.carry, batch)
    one = jax.jit(one)
    for n in range(MEMBERS):
        member = population.member(states, n)
        want = one(member.params, member.carry, batch)
        assert difference(population.member(got, n), want) < 1e-6


def test_padding_changes_nothing(x64):
    """Sentences of two lengths, padded to the longer: as in their own length."""
    texts = [text(n, 4, length) for n, length in enumerate((3, T))]
    texts = [[b._replace(fresh=np.ones(B, bool)) for b in own] for own in texts]

    def padded(batch: Batch) -> Batch:
        more = ((0, T - len(batch.targets)), (0, 0))
        inputs, targets, mask, fresh = batch
        return Batch(
            np.pad(inputs, more), np.pad(targets, more), np.pad(mask, more), fresh
        )

    members = configs(2, dropout={"kind": "between", "output": 0.2, "zoneout": 0.1})
    states, losses = Together(members).run([[padded(b) for b in t] for t in texts])
    for number, (config, own) in enumerate(zip(members, texts, strict=True)):
        state, wanted = alone(config, own, members[0])
        got = jax.tree.map(lambda x, n=number: x[n], states)
        assert difference(got.params, state.params) < 1e-12
        np.testing.assert_allclose(losses[number], wanted, rtol=1e-12)


def test_members_come_and_go():
    members = stacked([{"a": np.full(2, n), "b": n} for n in range(3)])
    members = population.with_member(members, 1, {"a": np.full(2, 7), "b": 7})
    assert population.member(members, 1)["b"] == 7
    other = jax.tree.map(lambda x: -x, members)
    chosen = population.choose(np.array([False, True, False]), other, members)
    np.testing.assert_array_equal(chosen["b"], [0, -7, 2])
    np.testing.assert_array_equal(chosen["a"], [[0, 0], [-7, -7], [2, 2]])


SHARDED = """
import json, jax
jax.config.update("jax_num_cpu_devices", 2)
from tests.test_population import *
members, texts = configs(4, dropout={}), [text(n, 10) for n in range(4)]
together = Together(members)
want, _ = together.run(texts)
mesh = population.make_mesh(jax.devices())
split = lambda f: jax.jit(population.over_devices(f, mesh))
together.step = split(together.step)
got, _ = together.run(texts)
batch = stacked([own[0] for own in texts])
given = together.states, batch, together.keys, together.numbers
code = together.step.lower(*given).compile().as_text()
placed = together.step(*given)[0].params["softmax"]["w"].sharding
print(json.dumps({
    "difference": difference(got, want),
    "devices": len(placed.device_set),
    "whole": placed.is_fully_replicated,
    "talk": [word for word in ("all-", "collective") if word in code],
}))
"""


def test_over_two_devices():
    """The members are dealt out, nobody talks, and the numbers stay."""
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    words = [sys.executable, "-c", SHARDED]
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.pop("difference") < 1e-6
    assert found == {"devices": 2, "whole": False, "talk": []}

"""The parts of a population: traced numbers of init, evaluation, padding, devices."""

import dataclasses
import json
import os
import subprocess
import sys

import jax
import numpy as np
import pytest

from experiments.config import Config
from lm import population
from lm.config import InitConfig, ModelConfig
from lm.models.language_model import build
from lm.train import make_eval_step
from lm.types import Batch
from tests.test_population import (
    MEMBERS,
    B,
    H,
    T,
    Together,
    V,
    alone,
    config_of,
    configs,
    difference,
    stacked,
    text,
)
from tests.zoo import OF_EACH_FORM

INITS = [
    InitConfig(weights="fan_in"),
    InitConfig(weights="uniform", recurrent="orthogonal"),
    InitConfig(weights="normal", recurrent="identity"),
    InitConfig(weights="glorot"),
]


@pytest.mark.parametrize("cell", OF_EACH_FORM)
def test_traced_init_equals_the_configs(cell):
    """Scale, gain and forget bias as arguments, against each config's own."""
    base = INITS[OF_EACH_FORM.index(cell) % len(INITS)]
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
    layer = states.params["layers"][0]
    if "w_h" in layer:  # a linear cell has none
        w_h = np.asarray(layer["w_h"])
        assert w_h[0].any() and not w_h[2].any() and not np.allclose(w_h[0], w_h[1])


def test_evaluation_equals_solo():
    together, (batch,) = Together(configs(dropout={"zoneout": 0.2})), text(9, 1)
    states, model = (
        together.states,
        build(config_of(0, dropout={"zoneout": 0.2}).model, V),
    )
    evaluate, one = (
        population.make_population_eval(model.problem),
        make_eval_step(model.problem),
    )
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

    members = configs(2, dropout={"zoneout": 0.1})
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
from tests.test_population_parts import *
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

"""Optimizers against optax used plainly, and schedules by hand numbers."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lm.config import ConfigError, OptimConfig
from lm.dropout import Rates
from lm.optim import (
    Hyperparameters,
    ScheduleState,
    after_epoch,
    after_evaluation,
    clipper,
    learning_rate,
    optimizer,
)
from tests.zoo import close

RNG = np.random.default_rng(0)
PARAMS = {
    "w": RNG.normal(size=(3, 4)).astype(np.float32),
    "b": (RNG.normal(size=4).astype(np.float32),),
}
GRADS = [
    jax.tree.map(lambda p: RNG.normal(size=p.shape).astype(np.float32), PARAMS)
    for _ in range(4)
]
RATE = 0.1


def numbers(config: OptimConfig) -> Hyperparameters:
    rate, clip_at, decay = config.learning_rate, config.clip_at, config.weight_decay
    return Hyperparameters(rate, clip_at, decay, Rates())


def after_four(chain: optax.GradientTransformation):
    params, state = PARAMS, chain.init(PARAMS)
    for grads in GRADS:
        updates, state = chain.update(grads, state, params)
        params = optax.apply_updates(params, updates)
    return params


L2 = optax.add_decayed_weights(0.01)
PLAIN = {
    "sgd": ({}, optax.sgd(RATE)),
    "momentum": ({"momentum": 0.8}, optax.sgd(RATE, momentum=0.8)),
    "rmsprop": ({"decay": 0.8, "eps": 1e-3}, optax.rmsprop(RATE, 0.8, 1e-3)),
    "adam": ({"b1": 0.8, "b2": 0.9, "eps": 1e-4}, optax.adam(RATE, 0.8, 0.9, 1e-4)),
    "adamw": (
        {"weight_decay": 0.3},
        optax.adamw(RATE, weight_decay=0.3),
    ),
    "sgd L2": ({"weight_decay": 0.01}, optax.chain(L2, optax.sgd(RATE))),
    "adam L2": ({"weight_decay": 0.01}, optax.chain(L2, optax.adam(RATE))),
    "momentum L2": (
        {"weight_decay": 0.01},
        optax.chain(L2, optax.sgd(RATE, momentum=0.9)),
    ),
}


@pytest.mark.parametrize("name", PLAIN)
def test_optax_used_plainly(name):
    options, plain = PLAIN[name]
    config = OptimConfig(optimizer=name.split()[0], learning_rate=RATE, **options)
    got = after_four(optimizer(config, numbers(config)))
    close(got, after_four(plain), rtol=1e-6, atol=1e-7)
    assert np.abs(got["w"] - PARAMS["w"]).max() > 0.01


def test_rmsprop_is_the_tutorials():
    """m ← d·m + (1 − d)·g²; w ← w − rate·g/√(m + 1e-6), as in Part 4."""
    config = OptimConfig("rmsprop", learning_rate=RATE, decay=0.9, eps=1e-6)
    w, m = PARAMS["w"].astype(float), 0.0
    for grads in GRADS:
        m = 0.9 * m + 0.1 * grads["w"] ** 2
        w = w - RATE * grads["w"] / np.sqrt(m + 1e-6)
    close(after_four(optimizer(config, numbers(config)))["w"], w, rtol=1e-5)


def test_adam_by_hand():
    """The first step is rate·sign(g) but for eps."""
    config = OptimConfig("adam", learning_rate=RATE)
    chain = optimizer(config, numbers(config))
    updates, _ = chain.update(GRADS[0], chain.init(PARAMS), PARAMS)
    close(updates, jax.tree.map(lambda g: -RATE * np.sign(g), GRADS[0]), rtol=1e-4)


@pytest.mark.parametrize("name", ["sgd", "momentum", "rmsprop", "adam", "adamw"])
def test_numbers_may_be_traced(name):
    """The kinds are static, the numbers arguments: one compiled step for all."""
    config = OptimConfig(optimizer=name, weight_decay=0.1)
    state = optimizer(config, numbers(config)).init(PARAMS)

    @jax.jit
    def update(rate, decay):
        traced = Hyperparameters(rate, 5.0, decay, Rates())
        return optimizer(config, traced).update(GRADS[0], state, PARAMS)[0]

    for rate, decay in ((0.1, 0.2), (0.3, 0.0)):
        fixed = numbers(config)._replace(learning_rate=rate, weight_decay=decay)
        want, _ = optimizer(config, fixed).update(GRADS[0], state, PARAMS)
        close(update(rate, decay), want, rtol=1e-5)
    assert update._cache_size() == 1


class TestClipping:
    GRADS = {"w": np.array([[3.0, -4.0]], np.float32), "b": np.zeros(2, np.float32)}

    def clip(self, kind, at):
        chain = clipper(OptimConfig(clip=kind), at)
        return chain.update(self.GRADS, chain.init(self.GRADS))[0]

    def test_by_norm(self):
        close(self.clip("norm", 2.5)["w"], np.array([[1.5, -2.0]]))
        close(self.clip("norm", 5.5), self.GRADS)
        assert float(optax.tree.norm(self.clip("norm", 0.1))) == pytest.approx(0.1)

    def test_by_value(self):
        close(self.clip("value", 3.5)["w"], np.array([[3.0, -3.5]]))

    def test_none(self):
        close(self.clip("none", 0.1), self.GRADS)

    @pytest.mark.parametrize("kind", ["norm", "value", "none"])
    def test_traced(self, kind):
        close(jax.jit(lambda at: self.clip(kind, at))(2.5), self.clip(kind, 2.5))


def scales(config, losses):
    """The schedule's factor after each epoch of (training, validation) losses."""
    state, out = ScheduleState(), []
    for epoch, (train, valid) in enumerate(losses, 1):
        state = after_evaluation(config, state, valid)
        state = after_epoch(config, state, epoch, train)
        out.append(state.scale)
    return out


class TestSchedules:
    def test_constant(self):
        assert scales(OptimConfig(), [(5, 5), (6, 6), (7, 7)]) == [1, 1, 1]

    def test_halve_on_rise(self):
        """The tutorial's: compared with the epoch before, not with the best."""
        config = OptimConfig(schedule="halve_on_rise")
        train = [5.0, 4.0, 4.5, 4.4, 4.4, 4.6]
        got = scales(config, [(t, 9) for t in train])
        assert got == [1, 1, 0.5, 0.5, 0.5, 0.25]

    def test_step_decay(self):
        """Zaremba small: four epochs at 1, the fifth at ½, the sixth at ¼."""
        config = OptimConfig(schedule="step_decay", hold=4, factor=0.5)
        assert scales(config, [(5, 5)] * 7) == [1, 1, 1, 0.5, 0.25, 0.125, 0.0625]

    def test_plateau(self):
        config = OptimConfig(schedule="plateau", factor=0.25, patience=2)
        valid = [5.0, 4.0, 4.1, 4.2, 3.9, 4.0, 3.95, 3.8]
        got = scales(config, [(1, v) for v in valid])
        assert got == [1, 1, 1, 0.25, 0.25, 0.25, 0.0625, 0.0625]

    def test_floor(self):
        config = OptimConfig(schedule="step_decay", hold=1, factor=0.1, floor=0.05)
        assert scales(config, [(5, 5)] * 3) == pytest.approx([0.1, 0.05, 0.05])

    def test_state_is_plain_numbers_that_json_keeps(self):
        state = after_evaluation(OptimConfig(), ScheduleState(), 4.0)
        state = after_epoch(OptimConfig(), state, 1, 5.0)
        assert all(type(x) in (int, float) for x in state)
        assert state == ScheduleState(1.0, 5.0, 4.0, 0)

    def test_warmup(self):
        config = OptimConfig(learning_rate=2.0, warmup=4)
        got = [learning_rate(config, ScheduleState(), s, 10) for s in range(6)]
        assert got == [0.5, 1.0, 1.5, 2.0, 2.0, 2.0]

    def test_cosine(self):
        config = OptimConfig(learning_rate=2.0, schedule="cosine", floor=0.1, warmup=2)
        at = [learning_rate(config, ScheduleState(), s, 12) for s in (1, 2, 7, 12, 20)]
        assert at == pytest.approx([2.0, 2.0, 1.1, 0.2, 0.2])
        quarter = learning_rate(OptimConfig("sgd", 1.0, schedule="cosine"), *NOW)
        assert quarter == pytest.approx(0.5 * (1 + math.sqrt(0.5)))

    def test_scale_multiplies(self):
        config = OptimConfig(learning_rate=2.0)
        assert learning_rate(config, ScheduleState(scale=0.25), 3, 10) == 0.5


NOW = (ScheduleState(), 25, 100)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ({"optimizer": "adma"}, "did you mean 'adam'"),
        ({"learning_rate": float("nan")}, "optim.learning_rate is nan: must be above"),
        ({"learning_rate": 0}, "must be above 0"),
        ({"b2": 1.0}, "optim.b2 is 1.0"),
        ({"clip_at": -1.0}, "optim.clip_at is -1.0"),
        ({"schedule": "cosin"}, "did you mean 'cosine'"),
        ({"patience": 0}, "optim.patience is 0"),
        ({"factor": 2.0}, "optim.factor is 2.0"),
    ],
)
def test_a_bad_config_says_what_it_would_take(bad, why):
    with pytest.raises(ConfigError, match=why):
        OptimConfig(**bad)


def test_updates_keep_the_dtype():
    params = jax.tree.map(lambda p: jnp.asarray(p, jnp.bfloat16), PARAMS)
    grads = jax.tree.map(lambda p: jnp.asarray(p, jnp.bfloat16), GRADS[0])
    for name in ("sgd", "adam"):
        config = OptimConfig(optimizer=name)
        chain = optimizer(config, numbers(config))
        updates, _ = chain.update(grads, chain.init(params), params)
        assert all(u.dtype == jnp.bfloat16 for u in jax.tree.leaves(updates))

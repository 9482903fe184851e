"""This project's own sides of a case: as it is, with the norms that a training step
measures besides, and its plain twin."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from experiments.config import Config
from experiments.peers import readings
from experiments.peers.case import READINGS, Case, writing
from experiments.results.timing import Stepper
from lm.generate import Filters, make_text_sampler
from lm.models.language_model import build
from lm.precision import in_precision
from lm.train import init_state, make_loss, make_train_step, numbers_of
from lm.types import Batch, Context
from lm.unroll import Driver, scanned

OURS, NORMS, SCAN = "ours", "with_norms", "plain_scan"


def own_sides(case: Case, batch: Batch) -> dict[str, Callable[[], Any]]:
    """{OURS, NORMS where it trains, SCAN}: what makes them. Peers' training steps give
    no norms, nor does OURS: with NORMS it is a step as it is taken. The twin unrolls by
    `lax.scan` and autodiff; where text is written, it draws each token after a step of
    its own. Of batches there is OURS alone."""
    if case.does in READINGS:
        return {OURS: partial(readings.reader, case)}
    make = MAKERS[case.does]
    sides = {OURS: partial(make, case, batch, None)}
    if case.does == "train":
        sides[NORMS] = partial(trainer, case, batch, None, norms=True)
    return sides | {SCAN: partial(make, case, batch, scanned)}


def stepper(state: Any, step: Callable[..., Any], *given: Any) -> Stepper:
    """Jit-compiled, its state donated."""
    state = jax.tree.map(jnp.copy, state)
    return Stepper(state, jax.jit(step, donate_argnums=0), *jax.device_put(given))


def trainer(
    case: Case, batch: Batch, driver: Driver | None, norms: bool = False
) -> Stepper:
    """A training step, and whether it gives its `StepInfo`."""
    numbers = numbers_of(Config(model=case.model, optim=case.optim))
    problem = build(case.model, case.vocabulary).problem
    gradient = None
    if driver is not None:
        loss = partial(make_loss(problem, case.optim), context=Context(driver=driver))
        gradient = in_precision(case.optim.precision, jax.grad(loss, has_aux=True))
    key = jax.random.key(0)
    state = init_state(problem, case.optim, numbers, key, case.lanes)
    step = make_train_step(problem, case.optim, gradient)
    alone = step if norms else lambda *given: (step(*given)[0], None)
    return stepper(state, alone, batch, key, numbers)


def reader(case: Case, batch: Batch, driver: Driver | None) -> Stepper:
    """The loss of a window, the state carried on."""
    model = build(case.model, case.vocabulary)
    params = model.init(jax.random.key(0))
    loss = make_loss(model.problem, case.optim)

    def step(carry, params, batch):
        context = Context(driver=driver)
        value, (carry, _) = loss(params, carry, batch, None, None, context)
        return carry, value

    return stepper(model.initial_state(params, case.lanes), step, params, batch)


def writer(case: Case, batch: Batch, driver: Driver | None) -> Stepper:
    """Text."""
    model = build(case.model, case.vocabulary)
    params = model.init(jax.random.key(0))
    if driver is not None:

        def apply(params, ids_TB, state):
            state, logits_BV = model.step(params, state, ids_TB[0])
            return state, logits_BV[None]

        carry = model.initial_state(params, case.lanes)
        return stepper(*writing(case, params, carry, apply), batch)
    write = make_text_sampler(model, Filters(), case.steps)

    def step(key, params, batch):
        key, own = jax.random.split(key)
        return key, write(params, own, batch.inputs[:1])

    return stepper(jax.random.key(0), step, params, batch)


def tracer(case: Case, batch: Batch, driver: Driver | None) -> Stepper:
    """∂L/∂state after each step of each layer, as `lm.gradflow` has it."""
    model = build(case.model, case.vocabulary)
    problem, params = model.problem, model.init(jax.random.key(0))

    def step(carry, params, batch):
        def loss(taps):
            context = Context(driver=driver, taps=taps)
            after, total = problem.loss(params, carry, batch, context)
            return total.total / case.denominator, after

        gradients, after = jax.grad(loss, has_aux=True)(problem.taps(params, batch))
        return after, gradients

    return stepper(model.initial_state(params, case.lanes), step, params, batch)


MAKERS = {"train": trainer, "read": reader, "write": writer, "trace": tracer}

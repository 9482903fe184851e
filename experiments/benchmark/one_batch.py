"""A case, or any plan, as a step on one batch: what a run of it would take again and
again, on one device or on several."""

from typing import Any

import jax

from experiments.applications.application import Prepared
from experiments.applications.language_model.application import APPLICATION
from experiments.benchmark.common import batch_for
from experiments.config import Config
from experiments.peers.case import Case
from experiments.run.record import Text
from experiments.train.executor import One
from experiments.train.plan import Plan
from lm.models.language_model import build
from lm.train import numbers_of


def stepper(plan: Plan, executor: One):
    """One step of a case, on an executor, as something to call and time."""
    executor.restart([0], [plan.config])
    (block,) = executor.fetch((((0, 0, 0),),))
    numbers = executor.place([[numbers_of(plan.config)]])
    return lambda: jax.block_until_ready(executor.step(block, numbers))


def plan_of_case(case: Case) -> Plan:
    """A case as something to train, on one batch of random text."""
    reading = Once(batch_for(case))
    application = APPLICATION._replace(
        problem=lambda *_: build(case.model, case.vocabulary).problem,
        reading=lambda *_: reading,
        probed=lambda *_: None,
    )
    prepared = Prepared(Text("random", "", ""), {})
    return Plan(Config(model=case.model, optim=case.optim), application, prepared)


class Once:
    """A reading of one batch."""

    steps = 1

    def __init__(self, batch: Any):
        self._batch, self.batch = batch, batch.targets.shape[1]

    def batch_at(self, seed: int, epoch: int, step: int) -> Any:
        """The batch."""
        return self._batch

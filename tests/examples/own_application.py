"""An application of one's own: is a noisy sequence above zero on the whole?"""

import sys
from collections import namedtuple
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, NamedTuple

import jax.numpy as jnp
import numpy as np

from experiments.applications import APPLICATIONS
from experiments.applications.application import Application, Prepared
from experiments.config import RunConfig, TrainConfig
from experiments.console.command_line import Options
from experiments.run.record import Text
from experiments.train.session import train
from lm.config import ModelConfig
from lm.models.stacks import stack_of
from lm.problem import Problem, taps_of
from lm.types import Context, Sum

T, B, SPLITS = 20, 32, ("train", "valid", "test")
Signs = namedtuple("Signs", "inputs sign")  # (T, B, 1), and (B,) of −1 or 1


@dataclass(frozen=True)
class SignConfig(RunConfig):
    application: ClassVar[str] = "sign"
    model: ModelConfig = field(default_factory=lambda: ModelConfig("gru", hidden=16))


class Noise(NamedTuple):  # a reading
    split: int
    batch: int = B
    steps: int = 60

    def batch_at(self, seed, epoch, step):
        draw = np.random.default_rng([seed, epoch, step, self.split]).normal
        xs_TB1 = draw(size=(T, B, 1)).astype(np.float32)
        return Signs(xs_TB1, np.sign(xs_TB1.sum((0, 2))))


def problem(config, prepared):
    layer = stack_of(config.model)
    parts = tuple(part.under("", "layers") for part in layer.parts)

    def loss(params, carry, batch, context=Context()):  # the hinge loss
        state = layer.initial_state(params["layers"], B)
        _, hs_TBH = layer.apply(params["layers"], batch.inputs, state, context)
        wrong_B = jnp.maximum(0, 1 - batch.sign * (hs_TBH[-1] @ params["w"]))
        return carry, Sum(wrong_B.sum(), jnp.float32(B))

    return Problem(
        init=lambda key, _: {"layers": layer.init(key, 1), "w": jnp.ones(layer.d_out)},
        carry=lambda params, lanes: (),
        loss=loss,
        evaluate=lambda params, carry, batch: (
            (),
            {"loss": loss(params, (), batch)[1]},
        ),
        taps=lambda params, batch: taps_of(parts, params, T, B),
        parts=parts,
        focus=lambda batch: (batch, {p.name: jnp.full(B, T - 1) for p in parts}),
    )


APPLICATIONS["sign"] = Application(
    config=SignConfig,
    told=lambda config: config.model.cell,
    prepare=lambda config: Prepared(Text("noise", "1", ""), {}),
    restore=lambda config, directory: Prepared(Text("noise", "1", ""), {}),
    problem=problem,
    reading=lambda c, prepared, split, evaluation=0: Noise(SPLITS.index(split)),
    probed=lambda config, prepared: Noise(1).batch_at(0, 0, 0),
)
if __name__ == "__main__":
    train(SignConfig(train=TrainConfig(epochs=3)), Options(Path(sys.argv[1])))

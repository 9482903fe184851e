"""Training steps of whole populations beside those of a single run, and whether a
member's numbers are those of its solo run."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmark import Benchmark
from experiments.benchmark.common import random_batch
from experiments.config import Config
from experiments.results.markdown import markdown
from experiments.results.rows import Row
from experiments.results.timing import Stepper, interleaved, milliseconds, ratio
from experiments.train.executor import as_floats
from experiments.train.keys import init_key
from experiments.train.plan import fresh_state
from lm.config import DropoutConfig, ModelConfig, OptimConfig
from lm.models.language_model import build
from lm.population import (
    make_population_init,
    make_population_step,
    member,
)
from lm.problem import init_numbers
from lm.train import make_train_step, numbers_of

VOCABULARY, COMPARED, STEPS = 65, 4, 100
RUN = 1000  # steps of the run in "runs per minute"


def measure() -> dict[str, Any]:
    """Steps of 1, 8, 64 and 256 members on an accelerator; on a CPU, where nothing is
    to be gained, of 1, 4 and 16 smaller ones."""
    small = jax.default_backend() == "cpu"
    sizes, hidden, window = (
        ((1, 4, 16), 32, 16) if small else ((1, 8, 64, 256), 128, 50)
    )
    sides = {f"{n}_members": together(hidden, window, n)[0] for n in sizes}
    sides["solo"] = alone(hidden, window, 0)
    seconds = interleaved(sides, rounds=15)
    found: dict[str, Any] = {
        "hidden": hidden,
        "window": window,
        "lanes": window,
        "solo_step_ms": milliseconds(seconds["solo"]),
    }
    for n in sizes:
        step = seconds[f"{n}_members"]
        per_second = n / float(sorted(step)[len(step) // 2])
        found[f"{n}_members"] = {
            "step_ms": milliseconds(step),
            "member_steps_per_second": round(per_second, 1),
            "runs_per_minute": round(60 * per_second / RUN, 2),
            "times_solo": ratio(n * seconds["solo"], step),
        }
    return found | {"largest_difference": difference(hidden, window)}


def config_of(hidden: int, number: int) -> Config:
    """Run `number`: a character LSTM with dropout and numbers of its own. The learning
    rates are those at which training does not amplify rounding exponentially."""
    dropout = DropoutConfig(kind="between", output=0.1 + 0.05 * (number % 4))
    return Config(
        seed=number,
        model=ModelConfig(hidden=hidden, embedding=0, dropout=dropout),
        optim=OptimConfig(learning_rate=2.5e-4 * (1 + number % 4), clip_at=1 + number),
    )


def text(window: int) -> Any:
    """Random characters on the device: `window` lanes of as many tokens."""
    return jax.device_put(random_batch(VOCABULARY, window, window))


def alone(hidden: int, window: int, number: int) -> Any:
    """A solo run, one step a call."""
    config = config_of(hidden, number)
    model = build(config.model, VOCABULARY)
    step = jax.jit(make_train_step(model.problem, config.optim), donate_argnums=0)
    state = fresh_state(model.problem, config, window)
    return Stepper(
        state, step, text(window), jax.random.key(number), numbers_of(config)
    )


def together(hidden: int, window: int, members: int) -> tuple[Any, list[Config]]:
    """A population, one step of everyone a call; and what its members are."""
    configs = [config_of(hidden, number) for number in range(members)]
    model, optim = configs[0].model, configs[0].optim
    keys = jax.vmap(jax.random.key)(np.arange(members, dtype=np.uint32))
    inits = as_floats([init_numbers(c.model.init) for c in configs])
    numbers = jax.device_put(as_floats([numbers_of(c) for c in configs]))
    problem = build(model, VOCABULARY).problem
    init = jax.jit(make_population_init(problem, optim, window))
    step = make_population_step(problem, optim)
    batch = jax.tree.map(
        lambda x: jnp.broadcast_to(x, (members, *x.shape)), text(window)
    )
    states = init(jax.vmap(init_key)(keys), inits, numbers)
    return Stepper(
        states, jax.jit(step, donate_argnums=0), batch, keys, numbers
    ), configs


def difference(hidden: int, window: int) -> float:
    """Over 100 steps: the largest ‖member − solo‖/‖solo‖ of any parameter."""
    everyone, configs = together(hidden, window, COMPARED)
    for _ in range(STEPS):
        everyone()
    worst = 0.0
    for number in range(len(configs)):
        one = alone(hidden, window, number)
        for _ in range(STEPS):
            one()
        pair = jax.device_get((member(everyone.state, number).params, one.state.params))
        for got, want in zip(*map(jax.tree.leaves, pair), strict=True):
            gap = np.linalg.norm(got - want) / max(np.linalg.norm(want), 1e-30)
            worst = max(worst, float(gap))
    return worst


def table(rows: Sequence[Row]) -> str:
    """Runs a minute by the number of runs that step together."""
    lines = [
        (key.partition("_")[0], found["runs_per_minute"], f"{found['times_solo']:.2f}×")
        for key, found in rows[0]["metrics"].items()
        if key.endswith("_members")
    ]
    return markdown(("runs together", "runs a minute", "a solo run's steps"), lines)


BENCHMARK = Benchmark(measure, table)

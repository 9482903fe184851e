"""The softmax over many words, all logits at once and a block of words at a time: what
a step takes of memory, and how long it takes."""

from collections.abc import Callable, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp

from experiments.benchmark import Benchmark
from experiments.benchmark.common import work_space
from experiments.results.markdown import markdown, measured
from experiments.results.rows import Row
from experiments.results.timing import interleaved, milliseconds, ratio
from lm.config import ModelConfig, OptimConfig
from lm.losses import cross_entropy, token_nats
from lm.models.language_model import build, make_problem
from lm.softmax import fitting_width, token_nats_of
from lm.train import count_parameters, init_state, make_train_step, numbers_of
from lm.types import Array, Batch
from lm.words import softmax_logits

HIDDEN, WORDS, STEPS, LANES = 256, 250_000, 64, 256
# (tokens, words) of the timings: two of more logits than are held at once, and a step
# of Zaremba's medium model, which has few of them.
SIZES = ((2_048, 32_768), (512, 250_000), (700, 10_000))
ROUNDS = 9


def measure() -> dict[str, Any]:
    """{"hidden", "vocabulary", "tokens", "megabytes", "milliseconds"}: see `memory` and
    `times`; of both kinds of matrix."""
    model = ModelConfig("lstm", hidden=HIDDEN, embedding=HIDDEN)
    found = memory(model, WORDS, STEPS, LANES)
    print(found, flush=True)
    timed = {}
    for tied in (False, True):
        for tokens, words in SIZES:
            name = f"{tokens:,} × {words:,}{', tied' if tied else ''}"
            timed[name] = times(tokens, words, HIDDEN, tied, ROUNDS)
            print(name, timed[name], flush=True)
    return {
        "hidden": HIDDEN,
        "vocabulary": WORDS,
        "tokens": STEPS * LANES,
        "megabytes": found,
        "milliseconds": timed,
    }


def memory(
    config: ModelConfig, vocabulary: int, steps: int, lanes: int
) -> dict[str, float]:
    """Work space in MB by XLA's own plan, beyond parameters, gradients and optimizer
    (SGD): {"whole", "blocks"} of a training step, and the parameters' "gradient"."""
    optim = OptimConfig(optimizer="sgd")
    numbers = numbers_of(SimpleNamespace(model=config, optim=optim))
    model = build(config, vocabulary)
    whole = make_problem(model, None, measure=cross_entropy)
    found = {}
    for name, problem in {"whole": whole, "blocks": model.problem}.items():
        start = partial(init_state, problem, optim, numbers, batch=lanes)
        state = jax.eval_shape(start, jax.random.key(0))
        gradient = 4 * count_parameters(state.params)
        step = jax.jit(make_train_step(problem, optim), donate_argnums=0)
        given = state, batch_shapes(steps, lanes), jax.random.key(0), numbers
        found |= {"gradient": gradient / 1e6}
        found[name] = (work_space(step.lower(*given).compile()) - gradient) / 1e6
    return {name: round(size, 1) for name, size in found.items()}


def batch_shapes(steps: int, lanes: int) -> Batch:
    """The shapes of a window of text."""
    ids = jax.ShapeDtypeStruct((steps, lanes), jnp.int32)
    mask = jax.ShapeDtypeStruct((steps, lanes), jnp.float32)
    return Batch(ids, ids, mask, jax.ShapeDtypeStruct((lanes,), bool))


def times(
    tokens: int, vocabulary: int, hidden: int, tied: bool, rounds: int
) -> dict[str, Any]:
    """The loss of random states and its gradient, the two taking turns: ms of "whole"
    and "blocks", and "blocks_over_whole"."""
    keys = jax.random.split(jax.random.key(0), 3)
    shape = (vocabulary, hidden) if tied else (hidden, vocabulary)
    given = (
        jax.random.normal(keys[0], (tokens, hidden)),
        jax.random.normal(keys[1], shape) / hidden**0.5,
        jnp.zeros(vocabulary),
    )
    targets = jax.random.randint(keys[2], (tokens,), 0, vocabulary)
    sides = {
        name: gradient_of(nats, given, targets)
        for name, nats in nats_of(tokens, vocabulary, tied).items()
    }
    seconds = interleaved(sides, rounds, warm=1)
    found: dict[str, Any] = {name: milliseconds(s) for name, s in seconds.items()}
    return found | {"blocks_over_whole": ratio(seconds["blocks"], seconds["whole"])}


def nats_of(tokens: int, vocabulary: int, tied: bool) -> dict[str, Callable]:
    """{name: (hs, w, b, targets) -> nats} of both ways."""
    width = fitting_width(tokens, vocabulary)

    def whole(hs: Array, w: Array, b: Array, targets: Array) -> Array:
        own, table = ({}, w) if tied else ({"w": w}, None)
        return token_nats(softmax_logits(own | {"b": b}, table, hs), targets)

    def blocks(hs: Array, w: Array, b: Array, targets: Array) -> Array:
        return token_nats_of(hs, w, b, targets, width, tied)

    return {"whole": whole, "blocks": blocks}


def gradient_of(nats: Callable, given: tuple, targets: Array) -> Callable[[], Any]:
    """What waits for the value and the gradient of the mean."""

    def loss(given):
        return jnp.mean(nats(*given, targets))

    compiled = jax.jit(jax.value_and_grad(loss))
    return lambda: jax.block_until_ready(compiled(given))


def table(rows: Sequence[Row]) -> str:
    """Megabytes and times of both ways."""
    (row,) = rows
    found = row["metrics"]
    size = found["megabytes"]
    lines: list[tuple[str, ...]] = [
        (
            f"MB of a step, {found['tokens']:,} × {found['vocabulary']:,}",
            f"{size['whole']:,.0f}",
            f"{size['blocks']:,.0f}",
            f"{size['blocks'] / size['whole']:.3f}×",
        )
    ]
    for name, own in found["milliseconds"].items():
        times = [f"{own[side]['minimum']:,.0f}" for side in ("whole", "blocks")]
        lines.append((f"ms, {name}", *times, f"{own['blocks_over_whole']:.2f}×"))
    head = ("tokens × words", "all logits at once", "in blocks", "blocks / all at once")
    return f"{markdown(head, lines)}\n{measured(row)}\n"


BENCHMARK = Benchmark(measure, table)

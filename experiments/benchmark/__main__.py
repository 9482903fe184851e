"""Measure; each benchmark writes one row to experiments/results/.

    tutorial     the tutorial's set-up: its loss before training, its ten epochs over
                 100 sentences, and its SGD step on one core
    steps        training steps against the plain-scan twin and Flax's nnx.RNN,
                 interleaved: Zaremba small and medium, 2×128 and 2×512 characters
    sampling     tokens/s of one sample from a 1×128 character LSTM
    instruments  seconds of every instrument of lm.gradflow at H 256, T 100, B 32
    probe        a probe of the gradient flow against the training step, and its share
                 of the training time at the default interval
    devices      training steps by 1 and 2 CPU devices, and by 2 processes
    population   steps of 1, 8, 64 and 256 runs in one compiled step against solo steps,
                 and the largest difference of a member from its solo run

Run it on a quiet machine. Medians, minima and paired ratios are given.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from experiments.benchmark.devices import devices
from experiments.benchmark.instruments import instruments
from experiments.benchmark.population import population
from experiments.benchmark.probe import probe
from experiments.config import load_named
from experiments.console.command_line import fail
from lm.config import ConfigError, ModelConfig, OptimConfig, unknown


def tutorial() -> dict[str, Any]:
    """Britz 2015, Part 2, on sentences of the embedded corpus."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    import jax
    import numpy as np

    from data_pipeline.batches import batches_for
    from data_pipeline.dataset import prepare
    from data_pipeline.types import TokenArray
    from experiments.benchmark.timing import Stepper, interleaved, milliseconds
    from experiments.train.loop import fresh_state
    from lm.model import build
    from lm.optim import ScheduleState, after_epoch
    from lm.train import make_eval_step, make_train_step, numbers_of

    config = load_named("tutorial_part2")
    dataset = prepare(config.data)
    model = build(config.model, dataset.vocabulary.size)
    train = dataset.splits["train"]
    starts = train.starts[:101]
    first = TokenArray(train.ids[: starts[-1]], starts)
    batches = batches_for(config.data, first)
    in_order = batches_for(config.data, first, evaluation=True)
    step = jax.jit(make_train_step(model, config.optim), donate_argnums=0)
    evaluate = jax.jit(make_eval_step(model))
    key = jax.random.key(config.seed)

    def mean_loss(params) -> float:
        carry, total = model.initial_state(params, 1), np.zeros(2)
        for number in range(in_order.steps):
            _, found = evaluate(params, carry, in_order.batch_at(0, 0, number))
            total += [float(found.nats), float(found.count)]
        return total[0] / total[1]

    state = fresh_state(model, config, 1)
    losses, schedule = [mean_loss(state.params)], ScheduleState()
    for epoch in range(10):
        rate = config.optim.learning_rate * schedule.scale
        for number in range(batches.steps):
            batch = batches.batch_at(config.seed, epoch, number)
            state, _ = step(state, batch, key, numbers_of(config, rate))
        losses.append(mean_loss(state.params))
        schedule = after_epoch(config.optim, schedule, epoch + 1, losses[-1], 0.0)

    lengths = np.array([batches.batch_at(0, 0, n).mask.sum() for n in range(100)])
    typical = int(np.argsort(lengths)[50])
    given = (batches.batch_at(0, 0, typical), key, numbers_of(config))
    seconds = interleaved({"step": Stepper(state, step, *given)}, rounds=50)["step"]
    return {
        "vocabulary": dataset.vocabulary.size,
        "initial_loss": losses[0],
        "ln_V": float(np.log(dataset.vocabulary.size)),
        "losses": [round(loss, 6) for loss in losses],
        "sentence_tokens": int(lengths[typical]),
        "sgd_step_ms": milliseconds(seconds),
    }


def step_cases() -> dict[str, tuple[int, int, int, ModelConfig, OptimConfig]]:
    """name: (V, T, B, model, optimizer) of the four training steps."""
    zaremba = {size: load_named(f"zaremba_{size}") for size in ("small", "medium")}
    cases = {
        f"zaremba_{size}": (10_000, c.data.window, c.data.batch, c.model, c.optim)
        for size, c in zaremba.items()
    }
    for hidden in (128, 512):
        model = ModelConfig(cell="lstm", layers=2, hidden=hidden, embedding=0)
        cases[f"characters_2x{hidden}"] = (65, 50, 50, model, OptimConfig())
    return cases


def steps() -> dict[str, Any]:
    """Training steps against their twins."""
    from experiments.benchmark.timing import interleaved, milliseconds, ratio

    found = {}
    for name, case in step_cases().items():
        sides = step_sides(*case)
        seconds = interleaved(sides, rounds=9 if "medium" in name else 15)
        ours = seconds["ours"]
        found[name] = {side: milliseconds(s) for side, s in seconds.items()}
        found[name]["tokens_per_second"] = round(case[1] * case[2] / float(ours.min()))
        for side in ("plain_scan", "flax"):
            found[name][f"{side}_over_ours"] = ratio(seconds[side], ours)
        print(name, found[name], flush=True)
    return found


def step_sides(vocabulary: int, window: int, lanes: int, config, optim):
    """{"ours", "plain_scan", "flax"}: one training step each, on random text.

    Dropout is off in all three, since Flax's model has none.
    """
    import dataclasses

    import jax
    import jax.numpy as jnp
    import numpy as np

    from experiments.benchmark.peers import make_peer
    from experiments.benchmark.timing import Stepper
    from experiments.config import Config
    from lm.config import DropoutConfig
    from lm.model import build
    from lm.train import init_state, make_train_step, numbers_of
    from lm.types import Batch
    from lm.unroll import scanned

    config = dataclasses.replace(config, dropout=DropoutConfig())
    numbers = numbers_of(Config(model=config, optim=optim))
    ids = np.random.default_rng(0).integers(0, vocabulary, (window + 1, lanes))
    ids = ids.astype(np.int32)
    mask, fresh = np.ones((window, lanes), np.float32), np.zeros(lanes, bool)
    batch = jax.device_put(Batch(ids[:-1], ids[1:], mask, fresh))
    key = jax.random.key(0)
    model = build(config, vocabulary)

    def plain(*given, **options):
        return model.apply(*given, **{**options, "driver": scanned})

    sides = {}
    for name, variant in (("ours", model), ("plain_scan", model._replace(apply=plain))):
        state = jax.tree.map(jnp.copy, init_state(variant, optim, numbers, key, lanes))
        step = jax.jit(make_train_step(variant, optim), donate_argnums=0)
        sides[name] = Stepper(state, step, batch, key, numbers)
    state, step = make_peer(config, optim, numbers, vocabulary, lanes)
    sides["flax"] = Stepper(state, step, batch, numbers)
    return sides


def sampling() -> dict[str, Any]:
    """One sample of 20,000 characters."""
    import jax
    import jax.numpy as jnp

    from experiments.benchmark.timing import interleaved
    from lm.generate import Filters, make_sampler
    from lm.model import build

    tokens = 20_000
    model = build(ModelConfig(cell="lstm", hidden=128, embedding=0), 65)
    params = model.init(jax.random.key(0))
    sample = jax.jit(make_sampler(model, Filters(), tokens))
    prompt = jnp.zeros((1, 1), jnp.int32)

    def call():
        jax.block_until_ready(sample(params, jax.random.key(1), prompt))

    seconds = interleaved({"sample": call}, rounds=9)["sample"]
    rates = tokens / seconds
    return {
        "tokens": tokens,
        "tokens_per_second": {
            "median": round(float(sorted(rates)[len(rates) // 2])),
            "maximum": round(float(rates.max())),
        },
    }


BENCHMARKS: dict[str, Callable[[], dict[str, Any]]] = {
    "tutorial": tutorial,
    "steps": steps,
    "sampling": sampling,
    "instruments": instruments,
    "probe": probe,
    "devices": devices,
    "population": population,
}


def main(argv: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.benchmark",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", help=", ".join(BENCHMARKS))
    parser.add_argument("--dry", action="store_true", help="print, write no row")
    given = parser.parse_args(sys.argv[1:] if argv is None else argv)
    if given.name not in BENCHMARKS:
        fail(ConfigError(unknown("benchmark", given.name, BENCHMARKS)))
    from experiments.results.rows import write_row
    from experiments.train.allocator import keep_memory

    keep_memory()
    began = time.perf_counter()
    metrics = BENCHMARKS[given.name]()
    seconds = round(time.perf_counter() - began, 1)
    print(metrics)
    if not given.dry:
        command = f"python -m experiments.benchmark {given.name}"
        write_row(f"benchmark_{given.name}", command, seconds, metrics)


if __name__ == "__main__":
    main()

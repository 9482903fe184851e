"""`experiments.train --dry-run`: what a run would be, without running it."""

import json
import time

import jax

from data_pipeline.batches import batches_for
from data_pipeline.dataset import prepare
from experiments.config import Config, to_dict
from experiments.train.engine import make_engine
from experiments.train.loop import fresh_state
from experiments.train.position import planned_steps
from lm.layers import count_parameters
from lm.model import build
from lm.train import numbers_of


def dry_run(config: Config) -> None:
    """Prints config, data, parameters and memory; compiles one step; leaves."""
    print(json.dumps(to_dict(config), indent=2))
    dataset = prepare(config.data)
    batches = batches_for(config.data, dataset.splits["train"])
    model = build(config.model, dataset.vocabulary.size)
    state = jax.eval_shape(lambda: fresh_state(model, config, batches.batch))
    engine = make_engine(config)
    step = engine.train_step(model, config.optim)
    batch = batches.batch_at(config.seed, 0, 0)
    started = time.perf_counter()
    lowered = step.lower(state, batch, jax.random.key(0), numbers_of(config))
    memory = lowered.compile().memory_analysis()
    seconds = time.perf_counter() - started
    facts = dataset.corpus.facts
    steps = planned_steps(config, batches.steps)
    rows = {
        "corpus": f"{dataset.corpus.name}, {dataset.corpus.fingerprint[:12]}",
        "tokens": ", ".join(f"{k} {v:,}" for k, v in facts["tokens"].items()),
        "vocabulary": f"{dataset.vocabulary.size:,}",
        "steps": f"{batches.steps:,} an epoch, at most {steps:,}",
        "parameters": f"{count_parameters(state.params):,}",
        "state": f"{_bytes(state) / 2**20:.1f} MiB (parameters, optimizer, carry)",
        "work space": f"{memory.temp_size_in_bytes / 2**20:.1f} MiB a step"
        if memory
        else "unknown",
        "device": f"{engine.devices} × {jax.devices()[0].device_kind}",
        "compiled": f"in {seconds:.1f} s",
    }
    for name, value in rows.items():
        print(f"{name:12}{value}")


def _bytes(tree) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))

"""Memory tasks (data_pipeline.tasks), bound to a network that labels sequences."""

import hashlib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from data_pipeline.batches import Reading
from data_pipeline.errors import DataError
from data_pipeline.tasks import TASKS, Task
from data_pipeline.tasks.reading import STREAMS, Sequences
from experiments.applications.application import Application, Prepared, Restored
from experiments.applications.lines import Line, read_lines
from experiments.applications.memory.config import MemoryConfig, TaskConfig
from experiments.run.record import Text
from lm.config import ConfigError, unknown
from lm.heads import Head, classification, regression
from lm.models.labelling import build_labelling
from lm.models.language_model import LanguageModel
from lm.problem import Problem
from lm.types import Batch, Cell

TOLERANCE = math.sqrt(0.04)


def prepare(config: MemoryConfig) -> Prepared:
    """The task, checked; its sequences are made as they are read.

    Raises:
      ConfigError: for a task that there is not, or one that cannot be that short.
    """
    data = config.data
    if data.task not in TASKS:
        raise ConfigError(unknown("data.task", data.task, TASKS))
    task = TASKS[data.task]
    floor, optimum = task.floor(data.length), task.optimum(data.length)
    beside = f"{floor:.4f} would be the loss without memory"
    steps = task.length(data.length)
    return Prepared(
        text=Text(f"{data.task}, T {data.length}", fingerprint(task, data), ""),
        splits={name: name for name in STREAMS},
        size=data.updates * steps * data.batch,
        told=f"fresh sequences of {steps} steps, {data.batch} a batch",
        facts={"optimum": {"loss": optimum}, "without_memory": floor},
        remarks={name: beside for name in ("valid", "test")},
        source=task,
    )


def fingerprint(task: Task, data: TaskConfig) -> str:
    """A digest of a few sequences, which the code that makes them decides.

    Raises:
      ConfigError: where there is none of this length.
    """
    try:
        batch = task.sample(jax.random.key(0), 4, data.length)
    except ValueError as error:
        raise ConfigError(f"data.length is {data.length}: {error}") from None
    found = hashlib.sha256(f"{data.task} {data.length}".encode())
    for field in batch:
        found.update(np.ascontiguousarray(field).tobytes())
    return found.hexdigest()


def restore(config: MemoryConfig, directory: Path) -> Prepared:
    """The task is always there."""
    return prepare(config)


def head_of(task: Task) -> Head:
    """Cross-entropy, right by the largest logit; or squared error, right below .04 (as
    the published code of Pascanu 2013 has it for adding and multiplication)."""
    return classification() if task.classes else regression(TOLERANCE)


def model_of(
    config: MemoryConfig, task: Task, cell: Cell | None = None
) -> LanguageModel:
    """The network with an output for the task. cell: in place of the registry's."""
    sizes = task.symbols or 2, task.classes or 1
    return build_labelling(config.model, *sizes, head_of(task), cell, task.asks)


def problem(config: MemoryConfig, prepared: Prepared) -> Problem:
    """What is trained; it scores "loss" and "solved"."""
    return model_of(config, prepared.source).problem


def reading(
    config: MemoryConfig, prepared: Prepared, split: str, evaluation: bool = False
) -> Reading:
    """Fresh sequences; an evaluation's are the same each time."""
    data, task = config.data, prepared.source
    if not evaluation:
        return Sequences(task, data.length, data.batch, split, steps=data.updates)
    count = data.examined if split == "test" else data.looked
    lanes = min(config.train.eval_batch, count)
    return Sequences(task, data.length, lanes, split, count=count)


def probed(config: MemoryConfig, prepared: Prepared) -> Batch:
    """Sequences of an evaluation; lag 0 is the last answer of each."""
    data, lanes = config.data, config.gradflow.lanes
    whole = Sequences(prepared.source, data.length, lanes, "valid", count=lanes)
    return whole.batch_at(0, 0, 0)


def told(config: MemoryConfig) -> str:
    """The network in a few words."""
    model = config.model
    return f"{model.layers}-layer {model.kind}, {model.hidden} units"


def reached(config: MemoryConfig, scores: Mapping[str, float]) -> bool:
    """Whether few enough sequences are wrong to end here."""
    enough = config.data.enough
    return bool(enough) and scores["solved"] >= enough


def example(restored: Restored) -> Batch:
    """One sequence."""
    config, task = restored.config, restored.prepared.source
    return task.sample(jax.random.key(0), 1, config.data.length)


def predict(restored: Restored, path: str) -> Iterator[dict[str, Any]]:
    """The answer after each line of a file: a class with its probability, or a number.

    A line is a sequence: a task's symbols, numbers from 0, between blanks; or pairs
    VALUE,MARKER where it has real numbers.

    Raises:
      DataError: for a line that is no such sequence.
    """
    task = restored.prepared.source
    model = model_of(restored.config, task)
    for line in read_lines(path, option="--input"):
        inputs_T = parsed(task, line)
        state = model.initial_state(restored.params, 1)
        _, hs = model.apply(restored.params, inputs_T[:, None], state)
        outputs_C = model.logits(restored.params, hs[-1, 0])
        if not task.classes:
            yield {"text": line.text, "answer": float(outputs_C[0])}
            continue
        answer = int(jnp.argmax(outputs_C))
        probability = float(jax.nn.softmax(outputs_C)[answer])
        yield {"text": line.text, "answer": answer, "probability": probability}


def parsed(task: Task, line: Line) -> np.ndarray:
    """A line as inputs: (T,) symbols or (T, 2) numbers; DataError where it is none."""
    words = line.text.split()
    try:
        if not task.symbols:
            pairs = [[float(x) for x in word.split(",")] for word in words]
            return np.array(pairs, np.float32).reshape(len(words) or -1, 2)
        ids_T = np.array([int(word) for word in words], np.int32)
        if len(ids_T) and 0 <= ids_T.min() and ids_T.max() < task.symbols:
            return ids_T
    except ValueError:
        pass
    wanted = (
        f"whole numbers from 0 to {task.symbols - 1}"
        if task.symbols
        else "pairs VALUE,MARKER"
    )
    raise DataError(
        f"{line.place} is no sequence of the task {task.name}: {line.text[:40]!r}; "
        f"give {wanted}, with blanks between them"
    )


APPLICATION = Application(
    config=MemoryConfig,
    told=told,
    prepare=prepare,
    restore=restore,
    problem=problem,
    reading=reading,
    probed=probed,
    reached=reached,
    example=example,
    predict=predict,
)

"""Sequences that follow a rule, bound to a network that labels each step."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from data_pipeline.batches import Reading
from data_pipeline.errors import DataError
from data_pipeline.rules import RULES, SCALE, SIGNS, Example, Rule, padded
from experiments.applications.application import (
    Application,
    Final,
    Prepared,
    Restored,
)
from experiments.applications.lines import read_lines
from experiments.applications.sequences.baseline import baselines
from experiments.applications.sequences.config import SequencesConfig
from experiments.applications.sequences.reading import (
    Fixed,
    Fresh,
    examples_of,
    lengths_of,
    some_of,
)
from experiments.applications.sequences.shown import section
from experiments.run.record import Text
from lm.config import ConfigError, unknown
from lm.heads import Head, classification, regression
from lm.models.labelling import build_labelling, counted, last_counted
from lm.models.language_model import LanguageModel
from lm.problem import Problem
from lm.types import Array, Batch

FITTED, LONGEST_ANSWER, SHOWN, BINS = 2_000, 8, 4, 12


def prepare(config: SequencesConfig) -> Prepared:
    """The rule, checked, and the fixed examples of validation and test.

    Raises:
      ConfigError: for a rule that there is not, or lengths that it cannot have.
    """
    data = config.data
    if data.rule not in RULES:
        raise ConfigError(unknown("data.rule", data.rule, RULES))
    rule = RULES[data.rule]
    if rule.parts != ("longer",) and 0 < data.lengths[0] < 3:
        raise ConfigError(
            f"data.lengths is {data.lengths[0]} {data.lengths[1]}: a progression needs "
            "3 terms, two to read and one to be asked for"
        )
    parts = {part: part_of(config, rule, part) for part in ("seen", *rule.parts)}
    digest = hashlib.sha256(repr((data.rule, data.lengths, data.longer)).encode())
    for examples in parts.values():
        digest.update("\n".join(one.text for one in examples[:500]).encode())
    low, high = lengths_of(rule, "seen", data.lengths, data.longer)
    return Prepared(
        text=Text(data.rule, digest.hexdigest(), ""),
        splits={"train": [], "valid": parts["seen"], "test": parts[rule.parts[0]]},
        size=data.updates * data.batch * (low + high) // 2,
        told=f"fresh sequences of {low} to {high} terms, {data.batch} a batch; tested "
        f"on {', '.join(name.replace('_', ' ') for name in rule.parts)}",
        facts={"optimum": {"solved": 1.0, "loss": 0.0}},
        source=(rule, parts),
    )


def part_of(config: SequencesConfig, rule: Rule, part: str) -> list[Example]:
    """The fixed examples of a part."""
    data = config.data
    count = data.looked if part == "seen" else data.examined
    return examples_of(rule, part, count, data.lengths, data.longer)


def restore(config: SequencesConfig, directory: Path) -> Prepared:
    """The rule is always there."""
    return prepare(config)


def model_of(config: SequencesConfig, rule: Rule) -> LanguageModel:
    """The network: cross-entropy and the likeliest class; or squared error of numbers
    divided by 100, right where they round to the right whole number."""
    sizes = rule.symbols or 1, rule.classes or 1
    return build_labelling(config.model, *sizes, head_of(rule), asks=deciding(rule))


def deciding(rule: Rule) -> Callable[[Batch], Array]:
    """(batch) -> (T, B): the answers that decide whether a sequence is solved."""
    return last_counted if rule.last else counted


def head_of(rule: Rule) -> Head:
    """Classes, or numbers; see `model_of`."""
    return classification() if rule.classes else regression(0.5 / SCALE)


def problem(config: SequencesConfig, prepared: Prepared) -> Problem:
    """What is trained; "solved" is the share of sequences with every answer right (of
    `running_parity` the last one)."""
    return model_of(config, prepared.source[0]).problem


def reading(
    config: SequencesConfig, prepared: Prepared, split: str, evaluation: bool = False
) -> Reading:
    """Fresh sequences, or the fixed ones of a split."""
    data, (rule, _) = config.data, prepared.source
    if evaluation and split != "train":
        return Fixed(prepared.splits[split], config.train.eval_batch)
    lengths = lengths_of(rule, "seen", data.lengths, data.longer)
    return Fresh(rule, lengths, data.batch, data.updates)


def probed(config: SequencesConfig, prepared: Prepared) -> Batch:
    """The longest of the lengths that are trained on; lag 0 is the last answer."""
    lanes = config.gradflow.lanes
    return Fixed(some_of(prepared.splits["valid"], lanes), lanes).batch_at(0, 0, 0)


def final(config: SequencesConfig, prepared: Prepared, params: Any) -> Final:
    """How much is solved of each part, and by length."""
    rule, parts = prepared.source
    model = model_of(config, rule)
    lanes = config.train.eval_batch
    solved = {
        part: solved_each(model, rule, params, examples, lanes)
        for part, examples in parts.items()
    }
    beyond = {f"solved_{part}": float(found.mean()) for part, found in solved.items()}
    low, high = lengths_of(rule, "seen", config.data.lengths, config.data.longer)
    train = rule.make((0, 9), FITTED, "seen", (low, high))
    found = baselines(rule, train, parts)
    return Final(
        scores={"test": beyond},
        baselines={
            name: {
                "valid": scores["seen"],
                "test": {
                    f"solved_{part}": own["solved"] for part, own in scores.items()
                },
            }
            for name, scores in found.items()
        },
        examples={
            "longest_trained": max(len(one.inputs) for one in parts["seen"]),
            "by_length": by_length(parts, solved),
            "parts": {p: [len(s), float(s.mean())] for p, s in solved.items()},
            "sequences": {
                part: [
                    [one.text, next_of(model, params, rule, one.text)]
                    for one in examples[:SHOWN]
                ]
                for part, examples in parts.items()
                if len(rule.parts) > 1
            },
        },
    )


def next_of(model: LanguageModel, params: Any, rule: Rule, text: str) -> Any:
    """The answer to all of a progression but its last term."""
    inputs = rule.parse(text.rpartition(",")[0])
    return answer_of(model, params, rule, inputs)["answer"]


def solved_each(
    model: LanguageModel, rule: Rule, params: Any, examples: list[Example], lanes: int
) -> np.ndarray:
    """(N,) bool: whether the answers that decide are right."""
    head, asks = head_of(rule), deciding(rule)
    whole, found = Fixed(examples, lanes), []

    @jax.jit
    def solved(batch: Batch):
        state = model.initial_state(params, lanes)
        _, hs = model.apply(params, batch.inputs, state)
        outputs = model.logits(params, hs)
        return head.solved(outputs, batch.targets, asks(batch))

    for step in range(whole.steps):
        found.append(np.asarray(solved(whole.batch_at(0, 0, step))))
    return np.concatenate(found)[: len(examples)]


def by_length(
    parts: Mapping[str, list[Example]], solved: Mapping[str, np.ndarray]
) -> list[list[float]]:
    """[length, share solved, sequences] of what is trained on and of the longer ones,
    lengths in a few bins."""
    rows = []
    for part in ("seen", "longer"):
        lengths = np.array([len(one.inputs) for one in parts[part]])
        edges = np.linspace(lengths.min(), lengths.max() + 1, BINS + 1)
        bins = np.digitize(lengths, edges) - 1
        for number in np.unique(bins):
            own = bins == number
            share = float(solved[part][own].mean())
            rows.append([float(lengths[own].mean()), share, int(own.sum())])
    return rows


def answer_of(
    model: LanguageModel, params: Any, rule: Rule, inputs: np.ndarray
) -> dict[str, Any]:
    """What follows: the next term of a progression, or a class with its probability."""

    def outputs_of(inputs: np.ndarray) -> np.ndarray:
        one = Example(inputs, np.zeros(len(inputs)), np.zeros(len(inputs)), "")
        length = -(-len(inputs) // 16) * 16
        batch = padded([one], 1, length)
        _, hs = model.apply(params, batch.inputs, model.initial_state(params, 1))
        return np.asarray(model.logits(params, hs[len(inputs) - 1, 0]))

    if not rule.classes:
        return {"answer": float(outputs_of(inputs)[0] * SCALE)}
    if rule.name == "progressions":
        return {"answer": _next_term(outputs_of, inputs)}
    chances = jax.nn.softmax(outputs_of(inputs))
    best = int(np.argmax(chances))
    return {"answer": best, "probability": float(chances[best])}


def _next_term(outputs_of: Any, inputs: np.ndarray) -> str:
    comma, written = SIGNS.index(","), ""
    if inputs[-1] != comma:
        inputs = np.append(inputs, comma)
    for _ in range(LONGEST_ANSWER):
        best = int(np.argmax(outputs_of(inputs)))
        if best == comma:
            break
        inputs, written = np.append(inputs, best), written + SIGNS[best]
    return written


def told(config: SequencesConfig) -> str:
    """The network in a few words."""
    model = config.model
    return f"{model.layers}-layer {model.kind}, {model.hidden} units"


def example(restored: Restored) -> Batch:
    """One sequence."""
    _, parts = restored.prepared.source
    return Fixed(some_of(parts["seen"], 1), 1).batch_at(0, 0, 0)


def reached(config: SequencesConfig, scores: Mapping[str, float]) -> bool:
    """Whether enough sequences are right to end here."""
    enough = config.data.enough
    return bool(enough) and scores["solved"] >= enough


def predict(restored: Restored, path: str) -> Iterator[dict[str, Any]]:
    """What follows each line of a file: `1,3,5`, or `0110`.

    Raises:
      DataError: for a line that is no such sequence.
    """
    rule, _ = restored.prepared.source
    model = model_of(restored.config, rule)
    wanted = "1,3,5" if rule.name.startswith("progressions") else "digits such as 0110"
    for line in read_lines(path, option="--input"):
        try:
            inputs = rule.parse(line.text.strip().rstrip(","))
        except ValueError:
            raise DataError(
                f"{line.place} is no sequence of {rule.name}: "
                f"{line.text[:40]!r}; give {wanted}"
            ) from None
        yield {"text": line.text, **answer_of(model, restored.params, rule, inputs)}


APPLICATION = Application(
    config=SequencesConfig,
    told=told,
    prepare=prepare,
    restore=restore,
    problem=problem,
    reading=reading,
    probed=probed,
    final=final,
    section=section,
    predict=predict,
    example=example,
    reached=reached,
)

"""Scenes of digits (data_pipeline.scenes), bound to convolutions and a decoder."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from data_pipeline.batches import Reading
from data_pipeline.pairs import decode_line
from data_pipeline.scenes import Scenes, make_scene, vocabulary
from experiments.applications.application import Application, Prepared, Restored
from experiments.applications.captions.answers import (
    final,
    predict,
    scenes_of,
    search_of,
)
from experiments.applications.captions.config import CaptionsConfig
from experiments.applications.captions.model import model_of
from experiments.applications.captions.shown import section
from experiments.run.record import Text
from lm.problem import Problem
from lm.types import Pairs

LOOKED_AT = 8  # scenes that stand for all of them in the fingerprint


def prepare(config: CaptionsConfig) -> Prepared:
    """The grid, checked; its scenes are made as they are read."""
    data, grid = config.data, config.data.grid
    found = hashlib.sha256(repr(grid).encode())
    for split in ("train", "valid", "test"):
        for number in range(LOOKED_AT):
            scene = make_scene(grid, split, 0, 0, number)
            found.update(scene.picture.tobytes() + scene.text.encode())
    rows, columns = grid.shape
    return Prepared(
        text=Text(f"scenes of {rows} by {columns}", found.hexdigest(), ""),
        splits={split: split for split in ("train", "valid", "test")},
        size=data.updates * data.batch,
        told=f"scenes of 1 to {grid.most} digits, {rows} by {columns} pixels; "
        f"{data.looked:,} for validation, {data.examined:,} for the test",
        facts={"optimum": {"exact": 1.0, "bleu": 100.0}},
    )


def restore(config: CaptionsConfig, directory: Path) -> Prepared:
    """The digits are always there."""
    return prepare(config)


def problem(config: CaptionsConfig, prepared: Prepared) -> Problem:
    """What is trained; it scores "loss", nats a word, and "accuracy"."""
    return model_of(config).problem


def reading(
    config: CaptionsConfig, prepared: Prepared, split: str, evaluation: bool = False
) -> Reading:
    """Fresh scenes; an evaluation's are the same each time."""
    data = config.data
    if not evaluation:
        return Scenes(data.grid, split, data.batch, steps=data.updates)
    count = data.looked if split == "valid" else data.examined
    return Scenes(data.grid, split, min(config.train.eval_batch, count), count=count)


def probed(config: CaptionsConfig, prepared: Prepared) -> Pairs:
    """Scenes of the validation split; the word in the middle of each is looked at."""
    lanes = config.gradflow.lanes
    return Scenes(config.data.grid, "valid", lanes, count=lanes).batch_at(0, 0, 0)


def told(config: CaptionsConfig) -> str:
    """The network in a few words."""
    model = config.model
    looks = {"none": "no attention"}.get(model.attention, model.attention)
    cells = f"{model.layers}-layer {model.kind}, {model.hidden} units, {looks}"
    return f"convolutions of {model.channels} channels, {cells}"


def write(config: CaptionsConfig, prepared: Prepared, samples: int) -> Any:
    """Descriptions of the first validation scenes."""
    lanes = min(samples, config.data.looked)
    batch = Scenes(config.data.grid, "valid", lanes, count=lanes).batch_at(0, 0, 0)
    find, words = search_of(config), vocabulary()
    wanted = [scene.text for scene in scenes_of(config.data, "valid")[:lanes]]

    def texts(params: Any, key: Any) -> list[str]:
        ids_BT = np.asarray(find(params, batch.source, batch.source_mask)[0])
        found = [decode_line(ids, words) for ids in ids_BT]
        return [f"{text} → {said}" for text, said in zip(wanted, found, strict=True)]

    return texts


def example(restored: Restored) -> Pairs:
    """One scene."""
    return Scenes(restored.config.data.grid, "valid", 1, count=1).batch_at(0, 0, 0)


APPLICATION = Application(
    config=CaptionsConfig,
    told=told,
    prepare=prepare,
    restore=restore,
    problem=problem,
    reading=reading,
    probed=probed,
    write=write,
    final=final,
    section=section,
    predict=predict,
    searches=True,
    example=example,
    nats=True,
)

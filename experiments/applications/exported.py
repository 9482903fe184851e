"""A run's weights in a file of their own, and a run made of such a file.

The arrays are the best parameters, in one of LAYOUTS; the metadata are what a run of
them needs besides, so that it answers as the one that they are from: "config.json"
(application, config, text), the other JSON files that its application keeps in a run's
directory, "format", "layout" and "step".
"""

import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.applications import load
from experiments.applications.language_model.torch_files import (
    torch_arrays,
    torch_model,
)
from experiments.applications.restored import (
    application_of,
    best_part,
    restore_best,
    shapes_of,
)
from experiments.config import Config
from experiments.run.checkpoint import Checkpoints
from experiments.run.directory import CHECKPOINTS, EXAMPLES, SUMMARY, read_record
from experiments.run.files import RunError, write_json_atomic, write_text_atomic
from experiments.run.record import (
    FILE,
    Text,
    config_of,
    new_record,
    origin_of,
    recorded_text,
)
from experiments.run.weights import in_shape, named_leaves
from lm.config import ConfigError

FORMAT, LAYOUTS = "weights-1", ("own", "torch")
KEPT = re.compile(r"[a-z_]+\.json")
CARRIED = ("format", "application", "config", "corpus")


def exported_of(
    run_dir: str | Path, layout: str = "own"
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays and the metadata that go into a file, of a run's best parameters.

    layout  own: by their places among the parameters, layers.0.w_h; torch: see
            `language_model.torch_files`.

    Raises:
      RunError: where there is no run, or no sound checkpoint in it.
      ConfigError: where torch has no network like it.
    """
    directory, record = read_record(run_dir)
    restored = restore_best(run_dir)
    config, params = restored.config, restored.params
    if layout == "torch":
        if type(config) is not Config:
            raise ConfigError(
                f"--layout torch is of language models, and {directory} is a run of "
                f"{config.application!r}: leave it out"
            )
        arrays = torch_arrays(config.model, params)
    else:
        arrays = {name: np.asarray(leaf) for name, leaf in named_leaves(params).items()}
    kept = {key: record[key] for key in CARRIED if key in record}
    metadata = {"format": FORMAT, "layout": layout, "step": str(restored.step)}
    metadata[FILE] = json.dumps(kept)
    for path in sorted(directory.glob("*.json")):
        if KEPT.fullmatch(path.name) and path.name not in (FILE, SUMMARY, EXAMPLES):
            metadata[path.name] = path.read_text(encoding="utf-8")
    return arrays, metadata


def run_of_exported(
    path: Path,
    arrays: Mapping[str, np.ndarray],
    metadata: Mapping[str, str],
    run_dir: Path,
) -> str:
    """A run made of what `exported_of` gave; what is in it, in a few words.

    Raises:
      RunError: where the file is not one of ours, or `run_dir` is taken.
    """
    try:
        record, step = json.loads(metadata[FILE]), int(metadata["step"])
        if metadata["format"] != FORMAT or metadata["layout"] not in LAYOUTS:
            raise ValueError(f"format {metadata['format']!r}")
        application = application_of(record)
    except (KeyError, ValueError, AttributeError) as error:
        raise RunError(f"{path}: its metadata are not of {FORMAT}: {error}") from None
    config = config_of(record, path, application.config)
    kept = {n: t for n, t in metadata.items() if KEPT.fullmatch(n) and n != FILE}
    if metadata["layout"] == "torch":
        _, params, _ = torch_model(path, arrays)
        if config.model.softmax == "tied":
            del params["softmax"]["w"]
        arrays = named_leaves(params)
    text = recorded_text(record, path)
    return make_run(path, run_dir, config, text, kept, arrays, step)


def make_run(
    path: Path,
    run_dir: Path,
    config: Any,
    text: Text | None,
    kept: Mapping[str, str],
    arrays: Mapping[str, Any],
    step: int = 0,
) -> str:
    """A run's directory with these parameters as its best checkpoint, whole or not at
    all; what is in it, in a few words.

    path  the file that the weights are from, for messages and the record.
    kept  {name: text} of the files that stand beside config.json.
    """
    _refuse_taken(run_dir)
    application = load(config.application)
    folder = run_dir.with_name(f".{run_dir.name}.{os.getpid()}")
    try:
        folder.mkdir(parents=True)
        record = new_record(config, text) | {"imported": path.name}
        write_json_atomic(folder / FILE, record, digits=17)
        for name, content in kept.items():
            write_text_atomic(folder / name, content)
        prepared = application.restore(config, folder)
        params = in_shape(
            path, arrays, shapes_of(application.problem(config, prepared))
        )
        _refuse_no_numbers(path, params)
        checkpoints = Checkpoints(
            folder / CHECKPOINTS, origin=origin_of(record, folder)
        )
        tree = {best_part(config): params}
        checkpoints.save(step, tree, {"step": step}, best=True)
        folder.rename(run_dir)
    except RunError as error:
        raise RunError(str(error).replace(str(folder), str(path))) from None
    except OSError as error:
        raise RunError(f"{run_dir} cannot be made: {error.strerror}") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    size = sum(leaf.size for leaf in jax.tree.leaves(params))
    return f"{application.told(config)}, {size:,} parameters"


def _refuse_taken(run_dir: Path) -> None:
    if run_dir.exists() and not (run_dir.is_dir() and not any(run_dir.iterdir())):
        raise RunError(f"{run_dir} is there already: give --run-dir a new directory")


def _refuse_no_numbers(path: Path, params: Any) -> None:
    for name, leaf in named_leaves(params).items():
        if not np.isfinite(leaf).all():
            raise RunError(f"{path}: {name} holds nan or inf: it can answer nothing")

"""The studies of gradients, each run end to end in a tiny form."""

import dataclasses

import numpy as np
import pytest

from experiments.gradients import __main__ as command
from experiments.gradients import (
    cells,
    clipping,
    common,
    depth,
    initialisation,
    load,
    precision,
    rates,
    runs,
    truncation,
)
from experiments.gradients.display import quiet
from experiments.gradients.study import Job
from experiments.run.files import RunError, read_json

pytestmark = pytest.mark.usefixtures("compile_cache")
SHORT = {"steps": 4, "seeds": 1, "batch": 2, "window": 8}
TUNED = {**SHORT, "rates": (0.02,)}
TINY = {
    "cells": cells.Cells(
        **SHORT, rates=(0.02, 0.04), parameters=700, embedding=2, lags=6, lanes=4
    ),
    "initialisation": initialisation.Initialisation(
        **TUNED,
        gains=(0.5, 2.5),
        hidden=5,
        lags=6,
        lanes=4,
        warmup=3,
        measured=12,
        streams=2,
    ),
    "truncation": truncation.Truncation(
        **TUNED, cells=("tanh",), τs=(2, 4), hidden=5, lanes=4
    ),
    "clipping": clipping.Clipping(**SHORT, norms=(1.0,), values=(0.1,), hidden=5),
    "depth": depth.Depth(
        **TUNED, cell="tanh", layers=(1, 2), hidden=5, lags=6, lanes=4
    ),
    "precision": precision.Precision(
        **TUNED, cells=("lstm",), hidden=5, lags=6, lanes=4
    ),
}
STUDIES = {name: load(name) for name in TINY}


@pytest.fixture(scope="module", autouse=True)
def corpus(tmp_path_factory):
    """A small text in place of the embedded corpus, fewer cells and pilots."""
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abcde"), 4)) for _ in range(30)]
    lines = [" ".join(rng.choice(words, 6)) for _ in range(150)]
    path = tmp_path_factory.mktemp("corpus") / "text.txt"
    path.write_text("\n".join(lines))
    few = {name: cells.VARIANTS[name] for name in ("tanh", "LSTM, forget 1")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(common, "CORPUS", str(path))
        patch.setattr(cells, "VARIANTS", few)
        patch.setattr(rates, "PILOT_SEEDS", (1000,))
        yield path


@pytest.mark.parametrize("name", [name for name in TINY if name != "cells"])
def test_a_tiny_study_from_end_to_end(name, tmp_path, monkeypatch):
    check(name, tmp_path, monkeypatch)


def check(name, tmp_path, monkeypatch):
    """The study `name` answers, keeps what it found, and does not train again."""
    study, size, directory = STUDIES[name], TINY[name], tmp_path / "study"
    job = Job(directory, 1, quiet())
    result = study.run(size, job)
    command.keep(result, directory)
    found = read_json(directory / "rows.json")
    assert found["headline"] == result.headline and len(found["rows"]) > 1
    for ending in ("png", "svg"):
        assert (directory / f"figure.{ending}").stat().st_size > 5_000
    lines = command.page(result, directory)
    assert result.headline.startswith(lines[0]) and "figure.png" in lines[-1]
    assert all(len(row) == len(result.table.head) for row in result.table.body)

    def refuse(*_):
        raise AssertionError("a finished run was trained again")

    monkeypatch.setattr(runs, "train_task", refuse)
    again = study.run(size, job)
    assert again.headline == result.headline
    other = dataclasses.replace(size, batch=3)
    with pytest.raises(RunError, match="another config.*data.batch"):
        study.run(other, job)

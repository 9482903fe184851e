"""What there is of a run: everything that its directory holds, and nothing is missed
that does not. A run may be unfinished, killed, from before there were probes, or so
long that its metrics are read in passing and thinned out."""

import math
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.applications.restored import application_of
from experiments.run.directory import EXAMPLES
from experiments.run.files import RunError, read_json
from experiments.run.metrics import read_metrics
from experiments.run.probes import FILE, Columns, grouped, read_probe
from experiments.run.record import config_of

GROUP_ROWS = 600
STEP_FIELDS = ("step", "loss", "gradient_norm", "clipped_norm", "learning_rate")
GROUP_FIELDS = ("gradient_norms", "weight_norms", "update_ratios")


class Metrics(NamedTuple):
    """metrics.jsonl as arrays.

    steps   {field: (S,)} of every training step.
    valid   {"step", "train", "loss", …}: (E,) of every evaluation: the training loss,
            and the scores of the validation split by name.
    groups  names of the parameter groups.
    at      (R,) steps at which the norms per group were kept.
    norms   {field: (R, P)}.
    broken  lines that could not be read.
    """

    steps: dict[str, np.ndarray]
    valid: dict[str, np.ndarray]
    groups: list[str]
    at: np.ndarray
    norms: dict[str, np.ndarray]
    broken: int


class RunFiles(NamedTuple):
    """A run as the report sees it.

    name      short, and no other run's.
    record    config.json.
    config    as a config of its application.
    summary   summary.json; None where the run has not ended.
    metrics   see above.
    probes    {group: its columns} of gradflow.npz; {} where there are none.
    examples  examples.json; None where there is none.
    samples   samples.txt, as it is.
    notes     what is missing or damaged, in sentences.
    """

    name: str
    directory: Path
    record: dict[str, Any]
    config: Any
    summary: dict[str, Any] | None
    metrics: Metrics
    probes: dict[str, Columns]
    examples: Any
    samples: str
    notes: list[str]

    @property
    def corpus(self) -> str:
        """What it was trained on: by its config, or as its record names it."""
        asked = getattr(getattr(self.config, "data", None), "corpus", None)
        return asked or self.record.get("corpus", {}).get("name", "unknown data")

    @property
    def model(self) -> str:
        """What was trained, in its application's words."""
        return application_of(self.record).told(self.config)

    @property
    def nats(self) -> bool:
        """Whether its loss is told in nats per token, so that it has perplexities."""
        ended = (self.summary or {}).get("valid", {})
        return "nats_per_token" in self.metrics.valid or "perplexity" in ended


class Thinned:
    """Keeps some of many rows, evenly spaced, without knowing how many there will be:
    when it has twice as many as wanted it forgets every other one."""

    def __init__(self, wanted: int):
        self.wanted, self.every, self.seen = wanted, 1, 0
        self.rows: list[Any] = []

    def wants(self) -> bool:
        """Whether the next row will be taken."""
        return self.seen % self.every == 0

    def add(self, row: Any) -> None:
        """Takes or leaves a row."""
        if self.wants():
            self.rows.append(row)
            if len(self.rows) >= 2 * self.wanted:
                self.rows, self.every = self.rows[::2], 2 * self.every
        self.seen += 1


def read_metrics_file(path: Path) -> Metrics:
    """A metrics.jsonl of any length, line by line. Lines that are not JSON, such as a
    kill leaves at the end, are counted and passed over."""
    steps = {name: array("d") for name in STEP_FIELDS}
    kept, groups, evaluations, broken = Thinned(GROUP_ROWS), [], [], []
    for row in read_metrics(path, broken.append):
        try:
            if "loss" in row:
                numbers = [float(row[name]) for name in STEP_FIELDS]
                norms = _norms(row) if kept.wants() else None
                for name, number in zip(STEP_FIELDS, numbers, strict=True):
                    steps[name].append(number)
                kept.add((row["step"], norms))
            elif found := scores(row):
                evaluations.append(found)
            groups = row.get("groups", groups)
        except (ValueError, KeyError, TypeError) as error:
            broken.append(str(error))
    rows = [r for r in kept.rows if all(len(part) == len(groups) for part in r[1])]
    norms_RFP = np.array([r[1] for r in rows]).reshape(len(rows), 3, len(groups))
    names = set.intersection(*map(set, evaluations)) if evaluations else set()
    return Metrics(
        {name: np.array(values) for name, values in steps.items()},
        {name: np.array([found[name] for found in evaluations]) for name in names},
        groups,
        np.array([r[0] for r in rows], float),
        {name: norms_RFP[:, n] for n, name in enumerate(GROUP_FIELDS)},
        len(broken),
    )


def scores(row: dict[str, Any]) -> dict[str, float]:
    """The scores of an evaluation by name, with its step, and with the training loss
    as "train"; {} of a row of another kind. A loss that the row tells in nats per token
    is under "nats_per_token" too."""
    train = row.get("train_loss", row.get("train_nats_per_token"))
    if train is None:
        return {}
    found = {
        name.removeprefix("valid_"): float(value)
        for name, value in row.items()
        if name.startswith("valid_")
    }
    found.setdefault("loss", found.get("nats_per_token", math.nan))
    return {**found, "step": float(row["step"]), "train": float(train)}


def _norms(row: dict[str, Any]) -> list[list[float]]:
    return [[float(v) for v in row[name]] for name in GROUP_FIELDS]


def read_runs(directories: list[Path]) -> list[RunFiles]:
    """All runs, in order.

    Raises:
      RunError: where one is no run.
    """
    names = short_names(directories)
    pairs = zip(directories, names, strict=True)
    return [read_run_files(directory, name) for directory, name in pairs]


def read_run_files(directory: Path, name: str) -> RunFiles:
    """Everything in a run's directory."""
    if not (directory / "config.json").exists():
        where = "is not there" if not directory.exists() else "has no config.json"
        raise RunError(
            f"{directory} holds no run: it {where} (runs are made by "
            "python -m experiments.train)"
        )
    record = read_json(directory / "config.json")
    config, notes = config_of(record, directory, application_of(record).config), []

    def attempt(file: str, read: Callable[[], Any], absent: Any, lack: str) -> Any:
        if not (directory / file).exists():
            notes.extend([lack] if lack else [])
            return absent
        try:
            return read()
        except (RunError, OSError, ValueError) as error:
            notes.append(f"{file} cannot be read: {error}")
            return absent

    empty = Metrics({n: np.zeros(0) for n in STEP_FIELDS}, {}, [], np.zeros(0), {}, 0)
    path = directory / "metrics.jsonl"
    metrics = attempt(
        path.name, lambda: read_metrics_file(path), empty, "No step was logged yet."
    )
    if metrics.broken:
        notes.append(f"{metrics.broken} lines of metrics.jsonl could not be read.")
    lack = "It made no probes (--gradflow.every 0, or a run from before them)."
    probes = attempt(FILE, lambda: grouped(read_probe(directory)), {}, lack)
    lack = "It has not ended: no summary.json."
    summary = attempt(
        "summary.json", lambda: read_json(directory / "summary.json"), None, lack
    )
    path = directory / "samples.txt"
    lack = "It wrote no samples."
    samples = attempt(path.name, lambda: path.read_text("utf-8", "replace"), "", lack)
    path = directory / EXAMPLES
    examples = attempt(path.name, lambda: read_json(path), None, "")
    own = record, config, summary, metrics, probes, examples, samples, notes
    return RunFiles(name, directory, *own)


def short_names(directories: list[Path]) -> list[str]:
    """The directories' last parts; more of them where these are the same."""
    parts = [path.resolve().parts for path in directories]
    for count in range(1, max(map(len, parts)) + 1):
        names = ["/".join(p[-count:]) for p in parts]
        if len(set(names)) == len(names):
            return names
    raise RunError("the same run is given twice: give each one once")

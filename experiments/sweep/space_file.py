"""Space files: a space and how it is usually run, as JSON or as Python.

    {
      "config": "tutorial_part4",                        the base; default "tour"
      "train.steps": 400,                                a fixed value
      "model.cell": {"choice": ["tanh", "gru"]},
      "optim.learning_rate": {"loguniform": [0.001, 1], "points": 7},
      "model.dropout.weight": {"uniform": [0, 0.5]},
      "model.layers": {"int": [1, 4]},                   "log": true for factors
      "zip": {"model.hidden": [100, 200], "model.embedding": [50, 100]},
      "trials": 60, "seeds": 3, "sampler": "random", "pruner": "median",
      "small": {"train.steps": 50, "trials": 10}
    }

Only `config` and fields are needed. The last two lines are defaults of the options of
the same names; `small` replaces entries of the whole where `--small` is given. A Python
file, which is a program that is run, has the same in a dict SPACE; or a function
SPACE(trial) that asks Optuna's trial, with the rest in a dict FIXED.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optuna.distributions import FloatDistribution, IntDistribution

from experiments.applications import load
from experiments.applications.application import Application
from experiments.config import RunConfig, flatten, from_dict, load_named, to_dict
from experiments.sweep.ready import KINDS, ready_spaces
from experiments.sweep.space import (
    Decision,
    Fields,
    Space,
    listed,
    set_twice,
)
from lm.config import ConfigError, unknown

BASE = "tour"  # of spaces that name none
RUNNING = ("trials", "seeds", "sampler", "pruner")
# Kinds of decisions, and the options of each.
OPTIONS = {
    "choice": (),
    "uniform": ("points",),
    "loguniform": ("points",),
    "int": ("log", "points"),
}
GONE = ("chain", "product", "when")


@dataclass(frozen=True)
class Source:
    """What a space file says.

    name     the file's stem.
    raw      its fields as JSON values, `small` applied.
    program  the text of a Python file that defines SPACE(trial); else empty.
    """

    name: str
    raw: dict[str, Any]
    program: str = ""


@dataclass(frozen=True)
class Plan:
    """A space, ready to be searched.

    source  what the file says.
    base    the config that the space starts from.
    space   what is fixed and what varies.
    usual   the file's defaults of the options in `RUNNING`.
    """

    source: Source
    base: RunConfig
    space: Space
    usual: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The space's name."""
        return self.source.name

    @property
    def application(self) -> Application:
        """What is trained: a space has one base, and so one application."""
        return load(self.base.application)

    def config(self, fields: Fields, seed: int = 0) -> RunConfig:
        """The base with the fields of one point, and the number of a seed."""
        own = {"name": self.name, "seed": self.base.seed + seed}
        values = flatten(to_dict(self.base))
        return from_dict(nested({**values, **own, **fields}), type(self.base))


def nested(flat: Fields) -> dict[str, Any]:
    """The inverse of `experiments.config.flatten`."""
    tree: dict[str, Any] = {}
    for path, value in flat.items():
        *above, last = path.split(".")
        node = tree
        for name in above:
            node = node.setdefault(name, {})
        node[last] = value
    return tree


def read_plan(given: str, small: bool = False) -> Plan:
    """A ready space by its name, or a file by its path.

    Raises:
      ConfigError: in one line, for a file that is not there or not a space.
    """
    path = find(given)
    raw, program = content(path)
    if small:
        if not isinstance(raw.get("small"), dict):
            raise ConfigError(f"{path} has no small form: leave --small out")
        raw = {**raw, **raw["small"]}
    raw.pop("small", None)
    return plan_of(Source(path.stem, raw, program))


def plan_of(source: Source, base: RunConfig | None = None) -> Plan:
    """The plan in a space file's content. base: in place of what it names."""
    entries = dict(source.raw)
    usual = {key: entries.pop(key) for key in RUNNING if key in entries}
    name = entries.pop("config", BASE)
    if not isinstance(name, str):
        raise ConfigError(f"config is {name!r}: a space has one, and one application")
    start: RunConfig = base or load_named(name)
    known = frozenset(flatten(to_dict(start)))
    program = None
    if source.program:
        program = _run(source.program, Path(f"{source.name}.py"))["SPACE"]
    fixed, varied = _read(entries, known)
    space = Space(fixed, varied, program, known)
    if not varied and not program:
        raise ConfigError(
            f"space {source.name!r} is empty: it varies no field; give one a choice, "
            "uniform, loguniform or int"
        )
    return Plan(source, start, space, usual)


def find(given: str) -> Path:
    """The file of a space; ConfigError naming the nearest ready one."""
    path = Path(given)
    if path.suffix in KINDS:
        if not path.is_file():
            raise ConfigError(f"space file {given} is not there")
        return path
    ready = ready_spaces()
    if given in ready:
        return ready[given]
    hint = "; a file of your own ends in .py or .json"
    raise ConfigError(unknown("space", given, ready) + hint)


def content(path: Path) -> tuple[dict[str, Any], str]:
    """What is in a space file: a dict of JSON values, and the text of its program."""
    text = ""
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            raw, program = json.loads(text, object_pairs_hook=_once), ""
        else:
            found = _run(text, path)
            program = text if callable(found["SPACE"]) else ""
            raw = found.get("FIXED", {}) if program else found["SPACE"]
        raw = json.loads(json.dumps(raw, allow_nan=False))
    except ConfigError:
        raise
    except OSError as error:
        raise ConfigError(f"space file {path}: {error.strerror}") from None
    except (Exception, SystemExit) as error:  # a Python file may raise anything
        kind = type(error).__name__
        raise ConfigError(f"space file {path}: {kind}: {error}") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"space file {path} holds no object of fields")
    return raw, program


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; a key that stands twice would silently win over the first."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise set_twice(next(key for key in keys if keys.count(key) > 1))
    return found


def _run(text: str, path: Path) -> dict[str, Any]:
    """The names that a Python file defines, SPACE among them."""
    found: dict[str, Any] = {"__name__": f"space_{path.stem}", "__file__": str(path)}
    exec(compile(text, str(path), "exec"), found)
    if "SPACE" not in found:
        raise ConfigError(f"space file {path} defines no SPACE")
    return found


def _read(
    entries: dict[str, Any], known: frozenset[str]
) -> tuple[Fields, tuple[Decision, ...]]:
    """What is fixed and what varies in an object of fields.

    Raises:
      ConfigError: for a field that there is not, or that is set twice.
    """
    fixed: Fields = {}
    varied: list[Decision] = []
    for key, value in entries.items():
        if key in GONE:
            raise ConfigError(
                f"{key} cannot stand in a space: write a Python file with a function "
                "SPACE(trial) instead (experiments/sweep/README.md)"
            )
        if key == "zip":
            varied.append(_zip(value, known))
        elif isinstance(value, dict):
            varied.append(_decision(_known(key, known), value))
        else:
            fixed[_known(key, known)] = value
    seen = [*fixed, *(field for node in varied for field in node.fields)]
    for name in seen:
        if seen.count(name) > 1:
            raise set_twice(name)
    return fixed, tuple(varied)


def _decision(path: str, options: dict[str, Any]) -> Decision:
    """A field's decision: its kind with its values, and the kind's options."""
    kinds = [key for key in OPTIONS if key in options]
    if len(kinds) != 1:
        given = ", ".join(options) or "nothing"
        raise ConfigError(f"{path} has {given}: give one of {', '.join(OPTIONS)}")
    (kind,) = kinds
    values = _values(f"{path}: {kind}", options[kind])
    more = {key: value for key, value in options.items() if key != kind}
    for option in more:
        if option not in OPTIONS[kind]:
            valid = [kind, *OPTIONS[kind]]
            raise ConfigError(unknown(f"{path}: option", option, valid))
    if kind == "choice":
        return listed({path: values})
    return _interval(path, kind, values, **more)


def _interval(
    path: str, kind: str, ends: list, log: bool = False, points: int = 0
) -> Decision:
    """uniform, loguniform or int, between two ends."""
    whole = kind == "int"
    wanted = "two whole numbers" if whole else "two numbers"
    type_ok = int if whole else int | float
    numbers = [x for x in ends if isinstance(x, type_ok) and x is not True]
    if len(ends) != 2 or len(numbers) != 2 or not ends[0] < ends[1]:
        raise ConfigError(
            f"{path}: {kind} is {ends}: give {wanted}, the lower one first"
        )
    log = bool(log) or kind == "loguniform"
    if log and ends[0] <= 0:
        raise ConfigError(
            f"{path}: {kind} begins at {ends[0]}: a log scale begins above 0"
        )
    if not isinstance(points, int) or points < 0:
        raise ConfigError(f"{path}: points is {points}: give a whole number")
    distribution = IntDistribution if whole else FloatDistribution
    return Decision((path,), distribution(*ends, log=log), points=points)


def _zip(columns: Any, known: frozenset[str]) -> Decision:
    """Columns of equal length, one a field."""
    if not isinstance(columns, dict) or not columns:
        raise ConfigError(f"zip is {columns!r}: give lists of values by field")
    lists = {_known(k, known): _values(f"zip: {k}", v) for k, v in columns.items()}
    if len({len(values) for values in lists.values()}) > 1:
        told = ", ".join(f"{key} has {len(values)}" for key, values in lists.items())
        raise ConfigError(f"zip needs lists of one length: {told}")
    return listed(lists)


def _known(path: str, known: frozenset[str]) -> str:
    """A config field that a space may set; ConfigError naming the nearest one, and
    those of the same group rather than all."""
    if path == "seed":
        raise ConfigError(
            "seed is not a field of a space: seeds are an axis of their own, --seeds K"
        )
    if path in known:
        return path
    group = path.rpartition(".")[0]
    near = [f for f in known if f.rpartition(".")[0] == group] if group else []
    full = unknown("config field", path, known)
    valid = f"in {group}: {', '.join(sorted(near))}" if near else "--dry-run shows all"
    raise ConfigError(f"{full.partition(' (valid')[0]} ({valid})")


def _values(what: str, values: Any) -> list:
    """A list with something in it, lists in it as tuples."""
    if not isinstance(values, list):
        raise ConfigError(f"{what} is {values!r}: must be a list")
    if not values:
        raise ConfigError(f"{what} is empty: give at least one value")
    return [tuple(v) if isinstance(v, list) else v for v in values]

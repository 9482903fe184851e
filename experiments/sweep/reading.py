"""Space files: a space and how it is usually run, as plain JSON or as Python.

    {
      "config": "tutorial_part4",                        the base; default "default"
      "train.steps": 400,                                a fixed value
      "model.cell": {"choice": ["tanh", "gru"]},
      "optim.learning_rate": {"loguniform": [0.001, 1], "points": 7},
      "model.dropout.weight": {"uniform": [0, 0.5]},
      "model.layers": {"int": [1, 4]},                   "log": true for factors
      "zip": {"model.hidden": [100, 200], "model.embedding": [50, 100]},
      "chain": [SPACE, SPACE],                           one or the other
      "product": [SPACE, SPACE],                         both
      "when": [{"model.cell": ["lstm"], "then": SPACE}],
      "trials": 60, "seeds": 3, "sampler": "random", "pruner": "median",
      "small": {"train.steps": 50, "trials": 10}
    }

Only `config` and fields are needed. The last two lines are defaults of the options of
the same names; `small` replaces entries of the whole where `--small` is given. A
Python file holds the same as a dict named SPACE.
"""

import importlib.util
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments.config import Config, flatten, from_dict, load_named, to_dict
from experiments.sweep.space import (
    Chain,
    Choice,
    Fields,
    Fixed,
    Interval,
    Product,
    Space,
    When,
    Zip,
    decisions,
)
from lm.config import ConfigError, unknown

SPACES = Path(__file__).parents[1] / "spaces"
FIELDS = frozenset(flatten(to_dict(Config())))
COMBINERS = ("zip", "product", "chain", "when")
RUNNING = ("trials", "seeds", "sampler", "pruner")
KINDS = ("choice", "uniform", "loguniform", "int")


@dataclass(frozen=True)
class Plan:
    """A space file, read.

    name    the file's stem.
    raw     its content, `small` applied: what makes two studies the same.
    base    the config that the space starts from.
    space   the tree.
    usual   the file's defaults of the options in `RUNNING`.
    """

    name: str
    raw: dict[str, Any]
    base: Config
    space: Space
    usual: dict[str, Any] = field(default_factory=dict)

    @property
    def values(self) -> Fields:
        """The base config by dotted field."""
        return flatten(to_dict(self.base))

    def config(self, fields: Fields, seed: int = 0) -> Config:
        """The base with the fields of one point, and the number of a seed."""
        own = {"name": self.name, "seed": self.base.seed + seed}
        return from_dict(nested({**self.values, **own, **fields}), Config)


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


def names() -> list[str]:
    """The ready spaces in `experiments/spaces/`."""
    files = [*SPACES.glob("*.py"), *SPACES.glob("*.json")]
    return sorted(path.stem for path in files if path.stem[0] != "_")


def read_plan(source: str, small: bool = False) -> Plan:
    """A ready space by its name, or a file by its path.

    Raises:
      ConfigError: in one line, for a file that is not there or not a space.
    """
    path = find(source)
    raw = content(path)
    if small:
        if not isinstance(raw.get("small"), dict):
            raise ConfigError(f"{path} has no small form: leave --small out")
        raw = {**raw, **raw["small"]}
    raw.pop("small", None)
    return plan_of(path.stem, raw)


def plan_of(name: str, raw: dict[str, Any]) -> Plan:
    """The plan in a space file's content."""
    entries = dict(raw)
    usual = {key: entries.pop(key) for key in RUNNING if key in entries}
    base = load_named(_text("config", entries.pop("config", "default")))
    space = _Reader().product(entries, "the space")
    if not any(True for _ in decisions(space)):
        raise ConfigError(
            f"space {name!r} is empty: it varies no field; give one a choice, uniform, "
            "loguniform or int"
        )
    return Plan(name, raw, base, space, usual)


def find(source: str) -> Path:
    """The file of a space; ConfigError naming the nearest ready one."""
    path = Path(source)
    if path.suffix in (".py", ".json"):
        if not path.is_file():
            raise ConfigError(f"space file {source} is not there")
        return path
    for suffix in (".py", ".json"):
        if (SPACES / f"{source}{suffix}").is_file() and source in names():
            return SPACES / f"{source}{suffix}"
    hint = "; a file of your own ends in .py or .json"
    raise ConfigError(unknown("space", source, names()) + hint)


def content(path: Path) -> dict[str, Any]:
    """What is in a space file, as a dict of JSON values."""
    try:
        if path.suffix == ".json":
            raw = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_once)
        else:
            raw = _run(path)
        raw = json.loads(json.dumps(raw))
    except ConfigError:
        raise
    except OSError as error:
        raise ConfigError(f"space file {path}: {error.strerror}") from None
    except Exception as error:  # a Python file may raise anything
        kind = type(error).__name__
        raise ConfigError(f"space file {path}: {kind}: {error}") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"space file {path} holds no object of fields")
    return raw


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; a key that stands twice would silently win over the first."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ConfigError(f"{twice} is set twice in the space: set it in one place")
    return found


def _run(path: Path) -> Any:
    """SPACE of a Python file."""
    spec = importlib.util.spec_from_file_location(f"space_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, "SPACE"):
        raise ConfigError(f"space file {path} defines no SPACE")
    return module.SPACE


class _Reader:
    """From JSON values to nodes; gives every decision a name of its own."""

    def __init__(self):
        self.taken: set[str] = set()

    def name(self, wanted: str) -> str:
        """`wanted`, or the same with a number where it is taken (in a chain)."""
        found, number = wanted, 2
        while found in self.taken:
            found, number = f"{wanted} #{number}", number + 1
        self.taken.add(found)
        return found

    def product(self, entries: Any, where: str) -> Space:
        """An object of fields and combiners."""
        if not isinstance(entries, dict):
            raise ConfigError(f"{where} is {entries!r}: must be an object of fields")
        parts: list[Space] = []
        for key, value in entries.items():
            if key in COMBINERS:
                parts += getattr(self, f"read_{key}")(value)
            else:
                parts.append(self.field(known(key), value))
        return parts[0] if len(parts) == 1 else Product(tuple(parts))

    def field(self, path: str, value: Any) -> Space:
        """A fixed value, or an object that says between what the field moves."""
        if not isinstance(value, dict):
            return Fixed(path, value)
        options = dict(value)
        kinds = [kind for kind in KINDS if kind in options]
        if len(kinds) != 1:
            given = ", ".join(options) or "nothing"
            raise ConfigError(f"{path} has {given}: give one of {', '.join(KINDS)}")
        kind = kinds[0]
        ends = _listed(f"{path}: {kind}", options.pop(kind))
        allowed = {"choice": (), "int": ("log", "points")}.get(kind, ("points",))
        for option in options:
            if option not in allowed:
                raise ConfigError(unknown(f"{path}: option", option, [kind, *allowed]))
        if kind == "choice":
            return Choice(self.name(path), path, _distinct(path, ends))
        return self.interval(path, kind, ends, **options)

    def interval(
        self, path: str, kind: str, ends: list, log: bool = False, points: int = 0
    ) -> Interval:
        """uniform, loguniform or int, between two ends."""
        whole = kind == "int"
        wanted = "two whole numbers" if whole else "two numbers"
        type_ok = int if whole else int | float
        numbers = [x for x in ends if isinstance(x, type_ok) and x is not True]
        if len(ends) != 2 or len(numbers) != 2 or not ends[0] < ends[1]:
            raise ConfigError(
                f"{path}: {kind} is {ends}: give {wanted}, the lower one first"
            )
        log = log or kind == "loguniform"
        if log and ends[0] <= 0:
            raise ConfigError(
                f"{path}: {kind} begins at {ends[0]}: a log scale begins above 0"
            )
        if not isinstance(points, int) or points < 0:
            raise ConfigError(f"{path}: points is {points}: give a whole number")
        name = self.name(path)
        return Interval(name, path, ends[0], ends[1], bool(log), whole, points)

    def read_zip(self, columns: Any) -> list[Space]:
        """Columns of equal length, one a field."""
        if not isinstance(columns, dict) or not columns:
            raise ConfigError(f"zip is {columns!r}: give lists of values by field")
        lists = {known(k): _listed(f"zip: {k}", v) for k, v in columns.items()}
        lengths = {key: len(values) for key, values in lists.items()}
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{key} has {n}" for key, n in lengths.items())
            raise ConfigError(f"zip needs lists of one length: {told}")
        rows = _distinct("zip", list(zip(*lists.values(), strict=True)))
        return [Zip(self.name(" & ".join(lists)), tuple(lists), rows)]

    def read_product(self, spaces: Any) -> list[Space]:
        """A list of spaces, all of which count."""
        return [
            self.product(s, "a part of product") for s in _listed("product", spaces)
        ]

    def read_chain(self, spaces: Any) -> list[Space]:
        """A list of spaces, one of which counts."""
        listed = _listed("chain", spaces)
        name = self.name("chain")
        return [Chain(name, tuple(self.product(s, "a part of chain") for s in listed))]

    def read_when(self, rules: Any) -> list[Space]:
        """Rules: an object with conditions and `then`, or a list of them."""
        found: list[Space] = []
        for rule in rules if isinstance(rules, list) else [rules]:
            if not isinstance(rule, dict) or "then" not in rule or len(rule) < 2:
                raise ConfigError(
                    f"when is {rule!r}: give fields with the values that they must "
                    'have, and "then" with a space'
                )
            conditions = tuple(
                (known(key), tuple(value) if isinstance(value, list) else (value,))
                for key, value in rule.items()
                if key != "then"
            )
            found.append(When(conditions, self.product(rule["then"], "then")))
        return found


def known(path: str) -> str:
    """A config field that a space may set; ConfigError naming the nearest one."""
    if path == "seed":
        raise ConfigError(
            "seed is not a field of a space: seeds are an axis of their own, --seeds K"
        )
    if path not in FIELDS:
        raise ConfigError(_unknown_field(path))
    return path


def _unknown_field(path: str) -> str:
    """The nearest field, and those of the same group rather than all."""
    group = path.rpartition(".")[0]
    near = [f for f in FIELDS if f.rpartition(".")[0] == group] if group else []
    full = unknown("config field", path, FIELDS)
    valid = f"in {group}: {', '.join(sorted(near))}" if near else "--dry-run shows all"
    return f"{full.partition(' (valid')[0]} ({valid})"


def _listed(what: str, values: Any) -> list:
    """A list with something in it."""
    if not isinstance(values, list):
        raise ConfigError(f"{what} is {values!r}: must be a list")
    if not values:
        raise ConfigError(f"{what} is empty: give at least one value")
    return values


def _distinct(what: str, values: list) -> tuple[Any, ...]:
    """The values, hashable; a value that stands twice would count twice."""
    frozen = tuple(tuple(v) if isinstance(v, list) else v for v in values)
    keys = [json.dumps(value) for value in frozen]
    for key in keys:
        if keys.count(key) > 1:
            raise ConfigError(f"{what} lists {key} twice")
    return frozen


def _text(what: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"{what} is {value!r}: must be a name")
    return value

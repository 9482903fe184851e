"""Checks of what users set: each raises one line that says what would be accepted."""

import math
from collections.abc import Iterable
from difflib import get_close_matches
from typing import get_args


class ConfigError(ValueError):
    """A value that a config does not accept; the message says what it would."""


def unknown(what: str, name: str, valid: Iterable[str]) -> str:
    """One line for an unknown `name`: the nearest valid name, then all of them."""
    valid = sorted(valid)
    near = get_close_matches(name, valid, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"{what} {name!r} is unknown{hint} (valid: {', '.join(valid)})"


def choice(what: str, value: str, literal) -> None:
    """Raises ConfigError unless `value` is one of the literal's names."""
    if value not in get_args(literal):
        raise ConfigError(unknown(what, value, get_args(literal)))


def within(what: str, value: float, low: float, high: float, open_high=False) -> None:
    """Raises ConfigError unless low <= value <= high (< high where open)."""
    inside = low <= value < high if open_high else low <= value <= high
    if not (_finite(value) and inside):
        bracket = ")" if open_high else "]"
        raise ConfigError(f"{what} is {value}: must lie in [{low}, {high}{bracket}")


def at_least(what: str, value: float, low: float) -> None:
    """Raises ConfigError unless value is finite and >= low."""
    if not _finite(value) or value < low:
        raise ConfigError(f"{what} is {value}: must be a number of at least {low}")


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond all floats
        return False

"""The one error that users of the data pipeline see, and help with wrong names."""

import difflib
from collections.abc import Iterable


class DataError(ValueError):
    """What is wrong with the data or its settings, in one line."""


def unknown_name(kind: str, name: str, valid: Iterable[str]) -> DataError:
    """An error for `name`, with the valid names and the nearest of them."""
    valid = sorted(valid)
    near = difflib.get_close_matches(name, valid, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return DataError(f"unknown {kind} {name!r}; valid: {', '.join(valid)}{hint}")

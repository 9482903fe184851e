"""The one error that users of the data pipeline see."""

from collections.abc import Iterable

from lm.checks import unknown


class DataError(ValueError):
    """What is wrong with the data or its settings, in one line."""


def unknown_name(what: str, name: str, valid: Iterable[str]) -> DataError:
    """An error for `name`, with the nearest valid name and all of them."""
    return DataError(unknown(what, name, valid))

"""The one error that users of the data pipeline see."""

from collections.abc import Iterable

from data_pipeline.printable import printable
from lm.checks import unknown


class DataError(ValueError):
    """What is wrong with the data or its settings, in one line that is safe to show."""

    def __init__(self, said: str) -> None:
        super().__init__(printable(" ".join(said.splitlines())))


def unknown_name(what: str, name: str, valid: Iterable[str]) -> DataError:
    """An error for `name`, with the nearest valid name and all of them."""
    return DataError(unknown(what, name, valid))

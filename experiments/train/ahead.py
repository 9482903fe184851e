"""Batches on their way to the device before they are asked for."""

from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

Place = TypeVar("Place", bound=Hashable)


class Ahead(Generic[Place]):
    """`fetch` with what will be asked for next already under way, in one thread.

    Batches are pure functions of their places, so that it makes no difference to a run
    whether one was guessed right.

    Args:
      fetch: (place) -> what is there.
      after: (place) -> the place that is likely to come next.
    """

    def __init__(
        self, fetch: Callable[[Place], Any], after: Callable[[Place], Place], ahead=2
    ):
        self._fetch, self._after, self._ahead = fetch, after, ahead
        self._pool = ThreadPoolExecutor(1, "batches")
        self._waiting: dict[Place, Future] = {}

    def __getitem__(self, place: Place) -> Any:
        """What is at `place`; what comes after it is begun."""
        found = self._waiting.pop(place, None) or self._pool.submit(self._fetch, place)
        kept, following = {}, place
        for _ in range(self._ahead):
            following = self._after(following)
            kept[following] = self._waiting.pop(following, None) or self._pool.submit(
                self._fetch, following
            )
        for other in self._waiting.values():
            other.cancel()
        self._waiting = kept
        return found.result()

    def __enter__(self) -> "Ahead[Place]":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

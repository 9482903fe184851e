"""Batches made and sent to the device in the background, ahead of the step."""

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax


class Prefetch:
    """Iterates over `items`, a few ahead, in one background thread.

    Args:
      items: what to read ahead, such as batches.
      put: sends an item on its way; by default `jax.device_put`, which returns at
        once while the copy goes on.
      ahead: how many items may wait.

    `waited` is the number of seconds for which the consumer stood still. An error in
    `items` is raised at its place in the order. Use it as a context manager, or
    `close` it, to leave before the end.
    """

    def __init__(
        self,
        items: Iterable[Any],
        put: Callable[[Any], Any] | None = None,
        ahead: int = 2,
    ) -> None:
        if put is None:
            put = jax.device_put
        self.waited = 0.0
        self._queue: queue.Queue[tuple[str, Any]] = queue.Queue(ahead)
        self._closed = threading.Event()
        self._thread = threading.Thread(
            target=self._work, args=(iter(items), put), daemon=True
        )
        self._thread.start()

    def _work(self, items: Iterator[Any], put: Callable[[Any], Any]) -> None:
        try:
            for item in items:
                if not self._offer(("item", put(item))):
                    return
            self._offer(("end", None))
        except BaseException as error:  # handed over to the consumer
            self._offer(("error", error))

    def _offer(self, message: tuple[str, Any]) -> bool:
        while not self._closed.is_set():
            try:
                self._queue.put(message, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def __iter__(self) -> Iterator[Any]:
        while not self._closed.is_set():
            begin = time.perf_counter()
            kind, item = self._queue.get()
            self.waited += time.perf_counter() - begin
            if kind == "item":
                yield item
                continue
            self.close()
            if kind == "error":
                raise item

    def close(self) -> None:
        """Stop reading ahead; the thread is gone on return."""
        self._closed.set()
        self._thread.join()

    def __enter__(self) -> "Prefetch":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

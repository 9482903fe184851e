"""A peer in a process of its own: its threads do not wait for another's, and its
allocator is set as its users have it."""

from importlib import import_module
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

from experiments.peers.case import Absent, Case
from lm.types import Batch


class Apart:
    """A call that has a peer's process take one training step, and waits for it.

    module  of the peer, which offers `make`.

    Raises:
      Absent: the peer has no such cell.
    """

    def __init__(self, module: str, case: Case, batch: Batch):
        context = get_context("spawn")
        self._ours, theirs = context.Pipe()
        given = module, case, batch, theirs
        self._process = context.Process(target=serve, args=given, daemon=True)
        self._process.start()
        theirs.close()
        if missing := self._answer():
            raise Absent(missing)

    def __call__(self) -> None:
        self._ours.send(True)
        self._answer()

    def _answer(self) -> Any:
        try:
            return self._ours.recv()
        except EOFError:
            raise RuntimeError("the peer's process ended: see above") from None

    def close(self) -> None:
        """Ends the process."""
        self._ours.close()
        self._process.join()


def serve(module: str, case: Case, batch: Batch, theirs: Connection) -> None:
    """The process: a step for each message, until there are no more."""
    try:
        step = import_module(module).make(case, batch)
    except Absent as absent:
        theirs.send(str(absent))
        return
    theirs.send("")
    while True:
        try:
            theirs.recv()
        except EOFError:
            return
        step()
        theirs.send("")

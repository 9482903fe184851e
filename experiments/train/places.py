"""Places in the data: which batches a block of steps reads, and which follow."""

from collections.abc import Sequence

from experiments.train.run_state import RunState

Spot = tuple[int, int, int] | None  # (seed, epoch, step) of a batch; None: an idle slot
Place = tuple[tuple[Spot, ...], ...]  # for each step of a block, for each slot


def place_of(runs: Sequence[RunState], size: int, count: int) -> Place:
    """That of the next `count` steps of runs in some of `size` slots."""
    at = {run.slot: (run.config.seed, run.at.epoch, run.at.index) for run in runs}
    return block([at.get(slot) for slot in range(size)], count)


def next_place(place: Place, per_epoch: int, fused: int) -> Place:
    """The block that follows if nobody comes or leaves: `fused` steps, or one where
    the epoch ends before."""
    begin = [spot and _after(spot, per_epoch) for spot in place[-1]]
    room = min(per_epoch - spot[2] for spot in begin if spot is not None)
    return block(begin, fused if fused <= room else 1)


def _after(spot: tuple[int, int, int], per_epoch: int) -> tuple[int, int, int]:
    seed, epoch, index = spot
    return (seed, epoch + 1, 0) if index + 1 == per_epoch else (seed, epoch, index + 1)


def block(begin: Sequence[Spot], count: int) -> Place:
    """`count` steps from these on."""
    return tuple(
        tuple(spot and (spot[0], spot[1], spot[2] + k) for spot in begin)
        for k in range(count)
    )

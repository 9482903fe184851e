"""Words for what was found and what was lost in reading, for facts and messages."""

from collections.abc import Iterable, Mapping

from data_pipeline.printable import printable

MOST = 5  # names that a list tells before it counts


def listed(names: Iterable[object], most: int = MOST) -> str:
    """`a, b, c and 4 more`."""
    shown = [printable(str(name)) for name in names]
    more = f" and {len(shown) - most:,} more" if len(shown) > most else ""
    return ", ".join(shown[:most]) + more


def counted(counts: Mapping[str, int]) -> str:
    """`train 90, valid 5, test 5`."""
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())

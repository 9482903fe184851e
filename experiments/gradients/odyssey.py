"""Greff's claims about LSTM's variants, read off the rows of the zoo.

Greff et al. 2015, "LSTM: a search space odyssey": no variant is clearly better than the
vanilla cell, the one with peepholes; without forget gate or without output activation
it is clearly worse. Here every variant has one budget of parameters and the best of a
few learning rates.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from experiments.gradients.study import Table
from experiments.gradients.zoo_cell import mean_perplexity, perplexity_of
from experiments.results.intervals import Mean, difference

VANILLA, PLAIN = "lstm_peephole", "lstm"
CHANGED = {
    "lstm": "no peepholes (NP)",
    "lstm_nig": "no input gate",
    "lstm_nfg": "no forget gate",
    "lstm_nog": "no output gate",
    "lstm_niaf": "no input activation",
    "lstm_noaf": "no output activation",
    "lstm_cifg": "coupled gates, f = 1 − i",
    "lstm_coupled": "coupled gates and no peepholes",
    "lstm_fgr": "full gate recurrence",
}
NEEDED = {"lstm_nfg", "lstm_noaf"}
Rows = Sequence[dict[str, Any]]


class Variant(NamedTuple):
    """A variant's perplexity, and what it has more than the vanilla and than the plain
    cell; None: no such row is there. Without numbers: runs diverged."""

    cell: str
    perplexity: Mean | None
    vanilla: Mean | None
    plain: Mean | None


def variants(rows: Rows) -> list[Variant]:
    """Of the variants that have a row, the best first; those that diverged last."""
    by_cell = {row["cell"]: row for row in rows}

    def beyond(cell: str, other: str) -> Mean | None:
        if other not in by_cell:
            return None
        one, two = by_cell[cell], by_cell[other]
        a, b = mean_perplexity(one), mean_perplexity(two)
        if a is None or b is None:
            return None
        return difference(a, b, (ended(one), ended(two)))

    found = [
        Variant(
            cell,
            mean_perplexity(by_cell[cell]),
            beyond(cell, VANILLA),
            beyond(cell, PLAIN),
        )
        for cell in CHANGED
        if cell in by_cell
    ]
    return sorted(found, key=lambda one: perplexity_of(by_cell[one.cell]))


def ended(row: dict[str, Any]) -> int:
    """Seeds that did not diverge."""
    return row["text"]["seeds"]


def better(difference: Mean | None) -> bool:
    """Whether a difference of perplexities lies below 0 with its interval."""
    return difference is not None and difference.value + difference.half < 0


def worse(variant: Variant) -> bool:
    """Whether a variant is worse than the vanilla cell, with the interval; one that
    diverged is."""
    if variant.perplexity is None:
        return True
    beyond = variant.vanilla
    return beyond is not None and beyond.value - beyond.half > 0


def table(rows: Rows) -> Table:
    """A line a variant, the best perplexity first."""
    head = ("cell", "changed", "perplexity", f"less {VANILLA}'s", f"less {PLAIN}'s")
    body = [
        (
            one.cell,
            CHANGED[one.cell],
            "diverged" if one.perplexity is None else str(one.perplexity),
            signed(one.vanilla),
            "–" if one.cell == PLAIN else signed(one.plain),
        )
        for one in variants(rows)
    ]
    return Table(head, body)


def signed(difference: Mean | None) -> str:
    """ "+0.12 ± 0.034", "–" where there is nothing to compare."""
    if difference is None:
        return "–"
    value, _, half = str(difference).partition(" ± ")
    sign = "+" if difference.value > 0 else ""
    return f"{sign}{value}" + (f" ± {half}" if half else "")


def unbeaten(rows: Rows, than: str) -> tuple[str, bool] | None:
    """(what was found, whether no variant beats that cell, the vanilla or the plain
    one); None without it."""
    pairs = [
        (one, one.vanilla if than == VANILLA else one.plain)
        for one in variants(rows)
        if one.cell != than
    ]
    pairs = [(one, beyond) for one, beyond in pairs if beyond is not None]
    if not pairs:
        return None
    winners = [(one, beyond) for one, beyond in pairs if better(beyond)]
    named = "".join(f", {one.cell} {signed(beyond)}" for one, beyond in winners)
    told = f"{len(winners)} of {len(pairs)} have a lower perplexity beyond the interval"
    return f"{told} of the difference{named}", not winners


def matters(rows: Rows) -> tuple[str, bool] | None:
    """(what was found, whether the lack of forget gate and of output activation costs
    most, beyond the interval); None while a row of theirs or the vanilla's lacks."""
    found = [one for one in variants(rows) if one.vanilla or not one.perplexity]
    if len(found) < 3 or not NEEDED <= {one.cell for one in found}:
        return None
    if not any(one.vanilla for one in found):
        return None
    last = found[-2:]
    named = ", ".join(
        f"{one.cell} {signed(one.vanilla) if one.perplexity else 'diverged'}"
        for one in reversed(last)
    )
    holds = {one.cell for one in last} == NEEDED and all(map(worse, last))
    return f"the worst two of {len(found)}: {named}", holds

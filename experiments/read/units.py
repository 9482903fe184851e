"""Units that are worth looking at: those that vary most along a text, and those that
follow the position in the line or quotation marks (Karpathy, Johnson & Li 2015)."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

SHOWN = 50


class Ranked(NamedTuple):
    """Units in an order: (layer, unit, value), the largest |value| first; `of`: what
    that is."""

    of: str
    units: list[tuple[int, int, float]]


def ranked(
    layers: Sequence[np.ndarray], lines: Sequence[Sequence[str]]
) -> dict[str, Ranked]:
    """Orders of the units of layers (N + 1, H), by name.

    lines: the tokens of each line, N together. Orders by what does not vary in the text
    are left out.
    """
    features = {
        "position in the line": positions(lines),
        "inside quotation marks": quoted(lines),
    }
    found = {"how much they vary": _order("standard deviation", layers, np.std)}
    for name, feature in features.items():
        if np.std(feature):
            with np.errstate(invalid="ignore"):
                found[name] = _order(
                    "correlation", layers, lambda h, f=feature: correlation(h, f)
                )
    return found


def positions(lines: Sequence[Sequence[str]]) -> np.ndarray:
    """(N + 1,) how many tokens of its line have been read, 0 at the start."""
    return np.array([0, *(n for line in lines for n in range(1, len(line) + 1))])


def quoted(lines: Sequence[Sequence[str]]) -> np.ndarray:
    """(N + 1,) whether a quotation mark is open: `"` opens and closes, “ and ” do one
    each."""
    inside, found = False, [False]
    for token in (token for line in lines for token in line):
        for sign in token:
            inside = {'"': not inside, "“": True, "”": False}.get(sign, inside)
        found.append(inside)
    return np.array(found, float)


def correlation(values_T: np.ndarray, feature_T: np.ndarray) -> float:
    """Pearson's; 0 where one of the two does not vary."""
    both = np.std(values_T) * np.std(feature_T)
    centred = (values_T - np.mean(values_T)) * (feature_T - np.mean(feature_T))
    return float(np.mean(centred) / both) if both else 0.0


def _order(of: str, layers: Sequence[np.ndarray], measure) -> Ranked:
    each = [
        (layer, unit, float(measure(units_TH[:, unit])))
        for layer, units_TH in enumerate(layers)
        for unit in range(units_TH.shape[1])
    ]
    return Ranked(of, sorted(each, key=lambda one: -abs(one[2]))[:SHOWN])

"""How transcripts are judged: edits, and what was taken for what.

symbol_errors  edits (symbols put in, left out or exchanged, the fewest that make the
               answer of the reference) over symbols of all references: the word error
               rate of speech recognition, a symbol being a word; it can exceed 1
string_errors  the share of strings with an edit or more
"""

from collections.abc import Iterable, Sequence

import numpy as np

Symbols = Sequence[int] | np.ndarray
NOTHING = -1  # in a pair, where there is no symbol


def aligned(reference: Symbols, answer: Symbols) -> list[tuple[int, int]]:
    """Pairs (symbol of the reference, symbol of the answer) with the fewest edits, from
    left to right; NOTHING stands where either has none."""
    costs = np.zeros((len(reference) + 1, len(answer) + 1), int)
    costs[:, 0], costs[0] = np.arange(len(costs)), np.arange(costs.shape[1])
    for i, is_ in enumerate(reference):
        for j, said in enumerate(answer):
            either = min(costs[i, j + 1], costs[i + 1, j]) + 1
            costs[i + 1, j + 1] = min(either, costs[i, j] + (is_ != said))
    pairs, i, j = [], len(reference), len(answer)
    while i or j:
        same = i and j and costs[i, j] - costs[i - 1, j - 1]
        if i and j and same == (reference[i - 1] != answer[j - 1]):
            pairs.append((reference[i - 1], answer[j - 1]))
            i, j = i - 1, j - 1
        elif i and costs[i, j] == costs[i - 1, j] + 1:
            pairs.append((reference[i - 1], NOTHING))
            i -= 1
        else:
            pairs.append((NOTHING, answer[j - 1]))
            j -= 1
    return [(int(a), int(b)) for a, b in reversed(pairs)]


def edits(reference: Symbols, answer: Symbols) -> int:
    """How many."""
    return sum(a != b for a, b in aligned(reference, answer))


def errors(
    references: Sequence[Symbols], answers: Iterable[Symbols]
) -> dict[str, float]:
    """ "symbol_errors" and "string_errors"."""
    edits_N = [edits(*pair) for pair in zip(references, answers, strict=True)]
    symbols = sum(map(len, references))
    return {
        "symbol_errors": sum(edits_N) / symbols,
        "string_errors": float(np.mean(np.array(edits_N) > 0)),
    }


def confusions(
    references: Sequence[Symbols],
    answers: Sequence[Symbols],
    classes: int,
) -> list[list[int]]:
    """Counts [symbol of the reference][symbol of the answer]; the last row and column
    are for nothing."""
    counts = np.zeros((classes + 1, classes + 1), int)
    for reference, answer in zip(references, answers, strict=True):
        for pair in aligned(reference, answer):
            counts[pair] += 1  # NOTHING is the last one
    return counts.tolist()

"""Number sequences and formal languages that follow a rule, of any length.

`RULES` names them. A network is trained on some lengths (and steps, and starts) and
asked about others: whether it has learnt the rule or the sequences shows there. Each
sequence is a pure function of its key, the same on every machine.

`progressions`, `progressions_numbers`: s, s + d, s + 2d, …, as digits with commas
between them, or as numbers divided by 100; each term from the third on is asked for
(each of its signs, and the comma after it). Two terms say all. The others are asked for
one answer at their end: `parity`, whether the ones are odd; `even_pairs`, whether
neighbours differ an even number of times (so whether the first symbol is the last);
`modular_sum`, the sum of digits below 5 modulo 5; `a_n_b_n`, whether as many b follow
as there were a (Delétang et al. 2023 have the first two and a form of the third).
`running_parity` asks for the parity after every bit, and the last answer decides.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from data_pipeline.order import random_bits, shuffled
from lm.types import Batch

SIGNS = "0123456789-,"
STEPS = {
    "seen": (1, 2, 3, 5, 6, 8, 9, 10, -1, -2, -3, -5, -6, -8, -9, -10),
    "unseen_steps": (4, 7, -4, -7),
}
STARTS = {"seen": (0, 70), "unseen_starts": (70, 100)}
TERMS, LONGER_TERMS = (4, 8), (9, 16)
SCALE = 100.0


class Example(NamedTuple):
    """A sequence: inputs (T,) or (T, 1), targets (T,), asked (T,) of 0 and 1, and the
    text of it."""

    inputs: np.ndarray
    targets: np.ndarray
    asked: np.ndarray
    text: str


class Rule(NamedTuple):
    """Sequences that follow one rule.

    name      in `RULES`.
    symbols   of the input; 0: one number a step.
    classes   of the answers; 0: one number.
    parts     names of what is tested beside the lengths that are trained on.
    make      (key, count, part, lengths (low, high)) -> examples; part "seen" is what
              is trained on. Lengths are symbols, or terms of a progression.
    lengths   trained on, unless a config says otherwise; longer: tested.
    parse     a line of text -> inputs, or ValueError.
    last      whether the last answer alone decides that a sequence is solved.
    """

    name: str
    symbols: int
    classes: int
    parts: tuple[str, ...]
    make: Callable[..., list[Example]]
    lengths: tuple[int, int]
    longer: tuple[int, int]
    parse: Callable[[str], np.ndarray]
    last: bool = False


def drawn(size: int, low: int, high: int, *key: int) -> np.ndarray:
    """(size,) whole numbers, low <= x < high."""
    return low + (random_bits(size, *key) % np.uint64(high - low)).astype(np.int64)


def lengths_of(count: int, lengths: tuple[int, int], *key: int) -> np.ndarray:
    """(count,) lengths, each as likely as another."""
    return drawn(count, lengths[0], lengths[1] + 1, *key, 1)


def terms_of(key: tuple[int, ...], count: int, part: str, lengths) -> list[np.ndarray]:
    """Progressions: starts and steps of the part."""
    steps = np.array(STEPS.get(part, STEPS["seen"]))
    starts = STARTS.get(part, STARTS["seen"])
    counts_N = lengths_of(count, lengths, *key)
    start_N = drawn(count, *starts, *key, 2)
    step_N = steps[drawn(count, 0, len(steps), *key, 3)]
    each = zip(counts_N, start_N, step_N, strict=True)
    return [start + step * np.arange(n) for n, start, step in each]


def digits(key, count: int, part: str, lengths) -> list[Example]:
    """Progressions as signs; the target at a sign is the next one."""
    return [
        _as_signs(",".join(map(str, terms)) + ",")
        for terms in terms_of(key, count, part, lengths)
    ]


def _as_signs(text: str) -> Example:
    ids = parse_signs(text)
    second = text.index(",", text.index(",") + 1)
    asked = (np.arange(len(ids) - 1) >= second).astype(np.float32)
    return Example(ids[:-1], ids[1:], asked, text[:-1])


def parse_signs(text: str) -> np.ndarray:
    """(T,) ids of digits, minus and comma; ValueError for others."""
    return np.array([SIGNS.index(sign) for sign in text.replace(" ", "")], np.int32)


def numbers(key, count: int, part: str, lengths) -> list[Example]:
    """Progressions as numbers; the target at a term is the next one."""
    found = []
    for terms in terms_of(key, count, part, lengths):
        scaled = (terms / SCALE).astype(np.float32)
        asked = (np.arange(len(terms) - 1) >= 1).astype(np.float32)
        text = ",".join(map(str, terms))
        found.append(Example(scaled[:-1, None], scaled[1:], asked, text))
    return found


def parse_numbers(text: str) -> np.ndarray:
    """(T, 1) numbers between commas; ValueError for others."""
    terms = [float(word) / SCALE for word in text.split(",")]
    if not np.isfinite(terms).all():
        raise ValueError(text)
    return np.array(terms, np.float32)[:, None]


def at_end(symbols: int, answer: Callable[[np.ndarray], int]):
    """A maker of random symbols with one answer, at the end."""

    def make(key, count: int, part: str, lengths) -> list[Example]:
        counts_N = lengths_of(count, lengths, *key)
        stream = drawn(int(counts_N.sum()), 0, symbols, *key, 4).astype(np.int32)
        cut = np.split(stream, np.cumsum(counts_N)[:-1])
        return [answered(ids, answer(ids)) for ids in cut]

    return make


def answered(ids: np.ndarray, answer: int) -> Example:
    """A sequence with an answer at its last step."""
    targets, asked = np.zeros(len(ids), np.int32), np.zeros(len(ids), np.float32)
    targets[-1], asked[-1] = answer, 1
    return Example(ids.astype(np.int32), targets, asked, "".join(map(str, ids)))


def running(key, count: int, part: str, lengths) -> list[Example]:
    """Random bits, and after each whether the ones so far are odd."""
    return [
        Example(bits, np.cumsum(bits) % 2, np.ones(len(bits), np.float32), text)
        for bits, _, _, text in at_end(2, lambda ids: 0)(key, count, part, lengths)
    ]


def halves(key, count: int, part: str, lengths) -> list[Example]:
    """aⁿbⁿ (0 and 1) of one half, and aⁿbᵐ with n and m a little apart of the other."""
    low, high = max(1, lengths[0] // 2), max(1, lengths[1] // 2)
    n_N = drawn(count, low, high + 1, *key, 1)
    off_N = drawn(count, 1, 4, *key, 2) * np.where(drawn(count, 0, 2, *key, 3), 1, -1)
    found = []
    for number, (n, off) in enumerate(zip(n_N, off_N, strict=True)):
        same = number % 2 == 0
        m = n if same else max(0, n + off)
        found.append(answered(np.repeat([0, 1], [n, m]), int(same)))
    return [found[i] for i in shuffled(count, *key, 5)]


def parse_symbols(symbols: int) -> Callable[[str], np.ndarray]:
    """A reader of digits below `symbols`."""

    def parse(text: str) -> np.ndarray:
        ids = np.array([int(sign) for sign in text.replace(" ", "")], np.int32)
        if not len(ids) or ids.max() >= symbols:
            raise ValueError(text)
        return ids

    return parse


def _language(name: str, classes: int, make, last: bool = False) -> Rule:
    symbols, lengths = parse_symbols(classes), ((1, 40), (41, 500))
    return Rule(name, classes, classes, ("longer",), make, *lengths, symbols, last)


_PARTS = ("unseen_steps", "unseen_starts", "longer")
RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule("progressions", 12, 12, _PARTS, digits, TERMS, LONGER_TERMS, parse_signs),
        Rule(
            "progressions_numbers",
            0,
            0,
            _PARTS,
            numbers,
            TERMS,
            LONGER_TERMS,
            parse_numbers,
        ),
        _language("parity", 2, at_end(2, lambda ids: int(ids.sum() % 2))),
        _language("running_parity", 2, running, last=True),
        _language("even_pairs", 2, at_end(2, lambda ids: int(ids[0] == ids[-1]))),
        _language("modular_sum", 5, at_end(5, lambda ids: int(ids.sum() % 5))),
        _language("a_n_b_n", 2, halves),
    )
}


def padded(examples: Sequence[Example], lanes: int, length: int) -> Batch:
    """Examples side by side, padded to `length` steps and filled up to `lanes`."""
    first = examples[0]
    inputs = np.zeros((length, lanes, *first.inputs.shape[1:]), first.inputs.dtype)
    targets_TB = np.zeros((length, lanes), first.targets.dtype)
    mask_TB = np.zeros((length, lanes), np.float32)
    for lane, one in enumerate(examples):
        inputs[: len(one.inputs), lane] = one.inputs
        targets_TB[: len(one.inputs), lane] = one.targets
        mask_TB[: len(one.inputs), lane] = one.asked
    return Batch(inputs, targets_TB, mask_TB, np.ones(lanes, bool))

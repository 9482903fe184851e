"""Interpolated modified Kneser–Ney n-grams: the baseline beside every model.

Chen & Goodman 1999, "An empirical study of smoothing techniques for language
modeling", eq. 26: with adjusted counts c and contexts h (h' one word shorter),

    p(w | h) = max(c(h w) − D(c(h w)), 0) / c(h ·) + γ(h) · p(w | h')
    γ(h)     = (D₁ N₁(h ·) + D₂ N₂(h ·) + D₃ N₃₊(h ·)) / c(h ·)

down to the uniform distribution 1/V. The discounts D₁, D₂, D₃ of each order come from
its counts of counts in the training split (their eq. 17): nothing is tuned. Counts of
the highest order are occurrences; below it, distinct left neighbours, except for
n-grams at the start of a sentence, which have none. The vocabulary is closed: V ids,
`<unk>` and `<eos>` among them. Contexts end at the start of the sentence; text without
sentence marks is one long sentence.
"""

import dataclasses
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from data_pipeline.config import DataConfig
from data_pipeline.dataset import prepare
from data_pipeline.errors import DataError
from data_pipeline.told import told
from data_pipeline.types import Dataset, TokenArray
from experiments.console.command_line import command_line, user_errors
from lm.config import within


class Order(NamedTuple):
    """Counts of one order k; rows are the distinct k-grams, sorted by key.

    keys (R,) context row · (V+1) + word; discounted (R,) max(c − D(c), 0);
    total and gamma (C,) by row of the (k−1)-gram that is the context.
    """

    keys: np.ndarray
    discounted: np.ndarray
    total: np.ndarray
    gamma: np.ndarray


class NGram(NamedTuple):
    """A fitted model; orders[k-1] holds the k-grams."""

    orders: list[Order]
    size: int


class _Padded(NamedTuple):
    """Sentences with one start mark (id V) before each; position in the sentence."""

    tokens: np.ndarray
    places: np.ndarray


def fit(tokens: TokenArray, size: int, order: int) -> NGram:
    """Count the training split. `size` is V, `order` the longest n-gram."""
    if order < 1:
        raise ValueError(f"order is {order}; an n-gram model needs 1 or more")
    text = _padded(tokens, size)
    rows, keys = [], []
    for k in range(1, order + 1):
        key = _keys(text, rows, k, size)
        table, inverse = np.unique(key, return_inverse=True)
        if table[-1] < 0:  # no sentence is this long
            order = k - 1
            break
        rows.append(np.where(key >= 0, inverse - (table[0] < 0), -1))
        keys.append(table[table >= 0])
    orders = []
    for k in range(1, order + 1):
        longer = rows[k] if k < order else None
        counts = _adjusted(text, rows[k - 1], longer, k, len(keys[k - 1]))
        contexts = len(keys[k - 2]) if k > 1 else 1
        orders.append(_order(keys[k - 1], counts, contexts, size))
    return NGram(orders, size)


def probabilities(model: NGram, tokens: TokenArray) -> np.ndarray:
    """p of each token given the tokens before it in its sentence, (N,) float64."""
    text = _padded(tokens, model.size)
    result = np.full(len(text.tokens), 1 / model.size)
    rows: list[np.ndarray] = []
    for k, order in enumerate(model.orders, start=1):
        context = _contexts(text, rows, k)
        key = np.where(context >= 0, context * (model.size + 1) + text.tokens, -1)
        row = np.searchsorted(order.keys, key)
        found = np.append(order.keys, -1)[row] == key
        row = np.where((key >= 0) & found, row, -1)
        total = np.where(context >= 0, order.total[context], 0)
        known = total > 0
        own = np.where(row >= 0, order.discounted[row], 0) / np.where(known, total, 1)
        result = np.where(known, own + order.gamma[context] * result, result)
        rows.append(row)
    return result[text.places > 0]


def nats(
    texts: Mapping[str, TokenArray],
    size: int,
    order: int,
    splits: Sequence[str] = ("valid", "test"),
) -> dict[str, np.ndarray]:
    """−ln p (N,) of each token of some splits, by an n-gram model of train."""
    model = fit(texts["train"], size, order)
    return {split: -np.log(probabilities(model, texts[split])) for split in splits}


def summed_up(nats: Mapping[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """Nats per token and perplexity of each split."""
    means = {split: float(nats_N.mean()) for split, nats_N in nats.items()}
    return {
        split: {"nats_per_token": mean, "perplexity": math.exp(mean)}
        for split, mean in means.items()
    }


def baseline(dataset: Dataset, order: int) -> dict[str, dict[str, float]]:
    """Nats per token and perplexity on valid and test of an n-gram model of train."""
    return summed_up(nats(dataset.splits, dataset.vocabulary.size, order))


def _padded(tokens: TokenArray, size: int) -> _Padded:
    lengths = np.diff(tokens.starts)
    text = np.insert(tokens.ids.astype(np.int64), tokens.starts[:-1], size)
    begin = tokens.starts[:-1] + np.arange(len(lengths))
    return _Padded(text, np.arange(len(text)) - np.repeat(begin, lengths + 1))


def _contexts(text: _Padded, rows: list[np.ndarray], k: int) -> np.ndarray:
    """Row of the (k−1)-gram before each position, -1 where there is none."""
    if k == 1:
        return np.zeros(len(text.tokens), np.int64)
    before = np.concatenate([[-1], rows[k - 2][:-1]])
    return np.where(text.places >= k - 1, before, -1)


def _keys(text: _Padded, rows: list[np.ndarray], k: int, size: int) -> np.ndarray:
    context = _contexts(text, rows, k)
    return np.where(context >= 0, context * (size + 1) + text.tokens, -1)


def _adjusted(
    text: _Padded, row: np.ndarray, longer: np.ndarray | None, k: int, size: int
) -> np.ndarray:
    """Counts of each k-gram: occurrences, or distinct left neighbours below the top."""
    if longer is None:
        return np.bincount(row[(row >= 0) & (text.places > 0)], minlength=size)
    _, first = np.unique(longer, return_index=True)
    first = first[longer[first] >= 0]
    counts = np.bincount(row[first], minlength=size)
    starting = row[(text.places == k - 1) & (text.places > 0)]
    return counts + np.bincount(starting, minlength=size)


def _order(keys: np.ndarray, counts: np.ndarray, contexts: int, size: int) -> Order:
    context = keys // (size + 1)
    counts = np.where(keys % (size + 1) == size, 0, counts)  # the start mark
    discounts = np.array([0.0, *_discounts(counts)])
    discount = discounts[np.minimum(counts, 3)]
    total = np.bincount(context, counts, contexts)
    left_over = np.bincount(context, discount, contexts)
    gamma = left_over / np.where(total > 0, total, 1)
    return Order(keys, counts - discount, total, gamma)


def _discounts(counts: np.ndarray) -> list[float]:
    """D₁, D₂, D₃₊ from counts of counts; ½, 1, 1½ where these are degenerate."""
    n = [int(np.sum(counts == c)) for c in range(5)]
    if min(n[1:]) == 0:
        return [0.5, 1.0, 1.5]
    y = n[1] / (n[1] + 2 * n[2])
    return [
        float(np.clip(c - (c + 1) * y * n[c + 1] / n[c], 0.05 * c, c - 0.05))
        for c in (1, 2, 3)
    ]


@dataclass(frozen=True)
class Ngram:
    """Which text, and which orders."""

    corpus: str = "stdlib_docs"
    """Name or path."""
    tokenizer: str = "words"
    """As `--data.tokenizer` of training."""
    max_vocabulary: int = 10_000
    """Most tokens kept, special marks included; 0 keeps all."""
    min_count: int = 1
    """Fewest occurrences of a token that is kept."""
    errors: Literal["strict", "replace"] = "strict"
    """What becomes of bytes that are no UTF-8: refused, or U+FFFD."""
    order: int = 4
    """Longest n-gram."""

    def __post_init__(self):
        within("--order", self.order, 1, 20)


def main(argv: Sequence[str] | None = None) -> None:
    """Print perplexities by order."""
    words = sys.argv[1:] if argv is None else argv
    prog = "python -m experiments.ngram"
    given = command_line(Ngram, words, __doc__ or "", prog=prog)
    settings = dataclasses.asdict(given)
    longest = settings.pop("order")
    with user_errors():
        try:
            dataset = prepare(DataConfig(**settings))
        except DataError as error:  # training's options have other names here
            raise DataError(str(error).replace("--data.", "--")) from None
        for line in told(dataset.corpus):
            print(line)
        unknown = dataset.corpus.facts["unknown_rate"]
        for order in range(1, longest + 1):
            scores = baseline(dataset, order)
            valid, test = (scores[s]["perplexity"] for s in ("valid", "test"))
            print(
                f"{order}-gram  valid {valid:8.2f}  test {test:8.2f}  with "
                f"{unknown['valid']:.1%} and {unknown['test']:.1%} unknown"
            )


if __name__ == "__main__":
    main()

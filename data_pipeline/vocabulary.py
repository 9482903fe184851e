"""The vocabulary: which tokens have an id, saved as JSON beside the weights.

Id 0 is `<eos>`, the one boundary mark: the context before a first token and the
target after a last one (Mikolov's convention, by which Penn Treebank has exactly
10,000 tokens). It also fills padding, which masks take out. Id 1 is `<unk>`; the same
letters in the text map to it. Then by falling frequency in the training split, ties
in alphabetical order.
"""

import functools
import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_pipeline.errors import DataError, unknown_name
from data_pipeline.tokenizers import TOKENIZERS, tokenizer_named
from data_pipeline.tokens import EOS, UNK

EOS_ID, UNK_ID = 0, 1
FORMAT = "vocabulary-1"


@dataclass(frozen=True)
class Vocabulary:
    """Tokens in order of their ids, with counts in the training split.

    `counts[UNK_ID]` counts the training tokens that became `<unk>`. `tokenizer` and
    `lower` say how text was cut, so that new text can be cut alike; `model` is the
    JSON of a learnt tokenizer.
    """

    tokens: tuple[str, ...]
    counts: tuple[int, ...]
    tokenizer: str = "words"
    lower: bool = False
    model: str = ""

    @property
    def size(self) -> int:
        """V, the number of ids."""
        return len(self.tokens)

    @functools.cached_property
    def index(self) -> Mapping[str, int]:
        """Id of each token."""
        return {token: i for i, token in enumerate(self.tokens)}

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of all that it says: what an id means, and how text is cut."""
        return hashlib.sha256(json.dumps(self._record()).encode()).hexdigest()

    def id_of(self, token: str) -> int:
        """The token's id, or that of `<unk>`."""
        return self.index.get(token, UNK_ID)

    def encode(self, tokens: Sequence[str]) -> np.ndarray:
        """Ids (N,) int32 of N tokens."""
        ids = (self.index.get(token, UNK_ID) for token in tokens)
        return np.fromiter(ids, np.int32, len(tokens))

    def decode(self, ids: Iterable[int]) -> list[str]:
        """The tokens with these ids."""
        return [self.tokens[int(i)] for i in ids]

    def balanced_classes(self, classes: int) -> tuple[int, ...]:
        """First ids of at most `classes` runs of ids with about equal shares of the
        training tokens, frequent ones first: for class-based or adaptive softmax
        (Mikolov 2011; Grave 2017)."""
        reached = np.cumsum(self.counts) / max(1, sum(self.counts))
        bounds = np.searchsorted(reached, np.arange(1, classes) / classes) + 1
        bounds = np.minimum(bounds, self.size - 1)
        return (0, *(int(b) for b in np.unique(bounds) if b > 0))

    def save(self, path: str | Path) -> None:
        """Write JSON, atomically."""
        path = Path(path)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_text(self.text(), encoding="utf-8")
        temporary.replace(path)

    def text(self) -> str:
        """The JSON that `save` writes."""
        return json.dumps(self._record(), ensure_ascii=False)

    def _record(self) -> dict[str, object]:
        return {
            "format": FORMAT,
            "tokenizer": self.tokenizer,
            "lower": self.lower,
            "model": self.model,
            "tokens": self.tokens,
            "counts": self.counts,
        }

    @classmethod
    def load(cls, path: str | Path) -> "Vocabulary":
        """Read what `save` wrote; raises DataError when it is something else."""
        try:
            record = json.loads(Path(path).read_text(encoding="utf-8"))
            return _checked(record, cls)
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}") from None
        except RecursionError:
            raise DataError(f"{path} is not a vocabulary: nested too deeply") from None
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path} is not a vocabulary of ours: {error}") from None


def _checked(record: dict, kind: type[Vocabulary]) -> Vocabulary:
    """The vocabulary in a JSON record; ValueError, KeyError or TypeError if none."""
    if record["format"] != FORMAT:
        raise ValueError(f"its format is {record['format']!r}")
    tokens, counts = record["tokens"], record["counts"]
    name, model = record["tokenizer"], record.get("model", "")
    if not all(type(token) is str for token in tokens):
        raise ValueError("a token is no text")
    if list(tokens[:2]) != [EOS, UNK]:
        raise ValueError(f"it does not begin with {EOS} and {UNK}")
    if len(set(tokens)) != len(tokens):
        raise ValueError("a token stands there twice")
    if len(counts) != len(tokens):
        raise ValueError(f"{len(tokens)} tokens have {len(counts)} counts")
    if not all(type(n) is int and 0 <= n < 1 << 62 for n in counts):
        raise ValueError("a count is no whole number")
    if type(record["lower"]) is not bool or type(model) is not str:
        raise ValueError("lower or model is of another type")
    if str(name) not in TOKENIZERS:
        raise unknown_name("tokenizer", str(name), TOKENIZERS)
    if (name == "bpe") != bool(model):
        raise ValueError(f"its tokenizer is {name!r}, with model {model[:20]!r}")
    if model:
        _check_model(model)
    return kind(tuple(tokens), tuple(counts), name, record["lower"], model)


def _check_model(model: str) -> None:
    try:
        tokenizer_named("bpe", model)
    except DataError:
        raise
    except Exception as error:  # whatever the library makes of broken JSON
        raise ValueError(f"its learnt tokenizer cannot be read: {error}") from None


def build_vocabulary(
    counts: Mapping[str, int],
    sentences: int,
    *,
    max_size: int = 0,
    min_count: int = 1,
    tokenizer: str = "words",
    lower: bool = False,
    model: str = "",
    alphabet: Sequence[str] = (),
) -> Vocabulary:
    """The most frequent tokens of the training split.

    Args:
      counts: occurrences of each token in the training split.
      sentences: how many `<eos>` the training split holds.
      max_size: most ids, the two special ones included; 0 for no limit.
      min_count: fewest occurrences of a token that is kept.
      alphabet: tokens that are kept in any case, even unseen.
    """
    total = sum(counts.values())
    always = dict.fromkeys(alphabet, 0)
    ordinary = [(t, n) for t, n in counts.items() if t not in (EOS, UNK)]
    ordinary = [(t, n) for t, n in ordinary if n >= min_count and t not in always]
    ordinary.sort(key=_by_frequency)
    if max_size:
        ordinary = ordinary[: max(0, max_size - 2 - len(always))]
    ordinary += [(t, counts.get(t, 0)) for t in always]
    ordinary.sort(key=_by_frequency)
    kept = sum(n for _, n in ordinary)
    marks = counts.get(EOS, 0)
    return Vocabulary(
        tokens=(EOS, UNK, *(t for t, _ in ordinary)),
        counts=(sentences + marks, total - kept - marks, *(n for _, n in ordinary)),
        tokenizer=tokenizer,
        lower=lower,
        model=model,
    )


def _by_frequency(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]

"""What sentences that were scored come to: sums, and the best of each group."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from data_pipeline.errors import DataError
from experiments.applications.language_model.sentences import Sentence
from lm.losses import bits, perplexity


def nothing_to_score() -> DataError:
    """Of a text without a token."""
    return DataError("there is no text to score: give lines with words in them")


class Sums(NamedTuple):
    """Of sentences: nats and tokens that count, those of them that are out of
    vocabulary, and sentences that have any."""

    nats: float = 0.0
    tokens: int = 0
    oov_nats: float = 0.0
    oov: int = 0
    sentences: int = 0

    def plus(self, sentence: Sentence) -> "Sums":
        """With one more."""
        nats, unknown = sentence.scored, sentence.unknown[sentence.blank :]
        return Sums(
            self.nats + sentence.total,
            self.tokens + len(nats),
            self.oov_nats + float(nats[unknown].sum(dtype=np.float64)),
            self.oov + int(unknown.sum()),
            self.sentences + (len(nats) > 0),
        )


def total_of(sentences: Iterable[Sentence]) -> dict[str, Any]:
    """See `total_of_sums`."""
    sums = Sums()
    for sentence in sentences:
        sums = sums.plus(sentence)
    return total_of_sums(sums)


def total_of_sums(sums: Sums) -> dict[str, Any]:
    """Nats per token, perplexity and counts over all sentences.

    Outside "excluding_oov" words that the vocabulary lacks count with the probability
    of `<unk>`: KenLM's "perplexity including OOVs". In it neither they nor their
    probabilities are counted, though they are still read as context: KenLM's
    "excluding OOVs", and what the RNNLM toolkit prints, which skips them. A literal
    `<unk>` in the text is out of vocabulary here and in KenLM; the RNNLM toolkit
    counts it where training had it as a word.

    Raises:
      DataError: where no token counts.
    """
    if not sums.tokens:
        raise nothing_to_score()
    known = sums.tokens - sums.oov
    return {
        **_means(sums.nats, sums.tokens),
        "sentences": sums.sentences,
        "oov": sums.oov,
        "unknown_rate": sums.oov / sums.tokens,
        "excluding_oov": _means(sums.nats - sums.oov_nats, known),
    }


def _means(nats: float, tokens: int) -> dict[str, Any]:
    mean = nats / tokens if tokens else None
    return {
        "nats_per_token": mean,
        "perplexity": None if mean is None else perplexity(mean),
        "bits_per_token": None if mean is None else bits(mean),
        "tokens": tokens,
    }


def best_of_groups(sentences: Sequence[Sentence]) -> list[Sentence]:
    """The likeliest sentence of each group, groups in order of appearance. An empty
    hypothesis is taken only where its group has no other."""
    best: dict[Any, Sentence] = {}
    for sentence in sentences:
        held = best.setdefault(sentence.line.group, sentence)
        if _rank(sentence) < _rank(held):
            best[sentence.line.group] = sentence
    return list(best.values())


def _rank(sentence: Sentence) -> tuple[bool, float]:
    return not sentence.text.strip(), sentence.total

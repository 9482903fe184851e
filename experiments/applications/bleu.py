"""BLEU of a corpus, by sacrebleu (Papineni et al. 2002; Post 2018)."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from sacrebleu.metrics.bleu import BLEU


@cache
def _metric(lower: bool, sentence: bool) -> Any:
    # force: no word of warning where a text is made of tokens between blanks.
    return BLEU(lowercase=lower, effective_order=sentence, force=True)


def bleu(answers: Sequence[str], references: Sequence[str], lower=False) -> float:
    """0 to 100, of detokenised text: sacrebleu cuts it by its own rule, 13a."""
    metric = _metric(lower, False)
    return float(metric.corpus_score(list(answers), [list(references)]).score)


def sentence_bleu(answer: str, reference: str) -> float:
    """0 to 100, of one sentence, with the orders that it is long enough for."""
    return float(_metric(False, True).sentence_score(answer, [reference]).score)


def signature() -> str:
    """What sacrebleu did, in the form that is published."""
    metric = _metric(False, False)
    metric.corpus_score(["a"], [["a"]])
    return str(metric.get_signature())


def scores_of(answers: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """{"bleu": with case; "bleu_lower": both lower-cased; "exact": share of answers
    that are their reference}."""
    same = sum(a == b for a, b in zip(answers, references, strict=True))
    return {
        "bleu": bleu(answers, references),
        "bleu_lower": bleu(answers, references, lower=True),
        "exact": same / max(len(references), 1),
    }

"""What a run says first of its text: how it was read, and what was lost on the way."""

import numpy as np

from data_pipeline.config import DataConfig
from data_pipeline.printable import printable
from data_pipeline.types import Corpus, Dataset

MANY_UNKNOWN = 0.2  # a share of unknown words above which perplexities say little
SETTINGS = {
    "drop_containing": "contain what data.drop_containing lists",
    "min_length": "are shorter than data.min_length",
}


def told(corpus: Corpus) -> list[str]:
    """`understood`, and the share of words that the vocabulary does not know."""
    lines = understood(corpus)
    rates = corpus.facts.get("unknown_rate", {})
    if any(rates.values()):
        shares = ", ".join(f"{split} {rate:.2%}" for split, rate in rates.items())
        line = f"unknown words: {shares}"
        if max(rates.values()) > MANY_UNKNOWN:
            line += (
                "; so many that perplexity says little: raise data.max_vocabulary or "
                "lower data.min_count"
            )
        lines.append(line)
    return lines


def understood(corpus: Corpus) -> list[str]:
    """How the text was understood and what was left out, with counts: the `notes` of
    its facts, and lines that settings left out."""
    facts = corpus.facts
    lines = [printable(note) for note in facts.get("notes", ())]
    for split, dropped in facts.get("lines_left_out", {}).items():
        lines += [
            f"{_left_out(count, split)} {SETTINGS[setting]}"
            for setting, count in dropped.items()
        ]
    for split, count in facts.get("duplicates_left_out", {}).items():
        lines.append(f"{_left_out(count, split)} stand in a later split as well")
    return lines


def pieces(dataset: Dataset, config: DataConfig) -> list[str]:
    """Sentences too long for one batch, which a language model of sentences reads in
    pieces: every token counts, but a piece knows nothing of the one before it."""
    if config.reading != "sentences":
        return []
    lines = []
    for split, tokens in dataset.splits.items():
        lengths = np.diff(tokens.starts)
        if count := int((lengths > config.max_length).sum()):
            lines.append(
                f"{count:,} of {lengths.size:,} sentences of {split} have more than "
                f"data.max_length {config.max_length} tokens and are read in pieces"
            )
    return lines


def _left_out(count: int, split: str) -> str:
    return f"{count:,} lines of {split} left out: they"

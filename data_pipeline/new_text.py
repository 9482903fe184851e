"""New text as ids, cut and cased as the text of a vocabulary was."""

from collections.abc import Iterable

import numpy as np

from data_pipeline.encode import Cut, encode_block
from data_pipeline.merge import Merger
from data_pipeline.tokenizers import TOKENIZERS
from data_pipeline.types import TokenArray
from data_pipeline.vocabulary import Vocabulary


def encode_text(
    vocabulary: Vocabulary,
    tokenizer: str | None,
    text_lines: Iterable[str],
    *,
    marks: bool = True,
) -> TokenArray:
    """New text, one sentence a line, as the vocabulary's text was cut and cased.

    Args:
      tokenizer: a name in TOKENIZERS; None for the vocabulary's own.
      marks: end each line with `<eos>`. Without it (characters as streams) newlines
        are kept as tokens and the text is one piece.
    """
    name = tokenizer or vocabulary.tokenizer
    marks = marks or TOKENIZERS[name].marks
    cut = Cut(name, vocabulary.model, lower=vocabulary.lower, marks=marks)
    lines = (line.replace("\0", "\ufffd") for line in text_lines)
    text = "".join(
        line if line[-1:] == "\n" or not marks else f"{line}\n" for line in lines
    )
    merger = Merger()
    block = merger.add("test", encode_block(text, cut))
    ids = merger.ids(vocabulary)[block.merged][block.numbers]
    ends = np.flatnonzero(block.numbers == 0) + 1 if marks else np.array([len(ids)])
    return TokenArray(ids, np.concatenate([[0], ends]).astype(np.int64))

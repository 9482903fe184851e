"""Subwords by byte-pair encoding (Sennrich 2016), on bytes as GPT-2 does.

Learnt from the training split by Hugging Face's `tokenizers`, from its first 64 MB at
most. All 256 bytes are in the alphabet, so any text can be written and comes back
exactly. The learnt model goes into the vocabulary's JSON.
"""

import functools
from collections.abc import Iterable
from typing import Any

from data_pipeline.errors import DataError
from data_pipeline.tokens import Tokenizer

LEARNT_FROM = 64 << 20  # characters
SMALLEST = 2 + 256


def _library() -> Any:
    try:
        import tokenizers
    except ImportError:
        raise DataError(
            "data.tokenizer bpe needs a package: pip install tokenizers"
        ) from None
    return tokenizers


def train_bpe(blocks: Iterable[str], size: int) -> str:
    """Learn subwords for a vocabulary of `size` ids, marks included; JSON."""
    library = _library()
    if size < SMALLEST:
        raise DataError(
            f"data.max_vocabulary is {size}; subwords need {SMALLEST} or more "
            "(2 marks and 256 bytes)"
        )
    model = library.Tokenizer(library.models.BPE())
    model.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = library.decoders.ByteLevel()
    alphabet = sorted(library.pre_tokenizers.ByteLevel.alphabet())
    trainer = library.trainers.BpeTrainer(
        vocab_size=size - 2, initial_alphabet=alphabet, show_progress=False
    )
    lines = (line for block in _first(blocks) for line in block.split("\n"))
    model.train_from_iterator(lines, trainer)
    return model.to_str()


def _first(blocks: Iterable[str]) -> Iterable[str]:
    total = 0
    for block in blocks:
        yield block[: LEARNT_FROM - total]
        total += len(block)
        if total >= LEARNT_FROM:
            return


@functools.lru_cache(maxsize=4)
def _loaded(model: str) -> Any:
    return _library().Tokenizer.from_str(model)


@functools.lru_cache(maxsize=4)
def load_bpe(model: str) -> Tokenizer:
    """The tokenizer that `train_bpe` learnt."""
    loaded = _loaded(model)
    alphabet = sorted(loaded.get_vocab())

    def split(text: str) -> list[str]:
        return loaded.encode(text).tokens

    return Tokenizer(split, loaded.decoder.decode, alphabet=tuple(alphabet))


def split_lines(model: str, lines: list[str]) -> list[list[str]]:
    """Tokens of each line, in one call."""
    return [encoding.tokens for encoding in _loaded(model).encode_batch(lines)]

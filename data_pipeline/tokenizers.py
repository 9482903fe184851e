"""Tokenizers: pairs of functions, from text to tokens and back.

`words`: words and signs (see `words`); spaces are forgotten, and set by rule where
text is written.

`reversible`: the same, but what was joined is remembered (see `reversible`): text comes
back as it stood.

`whitespace`: runs of visible characters, for text that is tokenised already (Penn
Treebank).

`characters`: what a reader takes for one character (see `graphemes`), white space and
newlines included; lossless.

`bytes`: the bytes of UTF-8, each written as the character of the same number;
lossless, never unknown.

`bpe`: subwords learnt from the training split (see `bpe`); lossless, never unknown.
"""

from data_pipeline.bpe import load_bpe
from data_pipeline.graphemes import split_graphemes
from data_pipeline.reversible import join_reversible, split_reversible
from data_pipeline.tokens import Tokenizer
from data_pipeline.words import join_words, split_words


def split_bytes(text: str) -> list[str]:
    """The UTF-8 bytes, byte b as `chr(b)`."""
    return list(text.encode("utf-8", "surrogatepass").decode("latin-1"))


def join_bytes(tokens: list[str]) -> str:
    """Text again; bytes that are not UTF-8 become U+FFFD."""
    return "".join(tokens).encode("latin-1", "replace").decode("utf-8", "replace")


def _untrained(_: object) -> list[str]:
    raise ValueError("`bpe` is learnt from text: use tokenizer_for(vocabulary)")


TOKENIZERS: dict[str, Tokenizer] = {
    "words": Tokenizer(split_words, join_words, local=True),
    "reversible": Tokenizer(split_reversible, join_reversible),
    "whitespace": Tokenizer(str.split, " ".join, local=True),
    "characters": Tokenizer(split_graphemes, "".join, marks=False),
    "bytes": Tokenizer(
        split_bytes, join_bytes, marks=False, alphabet=tuple(map(chr, range(256)))
    ),
    "bpe": Tokenizer(_untrained, "".join),
}


def tokenizer_named(name: str, model: str = "") -> Tokenizer:
    """The tokenizer of this name; `model` is the JSON of a learnt one."""
    if model:
        return load_bpe(model)
    return TOKENIZERS[name]

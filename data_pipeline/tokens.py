"""What a tokenizer is, and the two marks that no text is needed for."""

from collections.abc import Callable
from typing import NamedTuple

EOS, UNK = "<eos>", "<unk>"


class Tokenizer(NamedTuple):
    """`split(text) -> tokens`, `join(tokens) -> text`.

    marks     sentences are marked off with `<eos>` in streams (not so for characters
              and bytes, where the newline is a token and the text stays as it is).
    local     no token reaches over white space, which is itself no token.
    alphabet  tokens that are kept in any vocabulary, seen or not.
    """

    split: Callable[[str], list[str]]
    join: Callable[[list[str]], str]
    marks: bool = True
    local: bool = False
    alphabet: tuple[str, ...] = ()

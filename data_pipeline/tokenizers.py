"""Tokenizers: pairs of functions, from text to tokens and back.

`words`: a word is a run of letters, digits, underscores and combining marks, which
may hold single apostrophes and hyphens inside (`don't`, `built-in`); each Chinese
character and each kana is a word of its own; `<unk>` is one token; any other visible
character is a token of its own. White space only separates.

`whitespace`: runs of visible characters, for text that is tokenised already (Penn
Treebank).

`characters`: Unicode code points, white space and newlines included; lossless.
"""

import functools
import re
import unicodedata
from collections.abc import Callable
from typing import NamedTuple

UNK = "<unk>"

# Han ideographs and kana: scripts written without spaces between words.
_CJK = "\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_CJK += "\U00020000-\U0003ffff"
_ASCII_WORDS = re.compile(r"\w+(?:['-]\w+)*|<unk>|[^\w\s]", re.ASCII)


class Tokenizer(NamedTuple):
    """`split(text) -> tokens`, `join(tokens) -> text`.

    marks: sentences are marked off with `<eos>` in streams (not so for characters,
    where the newline is a token like any other and the text stays as it is).
    """

    split: Callable[[str], list[str]]
    join: Callable[[list[str]], str]
    marks: bool = True


@functools.lru_cache
def _unicode_words() -> re.Pattern[str]:
    marks = [chr(c) for c in range(0x300, 0x20000) if _is_mark(c)]
    word = rf"(?:(?![{_CJK}])[\w{''.join(marks)}\u200c\u200d])+"
    return re.compile(rf"<unk>|{word}(?:['’-]{word})*|[{_CJK}]|\S")


def _is_mark(code: int) -> bool:
    return unicodedata.category(chr(code))[0] == "M"


def split_words(text: str) -> list[str]:
    """Tokens of `text` by the `words` rule above."""
    if text.isascii():
        return _ASCII_WORDS.findall(text)
    return _unicode_words().findall(text)


_CLOSE_UP = re.compile(r" (?=[,.;:!?)\]}](?:\s|$|[,.;:!?)\]}]))|(?<=[(\[{]) ")


def join_words(tokens: list[str]) -> str:
    """Readable text; `split_words` gives the same tokens again."""
    return _CLOSE_UP.sub("", " ".join(tokens))


TOKENIZERS: dict[str, Tokenizer] = {
    "words": Tokenizer(split_words, join_words),
    "whitespace": Tokenizer(str.split, " ".join),
    "characters": Tokenizer(list, "".join, marks=False),
}

"""Words: runs of letters, and signs; the cores of two tokenizers.

A word is a run of letters, digits, underscores and combining marks, which may hold
single apostrophes and hyphens inside (`don't`, `built-in`); each Chinese character and
each kana is a word of its own; `<unk>` is one token; any other visible character, with
the marks and joiners that make one sign of it (an accent, a family of emoji), is a
token of its own. White space, U+200B and control characters only separate; other
characters that cannot be seen (soft hyphens, byte-order and direction marks) vanish.
"""

import functools
import re

from data_pipeline.graphemes import (
    TAGS,
    TAGS_AND_SKINS,
    cluster_pattern,
    combining_marks,
)

# Han ideographs and kana: scripts written without spaces between words.
CJK = "\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
CJK += "\U00020000-\U0003ffff"
_ASCII_WORDS = re.compile(r"\w+(?:['-]\w+)*|<unk>|[!-~]", re.ASCII)

# What cannot be seen: of Unicode's formatting characters (category Cf) those that are
# neither signs of Arabic, Syriac and Kaithi nor joiners inside words and emoji, and two
# Hangul fillers.
_VANISH = re.compile(
    "[\u00ad\u061c\u180e\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0"
    "\ufff9-\ufffb\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001]"
)
_SEPARATE = re.compile("[\u200b\x00-\x08\x0e-\x1f\x7f-\x9f]")
_JOINERS = "\u200c\u200d"


@functools.lru_cache(maxsize=64)
def _unicode_words(marks: str) -> re.Pattern[str]:
    """The pattern for a text that holds only these of the combining marks."""
    letter = rf"(?![{CJK}])[\w{marks}]"
    word = rf"(?:{letter}(?:{letter}|[{_JOINERS}])*)"
    after = f"[{marks}{_JOINERS}]*" if marks else f"[{_JOINERS}]*"
    joining = f"{marks}{_JOINERS}{TAGS_AND_SKINS}"
    sign = cluster_pattern(joining, rf"[^\s{_JOINERS}{TAGS}]")
    return re.compile(rf"<unk>|{word}(?:['’-]{word})*|[{CJK}]{after}|{sign}")


def seen(text: str) -> str:
    """The text without what cannot be seen; what only separates is a space."""
    if text.isascii():
        return text
    return _SEPARATE.sub(" ", _VANISH.sub("", text))


def pattern_for(text: str) -> re.Pattern[str]:
    """The pattern of the words and signs of a text that `seen` gave."""
    if text.isascii():
        return _ASCII_WORDS
    marks = combining_marks().intersection(text)
    return _unicode_words("".join(sorted(marks)))


def split_words(text: str) -> list[str]:
    """The words and signs of `text`."""
    text = seen(text)
    return pattern_for(text).findall(text)


_CLOSE_UP = re.compile(
    r" (?=[,.;:!?)\]}](?:\s|$|[,.;:!?)\]}]))|(?<=[(\[{]) (?=[!-~\w])"
)


def join_words(tokens: list[str]) -> str:
    """Readable text; `split_words` gives the same tokens again."""
    return _CLOSE_UP.sub("", " ".join(tokens))

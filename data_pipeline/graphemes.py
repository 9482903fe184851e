"""Characters as readers see them: extended grapheme clusters (Unicode UAX 29).

A base with its combining marks, a Hangul syllable of jamo, a pair of regional
indicators (a flag), or emoji joined by U+200D is one. The classes come from Python's
own `unicodedata` categories, so prepended marks and Indic conjuncts (rules 9b, 9c)
are not joined. Nothing is lost: the clusters, joined, are the text.
"""

import functools
import re
import unicodedata

JOINER = "\u200d"
_SPACING = "\u0e33\u0eb3"  # Thai and Lao am: letters that hang on the one before
_PICTURES = (
    "\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u21ff\u2300-\u23ff\u2460-\u24ff"
    "\u25a0-\u27bf\u2900-\u297f\u2b00-\u2bff\u3030\u303d\u3297\u3299"
    "\U0001f000-\U0001f1e5\U0001f200-\U0001f3fa\U0001f400-\U0001faff"
)
TAGS = "\U000e0020-\U000e007f"  # a range in a pattern, as the next one
TAGS_AND_SKINS = f"\U0001f3fb-\U0001f3ff{TAGS}"
_LEAD, _VOWEL = "\u1100-\u115f\ua960-\ua97c", "\u1160-\u11a7\ud7b0-\ud7c6"
_TAIL, _SYLLABLE = "\u11a8-\u11ff\ud7cb-\ud7fb", "\uac00-\ud7a3"


@functools.cache
def combining_marks() -> frozenset[str]:
    """All characters of Unicode's category M (marks), of this Python's Unicode."""
    codes = [*range(0x300, 0x20000), *range(0xE0100, 0xE01F0)]
    return frozenset(c for c in map(chr, codes) if unicodedata.category(c)[0] == "M")


@functools.cache
def _joining() -> frozenset[str]:
    skins, tags = range(0x1F3FB, 0x1F400), range(0xE0020, 0xE0080)
    extra = [*_SPACING, "\u200c", JOINER, *map(chr, skins), *map(chr, tags)]
    return combining_marks().union(extra)


@functools.cache
def _special() -> frozenset[str]:
    """Characters that may be part of a longer cluster, Hangul syllables aside."""
    jamo = [*range(0x1100, 0x1200), *range(0xA960, 0xA97D), *range(0xD7B0, 0xD7FC)]
    flags = range(0x1F1E6, 0x1F200)
    return _joining().union("\r", map(chr, jamo), map(chr, flags))


@functools.lru_cache(maxsize=64)
def _clusters(joining: str) -> re.Pattern[str]:
    """The pattern for a text that holds only these of the joining characters."""
    return re.compile(rf"\r\n|[\0-\x1f]|{cluster_pattern(joining, '.')}", re.DOTALL)


def cluster_pattern(joining: str, single: str) -> str:
    """The pattern of one cluster, where `joining` characters hang on what is before
    them and `single` is any other character."""
    after = f"[{joining}]*" if joining else ""
    flag = "[\U0001f1e6-\U0001f1ff]"
    picture = rf"[{_PICTURES}](?:{after}{JOINER}[{_PICTURES}])*"
    hangul = rf"[{_LEAD}]*(?:[{_SYLLABLE}]|[{_VOWEL}])[{_VOWEL}]*[{_TAIL}]*"
    base = rf"{flag}{flag}|{picture}|{hangul}|[{_LEAD}]+|[{_TAIL}]+|{single}"
    return rf"(?:{base}){after}"


def is_plain(text: str) -> bool:
    """Whether each code point of `text` is a character of its own."""
    if text.isascii():
        return "\r" not in text
    return _special().isdisjoint(text)


def split_graphemes(text: str) -> list[str]:
    """The characters of `text`."""
    if is_plain(text):
        return list(text)
    present = _joining().intersection(text)
    return _clusters("".join(sorted(present))).findall(text)

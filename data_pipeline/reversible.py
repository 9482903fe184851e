"""Words that remember what was joined, so that text comes back as it stood.

The tokens are those of `words`. Whether there is a space between two of them follows a
rule (none before a closing sign, after an opening one, or between Chinese characters or
kana; one elsewhere), and where the text does otherwise one of the two bears the mark ￭
on the side of the other: the sign rather than the word, then the Chinese character.
`say "no-one"` is `say`, `"￭`, `no-one`, `￭"`: a word is one token wherever it stands,
and opening and closing quotation marks are two. After the reversible tokenizer of
Mielke & Eisner 2018, with the joiner of OpenNMT.

What comes back is the text with single spaces, without what cannot be seen, and with
U+25A0 for each U+FFED, which Unicode calls its compatible form.
"""

import functools
import re

from data_pipeline.words import CJK, pattern_for, seen

JOINER, SQUARE = "\uffed", "\u25a0"
_CLOSING = frozenset(",.;:!?)]}%…’”»")
_OPENING = frozenset("([{“«¿¡")
_BETWEEN = re.compile(r"[\s\x00-\x1f\x7f]")  # what separates in a text that `seen` gave
_WORD = re.compile(r"\w|<unk>")
_DENSE = re.compile(f"[{CJK}\u3001-\u3003\u3008-\u3011\u3014-\u301f\uff01-\uff65]")
SIGN, CHARACTER, WORD = range(3)


def split_reversible(text: str) -> list[str]:
    """Words and signs of `text`, marked where its spaces are not those of the rule."""
    text = seen(text).replace(JOINER, SQUARE)
    marked: list[str] = []
    before, kind_before, end = "", SIGN, 0
    for match in pattern_for(text).finditer(text):
        token, start = match.group(), match.start()
        kind_now = kind(token)
        if marked:
            joined = start == end or not _BETWEEN.search(text, end, start)
            if joined == apart(before, token, kind_before, kind_now):
                if kind_before < kind_now:
                    marked[-1] += JOINER
                else:
                    token = JOINER + token
        marked.append(token)
        before, kind_before, end = match.group(), kind_now, match.end()
    return marked


def join_reversible(tokens: list[str]) -> str:
    """The text; `split_reversible` gives the same tokens again."""
    text: list[str] = []
    before, odd = "", False
    for token in tokens:
        core = token.strip(JOINER)
        odd = odd or token.startswith(JOINER)
        if text and odd != apart(before, core, kind(before), kind(core)):
            text.append(" ")
        text.append(core)
        before, odd = core, token.endswith(JOINER)
    return "".join(text)


@functools.lru_cache(maxsize=1 << 16)
def kind(token: str) -> int:
    """SIGN, CHARACTER (of a script without spaces) or WORD."""
    if _DENSE.match(token):
        return CHARACTER
    return WORD if _WORD.match(token) else SIGN


def apart(a: str, b: str, kind_a: int, kind_b: int) -> bool:
    """Whether the rule sets a space between two tokens."""
    if b in _CLOSING or a in _OPENING:
        return False
    return not kind_a == kind_b == CHARACTER

"""Sentence splitting by one documented rule.

A sentence ends at `.`, `!` or `?` (with any closing quotes or brackets) when white
space follows and the next visible character is not a lower-case letter, unless the
word before the full stop is a known abbreviation or a single letter. The marks
`。！？।` end a sentence wherever they stand. Nothing but white space at the cuts is
lost.
"""

import re

ABBREVIATIONS = frozenset(
    "e.g i.e etc vs cf al mr mrs ms dr prof st no nos vol fig eq sec ch pp ed resp "
    "approx inc ltd co corp jr sr jan feb mar apr jun jul aug sep sept oct nov dec "
    "a.k.a u.s u.k".split()
)
_END = re.compile(r"([.!?]+[\"'”’)\]}]*)\s+(?=[^\sa-z])|([。！？।]+[”’」』）]*)\s*")
_LAST_WORD = re.compile(r"[\w.'’-]+$")


def split_sentences(text: str) -> list[str]:
    """The sentences of `text`, without the white space between them."""
    sentences, start = [], 0
    for match in _END.finditer(text):
        if match[1] == "." and _abbreviated(text[start : match.start()]):
            continue
        cut = match.end(1) if match[1] else match.end(2)
        sentences.append(text[start:cut].strip())
        start = match.end()
    sentences.append(text[start:].strip())
    return [sentence for sentence in sentences if sentence]


def sentence_end(text: str, at: int) -> int:
    """Where the first sentence that ends at or after `at` is over, white space after
    it included; the text's end where none does."""
    for match in _END.finditer(text, at):
        if match[1] != "." or not _abbreviated(
            text[max(0, match.start() - 20) : match.start()]
        ):
            return match.end()
    return len(text)


def _abbreviated(before: str) -> bool:
    word = _LAST_WORD.search(before[-20:])
    if word is None:
        return False
    return word[0].lower() in ABBREVIATIONS or bool(re.fullmatch(r"[A-Za-z]", word[0]))

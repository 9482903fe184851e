"""Tokens as they stand in their text, and what is between them."""

from collections.abc import Iterator, Sequence

from data_pipeline.tokens import EOS
from data_pipeline.vocabulary import Vocabulary
from experiments.applications.language_model import words
from experiments.applications.language_model.pieces import Piece

# GPT-2's letters for the 256 bytes: what is printable as it is, the rest from 256 on.
_SAME = [*range(33, 127), *range(161, 173), *range(174, 256)]
_OTHERS = [byte for byte in range(256) if byte not in _SAME]
_BYTE = {chr(b): b for b in _SAME} | {chr(256 + n): b for n, b in enumerate(_OTHERS)}
_SIGNS = {"\n": "↵", "\t": "⇥", "\r": "␍"}


def text_of(vocabulary: Vocabulary, token: str) -> str:
    """What a token is in the text; bytes that are no whole character as `‹E4›`, what
    cannot be seen as `‹U+200B›`, a newline as `↵`."""
    text = words.text_of(vocabulary, [token])
    if "\ufffd" in text and vocabulary.tokenizer in ("bytes", "bpe"):
        whole = vocabulary.tokenizer == "bytes"
        found = [ord(sign) if whole else _BYTE.get(sign, 0) for sign in token]
        return f"‹{' '.join(f'{byte:02X}' for byte in found)}›"
    if text and not any(sign.isprintable() for sign in text):
        return "".join(_SIGNS.get(sign, f"‹U+{ord(sign):04X}›") for sign in text)
    return text


def named(vocabulary: Vocabulary, token: str) -> str:
    """A token in a list of tokens, where spaces would be lost and marks of what was
    joined tell two tokens apart."""
    if vocabulary.tokenizer not in words.SPLIT and token.isprintable():
        return token
    return text_of(vocabulary, token).replace(" ", "␣")


def placed(vocabulary: Vocabulary, piece: Piece) -> Iterator[tuple[str, str]]:
    """(white space before it, text) of each token of a line."""
    line = piece.line.text.lower() if vocabulary.lower else piece.line.text
    at, between = 0, vocabulary.tokenizer not in words.SPLIT
    for number, token in enumerate(piece.tokens):
        text, gap = text_of(vocabulary, token), ""
        if between:
            place = -1 if token == EOS else line.find(text, at)
            gap = line[at:place] if place >= 0 else " "
            at = place + len(text) if place >= 0 else at
            # What the tokenizer left out besides white space cannot be seen.
            gap = (gap if gap.isspace() else " ") if gap and number else ""
        yield gap, text


def lines_of(
    vocabulary: Vocabulary, pieces: Sequence[Piece]
) -> Iterator[list[tuple[int, str, str]]]:
    """(number from 1 on, white space before it, text) of the tokens of each line."""
    number = 0
    for piece in pieces:
        line = []
        for gap, text in placed(vocabulary, piece):
            number += 1
            line.append((number, gap, text))
        yield line

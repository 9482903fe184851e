"""Words made of tokens.

A token is a word where the tokenizer cuts words. Of subwords, characters and bytes a
word is what stands between white space, and its surprisal is the sum of its tokens'.
The white space before a word belongs to it (leading, as GPT-2's subwords begin with
their space): what a model pays for a space, that is for ending the word before, is
counted with the word that follows. In predictions of reading times that is a confound,
for which there is a correction (Oh & Schuler 2024; Pimentel & Meister 2024); it is not
made here. What ends a line is a word of its own, so the words of a line always sum to
the line.
"""

from collections.abc import Sequence

from data_pipeline.tokenizers import tokenizer_named
from data_pipeline.tokens import EOS, UNK
from data_pipeline.vocabulary import Vocabulary

BOUNDARY = (
    "a word's surprisal is the sum of its tokens'; the white space before it is its own"
)
SPLIT = ("characters", "bytes", "bpe")  # tokenizers by which a word has several tokens
_BYTES = frozenset(" \t\n\r\v\f")
# The same bytes as `bpe` writes them (GPT-2's table of printable characters).
_BPE = frozenset("ĠĉĊčċČ")


def word_starts(tokenizer: str, tokens: Sequence[str]) -> list[int]:
    """Where each word of a line begins, rising; [] of an empty one."""
    if tokenizer not in SPLIT:
        return list(range(len(tokens)))
    starts, seen = [], True  # seen: whether the word has a visible sign so far
    for at, token in enumerate(tokens):
        space, visible = _kind(tokenizer, token)
        if not at or (seen and space):
            starts.append(at)
            seen = False
        seen = seen or visible
    return starts


def _kind(tokenizer: str, token: str) -> tuple[bool, bool]:
    """Whether a word may begin with the token, and whether it has a visible sign."""
    if token == EOS:
        return True, True
    if tokenizer == "characters":
        return token[:1].isspace(), not token.isspace()
    spaces = _BPE if tokenizer == "bpe" else _BYTES
    return token[:1] in spaces, not spaces.issuperset(token)


def is_split(vocabulary: Vocabulary) -> bool:
    """Whether a word can have several tokens."""
    return vocabulary.tokenizer in SPLIT


def text_of(vocabulary: Vocabulary, tokens: Sequence[str]) -> str:
    """What these tokens are in the text, white space included."""
    if len(tokens) == 1 and tokens[0] in (EOS, UNK):
        return tokens[0]
    marked = bool(tokens) and tokens[-1] == EOS
    inner = list(tokens[:-1] if marked else tokens)
    join = tokenizer_named(vocabulary.tokenizer, vocabulary.model).join
    return join(inner) + EOS * marked


def word_of(vocabulary: Vocabulary, tokens: Sequence[str]) -> str:
    """The same as a word: without the white space around it, unless it is nothing
    else."""
    text = text_of(vocabulary, tokens)
    return text.strip() or text

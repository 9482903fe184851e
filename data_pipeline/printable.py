"""Text of strangers (names of files, words of a corpus) as a terminal may show it."""


def printable(text: str) -> str:
    """The text with characters that steer a terminal, or are none, as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")

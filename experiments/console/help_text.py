"""What `--help` says, laid out for terminals: paragraphs flow, examples stay.

tyro breaks a text wherever a line begins with anything but a letter, and does not fill
lines of a description; both are replaced here, in its modules, for all commands.
"""

import re
import textwrap

from tyro import _docstrings, _strings

WIDTH = 80
_documented = _docstrings.parse_docstring_from_object


def use() -> None:
    """From now on `--help` is laid out so."""
    _docstrings.parse_docstring_from_object = flowing  # type: ignore[assignment]
    _strings.remove_single_line_breaks = laid_out


def flowing(kind: object) -> dict[str, str]:
    """A record's fields and what their docstrings say, a paragraph each."""
    return {name: " ".join(text.split()) for name, text in _documented(kind).items()}


def laid_out(text: str) -> str:
    """Paragraphs filled to 80 columns. Where lines are indented they stay lines; one of
    a list, NAME and what it is, goes on below its second column. A text of one line
    stays as it is."""
    if "\n" not in text.strip():
        return text.strip()
    paragraphs = re.split(r"\n\s*\n", text.strip("\n").rstrip())
    return "\n\n".join(_filled(paragraph) for paragraph in paragraphs)


def _filled(paragraph: str) -> str:
    lines = paragraph.split("\n")
    if not any(line.startswith(" ") for line in lines):
        return textwrap.fill(" ".join(paragraph.split()), WIDTH)
    return "\n".join(_hanging(line) for line in lines)


def _hanging(line: str) -> str:
    head = re.match(r"\s*\S+\s{2,}", line)
    if head is None or len(line) <= WIDTH:
        return line
    return textwrap.fill(
        line,
        WIDTH,
        subsequent_indent=" " * head.end(),
        break_on_hyphens=False,
        break_long_words=False,
    )

"""Text of others on a terminal: control characters are shown, not obeyed."""

import json
import re
from typing import Any

from experiments.run.files import plain

# C0 but for tab and newline, DEL, C1, and halves of surrogate pairs.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_IN_TSV = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_UNSAFE_IN_JSON = re.compile("[\x7f-\x9f\ud800-\udfff]")


def visible(text: str) -> str:
    """The text with its control characters as escapes: `\\x1b` for ESC. Tabs and
    newlines stay."""
    return _CONTROLS.sub(lambda found: ascii(found[0])[1:-1], text)


def tsv_cell(text: str) -> str:
    """The text as a cell of TSV: backslash, tab, newline and carriage return are
    written as \\\\, \\t, \\n and \\r."""
    return text.translate(_IN_TSV)


def json_line(record: dict[str, Any]) -> str:
    """One line of JSON that any terminal and any encoding of Unicode takes."""
    line = json.dumps(plain(record), ensure_ascii=False)
    return _UNSAFE_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", line)

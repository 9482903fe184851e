"""RUN/samples.txt: texts written on the way, under the step that wrote them."""

import re
from pathlib import Path

from experiments.run.files import writing

HEADER = "=== step {} ==="
_HEADERS = re.compile("^(?==== step \\d+ ===$)", re.M)
_HEADER = re.compile(rb"=== step (\d{1,18}) ===\n")


def append_samples(path: Path, step: int, texts: list[str]) -> None:
    """Appends texts written after `step` steps; a line of a text that looks like a
    header is set in by a blank."""
    lines = "".join(_HEADERS.sub(" ", f"{text}\n") for text in texts)
    with writing(path), open(path, "ab") as file:
        file.write(f"{HEADER.format(step)}\n{lines}".encode("utf-8", "replace"))


def rewind_samples(path: Path, step: int) -> None:
    """Drops what was written beyond `step`; bytes before stay as they are."""
    if not path.exists():
        return
    with writing(path), open(path, "rb+") as file:
        begin = 0
        for line in file:
            header = _HEADER.fullmatch(line)
            if header and int(header[1]) > step:
                file.truncate(begin)
                return
            begin += len(line)

"""Bytes to text: unpacking, UTF-8, line ends, in blocks of bounded size.

Every fault of a file is one DataError line that names the file, the place and what
to do; what is read with a change (line ends, byte-order marks, replaced bytes) is
counted in a `Tally`.
"""

import bz2
import gzip
import lzma
import re
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

from data_pipeline.corpora.formats import refuse_what_is_no_text
from data_pipeline.corpora.text import BLOCK
from data_pipeline.errors import DataError

LONGEST_LINE = 64 << 20  # bytes
SNIFFED = 1 << 16  # bytes that tell what a file is
MARK = "\ufeff"
REPLACEMENT = "\ufffd"
_SAFE_CUT = re.compile(rb".*[A-Za-z0-9](?=[A-Za-z0-9 ])", re.DOTALL)

Tally = Counter[str]
"""How often something was changed or left out in reading, by what it is in words."""

ADVICE = "; or read it with --data.errors replace"
CRLF = "line ends of CR LF, read as LF"
CR = "line ends of CR alone, read as LF"
LONE_CR = "CR inside a line, kept as they are"
MARKS = "byte-order marks, left out"
NOT_UTF8 = "bytes that are not UTF-8, replaced by U+FFFD"
NULS = "NUL characters, replaced by U+FFFD"


def _open_zst(path: Path) -> BinaryIO:
    try:
        from pyarrow import CompressedInputStream, OSFile
    except ImportError:
        raise DataError(
            f"reading {path} needs pyarrow (pip install pyarrow), or unpack it first: "
            f"zstd -d {path}"
        ) from None
    return cast(BinaryIO, CompressedInputStream(OSFile(str(path)), "zstd"))


OPENERS: dict[str, Callable[[Path], BinaryIO]] = {
    ".gz": lambda path: cast(BinaryIO, gzip.open(path)),
    ".bz2": lambda path: cast(BinaryIO, bz2.open(path)),
    ".xz": lambda path: cast(BinaryIO, lzma.open(path)),
    ".zst": _open_zst,
}


def bare_suffix(path: Path) -> str:
    """The ending below any compression: `.csv` of `a.csv.gz`."""
    name = path.with_suffix("") if path.suffix.lower() in OPENERS else path
    return name.suffix.lower()


def open_binary(path: Path) -> BinaryIO:
    """A file's bytes, unpacked by its ending; `-` is standard input."""
    if str(path) == "-":
        return sys.stdin.buffer
    return OPENERS.get(path.suffix.lower(), lambda p: p.open("rb"))(path)


def text_blocks(
    path: Path,
    errors: str = "strict",
    whole_lines: bool = True,
    tally: Tally | None = None,
    advice: str = "",
) -> Iterator[str]:
    """The text of a file in blocks that end where a line does.

    `\\r\\n` becomes `\\n`, and so does `\\r` in a file that has no other line ends;
    byte-order marks at the beginning of a line go. With `errors="replace"` bytes that
    are not UTF-8, and NUL, become U+FFFD. `whole_lines=False` allows a long line to be
    cut between two plain letters, for tokenizers of characters.

    Args:
      tally: counts what was changed.
      advice: what else to do where bytes are not UTF-8, added to the error.

    Raises:
      DataError: for what is no text, such as an archive or UTF-16, and for bytes that
        are not UTF-8 or NUL where errors is "strict".
    """
    tally = Counter() if tally is None else tally
    offset = 0
    for block in _byte_blocks(path, whole_lines, tally):
        text = _decode(path, block, offset, errors, advice)
        _count_changes(block, text, tally)
        text = text.replace("\r\n", "\n")
        if MARK in text:
            tally[MARKS] += _marks_at_line_starts(text)
            text = _MARKS_AT_LINE_STARTS.sub("", text)
        if text:
            yield text
        offset += len(block)


_MARKS_AT_LINE_STARTS = re.compile(f"^{MARK}+", re.MULTILINE)


def _marks_at_line_starts(text: str) -> int:
    return sum(len(found) for found in _MARKS_AT_LINE_STARTS.findall(text))


def _byte_blocks(path: Path, whole_lines: bool, tally: Tally) -> Iterator[bytes]:
    held: list[bytes] = []
    waiting = 0
    for data in _chunks(path, tally):
        cut = data.rfind(b"\n") + 1
        if not cut and waiting > BLOCK and not whole_lines:
            match = _SAFE_CUT.match(data[-4096:])
            cut = max(0, len(data) - 4096) + match.end() if match else 0
        if cut:
            yield b"".join([*held, data[:cut]])
            held, waiting = [], 0
        held.append(data[cut:])
        waiting += len(data) - cut
        if waiting > LONGEST_LINE:
            raise DataError(
                f"{path} has a line of more than {LONGEST_LINE >> 20} MB; is it text? "
                "If it is, break its lines first: fold -s -w 1000"
            )
    yield b"".join(held)


def _chunks(path: Path, tally: Tally) -> Iterator[bytes]:
    """What is read at once; a file of CR line ends comes with LF in their place."""
    try:
        with open_binary(path) as file:
            head = file.read(SNIFFED)
            refuse_what_is_no_text(path, head)
            cr = _has_cr_line_ends(head)
            for data in _pieces(head, file):
                if cr:
                    tally[CR] += data.count(b"\r")
                    data = data.replace(b"\r", b"\n")
                yield data
    except PermissionError:
        raise DataError(f"{path} may not be read by this user; see chmod") from None
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        what = " ".join(str(error).split()) or type(error).__name__
        kind = "a damaged archive? " if path.suffix.lower() in OPENERS else ""
        raise DataError(f"cannot read {path}: {kind}{what}") from None


def _pieces(head: bytes, file: BinaryIO) -> Iterator[bytes]:
    for begin in range(0, len(head), BLOCK):
        yield head[begin : begin + BLOCK]
    while data := file.read(BLOCK):
        yield data


def _has_cr_line_ends(head: bytes) -> bool:
    """Whether a file that begins so ends its lines by CR alone (old Mac)."""
    whole = head.removesuffix(b"\r") if len(head) == SNIFFED else head
    return b"\r" in whole and b"\n" not in whole


def _decode(path: Path, data: bytes, offset: int, errors: str, advice: str) -> str:
    """A block as text, its line ends as they are."""
    if errors == "replace":
        return data.decode("utf-8", "replace").replace("\0", REPLACEMENT)
    if (nul := data.find(b"\0")) >= 0:
        raise DataError(
            f"{path} has a NUL byte at offset {offset + nul}; is it text?{advice}"
        )
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8: byte {data[error.start]:#04x} at offset "
            f"{offset + error.start}; convert it: iconv -f latin1 -t UTF-8 (if Latin-1 "
            f"it is){advice}"
        ) from None


def _count_changes(data: bytes, text: str, tally: Tally) -> None:
    """What decoding `data` changed or will change."""
    if returns := data.count(b"\r"):
        tally[CRLF] += (pairs := data.count(b"\r\n"))
        tally[LONE_CR] += returns - pairs
    if REPLACEMENT in text:
        there = data.count(REPLACEMENT.encode())
        tally[NULS] += (nuls := data.count(0))
        tally[NOT_UTF8] += text.count(REPLACEMENT) - there - nuls


def lines_of(blocks: Iterator[str]) -> Iterator[str]:
    """Lines with their newlines; only `\\n` ends a line."""
    for block in blocks:
        lines = block.split("\n")
        last = lines.pop()
        for line in lines:
            yield line + "\n"
        if last:
            yield last

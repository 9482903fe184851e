"""Bytes to text: unpacking, UTF-8, line ends, in blocks of bounded size.

Every fault of a file is one DataError line that names the file, the place and what
to do.
"""

import bz2
import gzip
import lzma
import re
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

from data_pipeline.corpora.text import BLOCK
from data_pipeline.errors import DataError

LONGEST_LINE = 64 << 20  # bytes
BOM = b"\xef\xbb\xbf"
_SAFE_CUT = re.compile(rb".*[A-Za-z0-9](?=[A-Za-z0-9 ])", re.DOTALL)


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
    path: Path, errors: str = "strict", whole_lines: bool = True
) -> Iterator[str]:
    """The text of a file in blocks that end where a line does.

    `\\r\\n` becomes `\\n` and a byte-order mark goes. With `errors="replace"` bytes
    that are not UTF-8, and NUL, become U+FFFD. `whole_lines=False` allows a long line
    to be cut between two plain letters, for tokenizers of characters.
    """
    offset = 0
    for block in _byte_blocks(path, whole_lines):
        if offset == 0 and block.startswith(BOM):
            offset, block = len(BOM), block[len(BOM) :]
        if block:
            yield _decode(path, block, offset, errors)
        offset += len(block)


def _byte_blocks(path: Path, whole_lines: bool) -> Iterator[bytes]:
    held: list[bytes] = []
    waiting = 0
    for data in _chunks(path):
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


def _chunks(path: Path) -> Iterator[bytes]:
    try:
        with open_binary(path) as file:
            while data := file.read(BLOCK):
                yield data
    except PermissionError:
        raise DataError(f"{path} may not be read by this user; see chmod") from None
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        what = " ".join(str(error).split()) or type(error).__name__
        kind = "a damaged archive? " if path.suffix.lower() in OPENERS else ""
        raise DataError(f"cannot read {path}: {kind}{what}") from None


def _decode(path: Path, data: bytes, offset: int, errors: str) -> str:
    text = _decoded(path, data, offset, errors)
    return text.replace("\r\n", "\n") if b"\r" in data else text


def _decoded(path: Path, data: bytes, offset: int, errors: str) -> str:
    if errors == "replace":
        return data.decode("utf-8", "replace").replace("\0", "\ufffd")
    if (nul := data.find(b"\0")) >= 0:
        raise DataError(
            f"{path} has a NUL byte at offset {offset + nul}; is it text? "
            "--data.errors replace reads it all the same"
        )
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8: byte {data[error.start]:#04x} at offset "
            f"{offset + error.start}; convert it (iconv -t UTF-8), or read it with "
            "--data.errors replace"
        ) from None


def lines_of(blocks: Iterator[str]) -> Iterator[str]:
    """Lines with their newlines; only `\\n` ends a line."""
    for block in blocks:
        lines = block.split("\n")
        last = lines.pop()
        for line in lines:
            yield line + "\n"
        if last:
            yield last

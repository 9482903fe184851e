"""What is no text, by its first bytes: said with what it is and what to do."""

from pathlib import Path

from data_pipeline.errors import DataError

_UNPACK = "unpack it and give the file or the folder that comes out"
_CONVERT = "convert it to JSON lines, CSV or text"

# First bytes of files that people give by mistake: what they are, and what to do.
SIGNATURES = (
    (b"PK\x03\x04", "a zip archive", _UNPACK),
    (b"PK\x05\x06", "an empty zip archive", _UNPACK),
    (b"\x1f\x8b", "packed by gzip", "name it .gz, or unpack it"),
    (b"BZh9", "packed by bzip2", "name it .bz2, or unpack it"),
    (b"\xfd7zXZ\0", "packed by xz", "name it .xz, or unpack it"),
    (b"\x28\xb5\x2f\xfd", "packed by zstd", "name it .zst, or unpack it"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (b"Rar!", "a rar archive", _UNPACK),
    (b"PAR1", "a Parquet file", _CONVERT),
    (b"ARROW1", "an Arrow file", _CONVERT),
    (b"\xff\xff\xff\xff", "an Arrow stream", _CONVERT),
    (b"SQLite format 3\0", "a SQLite database", _CONVERT),
    (b"%PDF-", "a PDF", "extract its text: pdftotext"),
    (b"\x89HDF", "an HDF5 file", _CONVERT),
    (b"\x93NUMPY", "a NumPy array", _CONVERT),
    (b"{\\rtf", "rich text", "save it as plain text"),
)
TAR_AT = 257  # where a tar archive says that it is one


def refuse_what_is_no_text(path: Path, head: bytes) -> None:
    """Raises DataError where a file's first bytes (unpacked) are those of no UTF-8
    text: an archive, a table in binary, UTF-16 or UTF-32."""
    if name := utf16(head):
        raise DataError(
            f"{path} is {name}, not UTF-8; convert it: iconv -f {name} -t UTF-8"
        )
    for signature, what, cure in SIGNATURES:
        if head.startswith(signature):
            raise DataError(f"{path} is {what}, not text; {cure}")
    if head[TAR_AT : TAR_AT + 5] == b"ustar":
        raise DataError(f"{path} is a tar archive, not text; {_UNPACK}")


def utf16(head: bytes) -> str:
    """`UTF-16`, `UTF-32`, or one of these with its byte order, as iconv calls them;
    "" for what is neither. Without a mark, zeros in every second place tell it."""
    if head.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return "UTF-32"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "UTF-16"
    pairs = len(head) // 2
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if pairs >= 8 and max(even, odd) > 0.4 * pairs and min(even, odd) < 0.1 * pairs:
        return "UTF-16LE" if odd > even else "UTF-16BE"
    return ""

"""Text files and folders.

A folder that holds files named `train`, `valid` (or `val`, `validation`, `dev`) and
`test` is read with these splits. In any other folder each file is a document, and
whole documents are dealt to the splits. A single file is cut in its own order, train
first: at ⌊f·N⌋ of its N characters and then in the ratio of the other two shares
(0.9/0.05/0.05 is what TFDS does to tiny_shakespeare); unless tokens are characters
each cut moves on to the next line.
"""

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, cast

from data_pipeline.config import DataConfig
from data_pipeline.corpora.text import SPLITS, Text, split_documents
from data_pipeline.errors import DataError
from data_pipeline.tokenizers import TOKENIZERS

OPENERS: dict[str, Callable[[Path], BinaryIO]] = {
    ".gz": lambda path: cast(BinaryIO, gzip.open(path)),
    ".bz2": lambda path: cast(BinaryIO, bz2.open(path)),
    ".xz": lambda path: cast(BinaryIO, lzma.open(path)),
}
ALIASES = {"val": "valid", "validation": "valid", "dev": "valid"}


def load(path: Path, config: DataConfig) -> Text:
    """The text of a file or folder. Raises DataError in one line."""
    if path.is_dir():
        return _load_folder(path, config)
    text = read_text(path)
    whole_lines = TOKENIZERS[config.tokenizer].marks
    return Text(path.name, split_text(text, config.fractions, whole_lines), {})


def read_text(path: Path) -> str:
    """A file's text, unpacked, UTF-8, with `\\n` for `\\r\\n`, without a byte-order
    mark."""
    try:
        with OPENERS.get(path.suffix, lambda p: p.open("rb"))(path) as file:
            data = file.read()
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise DataError(f"cannot read {path}: {error}") from None
    if not data.strip():
        raise DataError(f"{path} is empty; give a file with text in it")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8: byte {data[error.start]:#04x} at offset "
            f"{error.start}; convert it, for instance with iconv"
        ) from None
    return text.removeprefix("\ufeff").replace("\r\n", "\n")


def split_text(
    text: str, fractions: tuple[float, float, float], whole_lines: bool
) -> dict[str, list[str]]:
    """Lines of train, valid and test, in the text's order."""
    first = int(len(text) * fractions[0])
    rest = fractions[1] / (fractions[1] + fractions[2])
    second = first + int((len(text) - first) * rest)
    if whole_lines:
        first, second = _line_after(text, first), _line_after(text, second)
    parts = (text[:first], text[first:second], text[second:])
    return {name: lines_of(part) for name, part in zip(SPLITS, parts, strict=True)}


def _line_after(text: str, position: int) -> int:
    newline = text.find("\n", max(0, position - 1))
    return len(text) if newline < 0 else newline + 1


def lines_of(text: str) -> list[str]:
    """Lines with their newlines; only `\\n` ends a line."""
    lines = text.split("\n")
    last = lines.pop()
    return [line + "\n" for line in lines] + ([last] if last else [])


def split_of(path: Path) -> str | None:
    """`train`, `valid` or `test` when a file is named so, with known endings."""
    name = path.name.lower()
    for ending in (*OPENERS, ".txt"):
        name = name.removesuffix(ending)
    name = ALIASES.get(name, name)
    return name if name in SPLITS else None


def _load_folder(path: Path, config: DataConfig) -> Text:
    try:
        files = sorted(p for p in path.rglob("*") if p.is_file() and p.name[0] != ".")
    except OSError as error:
        raise DataError(f"cannot read the folder {path}: {error}") from None
    if not files:
        raise DataError(f"the folder {path} holds no files")
    named = {split_of(p): p for p in files if p.parent == path and split_of(p)}
    if not named:
        return _load_documents(path, files, config)
    missing = [name for name in SPLITS if name not in named]
    if missing:
        raise DataError(
            f"{path} has {', '.join(p.name for p in named.values())} but no file "
            f"named {' or '.join(missing)} (.txt, bare or .gz); add it"
        )
    splits = {name: lines_of(read_text(named[name])) for name in SPLITS}
    return Text(path.resolve().name, splits, {"splits": "the folder's own"})


def _load_documents(path: Path, files: list[Path], config: DataConfig) -> Text:
    if len(files) < 3:
        raise DataError(
            f"the folder {path} holds {len(files)} file(s); give train, valid and test "
            "files, three or more documents, or the path of one file"
        )
    texts = [read_text(file) for file in files]
    names = [file.relative_to(path).as_posix() for file in files]
    sizes = [len(text) for text in texts]
    chosen = split_documents(names, sizes, config.fractions, config.seed)
    splits = {s: [li for i in chosen[s] for li in lines_of(texts[i])] for s in SPLITS}
    return Text(path.resolve().name, splits, {"documents": len(files)})

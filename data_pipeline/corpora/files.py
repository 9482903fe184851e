"""Files and folders as sources.

A folder that holds files named `train`, `valid` (or `val`, `validation`, `dev`) and
`test` is read with these splits. In any other folder each file is a document; copies
count once, and whole documents are dealt to the splits. In a single file of rows (CSV,
TSV, JSON lines) each row is a document, and a hash of its text decides, so that equal
rows never fall into two splits. Any other single file is cut in its own order, train
first: at ⌊f·N⌋ of its N characters and then in the ratio of the other two shares
(0.9/0.05/0.05 is what TFDS does to tiny_shakespeare); unless tokens are characters
each cut moves on to the next line.
"""

import hashlib
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from data_pipeline.config import DataConfig
from data_pipeline.corpora.reading import OPENERS, open_binary, text_blocks
from data_pipeline.corpora.rows import (
    DELIMITERS,
    JSON_LINES,
    is_rows,
    read_rows,
    row_text,
)
from data_pipeline.corpora.text import (
    BLOCK,
    SPLITS,
    Source,
    joined,
    split_documents,
    split_of_row,
)
from data_pipeline.errors import DataError
from data_pipeline.tokenizers import TOKENIZERS

ALIASES = {"val": "valid", "validation": "valid", "dev": "valid"}
ENDINGS = (*OPENERS, ".txt", ".text", *DELIMITERS, *JSON_LINES)


class _Survey(NamedTuple):
    """One reading of a file: its characters, and a hash of its text."""

    characters: int
    digest: str


def load(path: Path, config: DataConfig) -> Source:
    """The source of a file or folder. Raises DataError in one line."""
    if path.is_dir():
        return _folder(path, config)
    if is_rows(path):
        return _row_file(path, config)
    return _cut_file(path, path.name, config)


def load_standard_input(config: DataConfig) -> Source:
    """Standard input, kept in a temporary file while it is in use."""
    folder = Path(tempfile.mkdtemp(prefix="data-"))
    path = folder / "stdin.txt"
    with path.open("wb") as file, open_binary(Path("-")) as stdin:
        shutil.copyfileobj(stdin, file, BLOCK)
    source = _cut_file(path, "standard input", config)
    weakref.finalize(source.blocks, shutil.rmtree, folder, ignore_errors=True)
    return source


def file_blocks(path: Path, config: DataConfig) -> Iterator[str]:
    """The text of any one file, rows or not."""
    if is_rows(path):
        rows = read_rows(path, config.column, config.errors)
        return joined(row_text(row, config.split_sentences) for row in rows)
    return text_blocks(path, config.errors, TOKENIZERS[config.tokenizer].marks)


def survey(path: Path, config: DataConfig) -> _Survey:
    """Read a file through once; raises DataError where there is no text in it."""
    digest, characters, visible = hashlib.sha256(), 0, False
    for block in file_blocks(path, config):
        digest.update(block.encode())
        characters += len(block)
        visible = visible or not block.isspace()
    if not visible:
        raise DataError(f"{path} is empty; give a file with text in it")
    return _Survey(characters, digest.hexdigest())


def _cut_file(path: Path, name: str, config: DataConfig) -> Source:
    seen = survey(path, config)
    whole_lines = TOKENIZERS[config.tokenizer].marks
    cuts = cut_positions(seen.characters, config.fractions)

    def blocks() -> Iterator[tuple[str, str]]:
        return cut_blocks(file_blocks(path, config), cuts, whole_lines)

    key = f"{seen.digest} {cuts} {whole_lines}"
    return Source(name, blocks, {}, key, path.stat().st_size)


def cut_positions(size: int, fractions: tuple[float, ...]) -> tuple[int, int]:
    """Where validation and test begin in a text of `size` characters."""
    first = int(size * fractions[0])
    rest = fractions[1] / (fractions[1] + fractions[2])
    return first, first + int((size - first) * rest)


def cut_blocks(
    blocks: Iterator[str], cuts: tuple[int, int], whole_lines: bool
) -> Iterator[tuple[str, str]]:
    """Blocks labelled by split, cut at two positions or at the next line's start."""
    bounds = iter(zip(SPLITS, (*cuts, None), strict=True))
    split, bound = next(bounds)
    position = 0
    for block in blocks:
        while bound is not None and position + len(block) >= bound:
            at = max(0, bound - position)
            if whole_lines and not _at_line_start(block, at):
                at = block.find("\n", at) + 1 or len(block)
            if at:
                yield split, block[:at]
            block, position = block[at:], position + at
            split, bound = next(bounds)
        if block:
            yield split, block
        position += len(block)


def _at_line_start(block: str, at: int) -> bool:
    return at == 0 or block[at - 1] == "\n"


def _row_file(path: Path, config: DataConfig) -> Source:
    seen = survey(path, config)

    def labelled() -> Iterator[tuple[str, str]]:
        for row in read_rows(path, config.column, config.errors):
            if text := row_text(row, config.split_sentences):
                yield split_of_row(text, config.fractions, config.seed), text

    facts = {"splits": "by row, a hash of its text"}
    key = f"{seen.digest} {config.fractions} {config.seed}"
    return Source(
        path.name, lambda: gathered(labelled()), facts, key, path.stat().st_size
    )


def gathered(rows: Iterator[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Blocks of rows, split by split as they fill."""
    held: dict[str, list[str]] = {name: [] for name in SPLITS}
    sizes = dict.fromkeys(SPLITS, 0)
    for split, text in rows:
        held[split].append(text)
        sizes[split] += len(text)
        if sizes[split] >= BLOCK:
            yield split, "".join(held[split])
            held[split], sizes[split] = [], 0
    for split, texts in held.items():
        if texts:
            yield split, "".join(texts)


def split_of(path: Path) -> str | None:
    """`train`, `valid` or `test` when a file is named so, with known endings."""
    name = path.name.lower()
    while (suffix := Path(name).suffix) in ENDINGS and suffix:
        name = name.removesuffix(suffix)
    name = ALIASES.get(name, name)
    return name if name in SPLITS else None


def _folder(path: Path, config: DataConfig) -> Source:
    try:
        next(path.iterdir(), None)
        files = sorted(p for p in path.rglob("*") if p.is_file() and p.name[0] != ".")
    except OSError as error:
        what = error.strerror or error
        raise DataError(f"cannot read the folder {path}: {what}") from None
    if not files:
        raise DataError(f"the folder {path} holds no files")
    named = {split_of(p): p for p in files if p.parent == path and split_of(p)}
    if not named:
        return _documents(path, files, config)
    missing = [name for name in SPLITS if name not in named]
    if missing:
        raise DataError(
            f"{path} has {', '.join(p.name for p in named.values())} but no file "
            f"named {' or '.join(missing)} (.txt, bare or .gz); add it"
        )
    parts = [(name, named[name], survey(named[name], config)) for name in SPLITS]
    facts = {"splits": "the folder's own"}
    return _of_files(path, parts, config, facts, documents=False)


def _documents(path: Path, files: list[Path], config: DataConfig) -> Source:
    surveys = {file: survey(file, config) for file in files}
    unique = list(
        {seen.digest: file for file, seen in reversed(surveys.items())}.values()
    )
    unique.sort()
    if len(unique) < 3:
        raise DataError(
            f"the folder {path} holds {len(unique)} document(s); give train, valid and "
            "test files, three or more documents, or the path of one file"
        )
    digests = [surveys[file].digest for file in unique]
    sizes = [surveys[file].characters for file in unique]
    chosen = split_documents(digests, sizes, config.fractions, config.seed)
    parts = [(s, unique[i], surveys[unique[i]]) for s in SPLITS for i in chosen[s]]
    facts = {"documents": len(unique), "copies left out": len(files) - len(unique)}
    return _of_files(path, parts, config, facts, documents=True)


def _of_files(
    path: Path,
    parts: list[tuple[str, Path, _Survey]],
    config: DataConfig,
    facts: dict[str, Any],
    *,
    documents: bool,
) -> Source:
    def blocks() -> Iterator[tuple[str, str]]:
        for split, file, _ in parts:
            text = file_blocks(file, config)
            for block in _ended(text) if documents else text:
                yield split, block

    key = " ".join(f"{split} {seen.digest}" for split, _, seen in parts)
    size = sum(seen.characters for _, _, seen in parts)
    return Source(path.resolve().name, blocks, facts, key, size)


def _ended(blocks: Iterator[str]) -> Iterator[str]:
    """Blocks of a document; its last line gets a newline where it has none."""
    last = "\n"
    for block in blocks:
        yield block
        last = block[-1]
    if last != "\n":
        yield "\n"

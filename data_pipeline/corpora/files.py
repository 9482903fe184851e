"""Files and folders as sources.

A folder whose names speak of splits (`layout`) is read with these, or refused with the
files that leave a question open. In any other folder each file is a document; copies
count once, and whole documents are dealt to the splits. In a single file of rows (CSV,
TSV, JSON) each row is a document, and a hash of its text decides, so that equal rows
never fall into two splits. Any other single file is cut in its own order, train first:
at ⌊f·N⌋ of its N characters and then in the ratio of the other two shares
(0.9/0.05/0.05 is what TFDS does to tiny_shakespeare); unless tokens are characters
each cut moves on to the next line. What is dealt out is told, with counts.

`train=PATH,valid=PATH,test=PATH` says it outright; what is not named there is dealt
out of train.
"""

import glob
import os
import re
import shutil
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath
from typing import Any

from data_pipeline.config import DataConfig
from data_pipeline.corpora.dealing import deal_of
from data_pipeline.corpora.dealt import Text, dealt, joined_texts, of_files
from data_pipeline.corpora.layout import Layout, understand
from data_pipeline.corpora.notes import counted, listed
from data_pipeline.corpora.own_splits import parts_of
from data_pipeline.corpora.places import copied, walk
from data_pipeline.corpora.reader import Reader
from data_pipeline.corpora.text import SPLITS, Source
from data_pipeline.errors import DataError
from data_pipeline.paths import user_path

DEALT = "dealt out"
LISTED = 20  # most files of a split that the facts name
SAID = re.compile(rf"(?:^|,)({'|'.join(SPLITS)})=")


def load(path: Path, config: DataConfig) -> Source:
    """The source of a file or folder. Raises DataError in one line."""
    reader = Reader(config)
    if path.is_dir():
        return _folder(path, reader)
    if not path.is_file():
        return _copied(path, str(path), config)
    text = dealt(reader, [path], deal_of(config.fractions))
    beside = _named_beside(path)
    return _source(path.name, text, {DEALT: [path.name]}, beside)


def load_standard_input(config: DataConfig) -> Source:
    """Standard input, kept in a temporary file while it is in use."""
    return _copied(Path("-"), "standard input", config)


def _copied(path: Path, name: str, config: DataConfig) -> Source:
    copy = copied(path)
    try:
        source = load(copy, config)
    except BaseException:
        shutil.rmtree(copy.parent, ignore_errors=True)
        raise
    weakref.finalize(source.blocks, shutil.rmtree, copy.parent, ignore_errors=True)
    return source._replace(name=name)


def load_said(corpus: str, config: DataConfig) -> Source:
    """`train=PATH,valid=PATH,test=PATH`: a file, a folder or a pattern for each."""
    reader = Reader(config)
    names = SAID.split(corpus)[1:]
    said = dict(zip(names[::2], names[1::2], strict=True))
    if "train" not in said or len(said) < len(names) // 2:
        raise DataError(
            f"data.corpus {corpus!r} must name train once, and valid and test at most "
            "once: train=PATH,valid=PATH,test=PATH"
        )
    places: dict[PurePath, Path] = {}
    for split, given in said.items():
        for relative, path in _found(given, f"data.corpus, {split}"):
            places[PurePath(split, relative)] = path
    layout = understand(places)
    parts = {
        split: [places[named.path] for named in found]
        for split, found in layout.splits.items()
    }
    empty = [split for split in said if split not in parts]
    if empty:
        raise DataError(f"data.corpus, {empty[0]}: {said[empty[0]]} holds no files")
    name = ",".join(f"{split}={Path(given).name}" for split, given in said.items())
    return _own_splits(name, parts, reader, _not_read(layout))


def _found(given: str, what: str) -> Iterator[tuple[PurePath, Path]]:
    """(path below what was given, path) of each file of a file, folder or pattern."""
    path = user_path(given, what)
    if path.is_dir():
        for relative in walk(path):
            yield relative, path / relative
        return
    paths = [path] if path.is_file() else map(Path, sorted(glob.glob(str(path))))
    found = [path for path in paths if path.is_file()]
    if not found:
        raise DataError(f"{what}: there is no file or folder {given!r}")
    for number, path in enumerate(found):
        yield PurePath(f"{number:06}"), path


def _source(
    name: str, text: Text, files: dict[str, list[str]], more: Iterable[str] = ()
) -> Source:
    shown = {split: names for split, names in files.items() if len(names) <= LISTED}
    facts = {**text.facts, "files": shown, "notes": [*text.notes, *more]}
    return Source(name, text.blocks, facts, text.key, text.size)


def _named_beside(path: Path) -> list[str]:
    """A note where the file is one of several splits that lie side by side."""
    try:
        beside = [PurePath(p.name) for p in path.parent.iterdir() if p.is_file()]
    except OSError:
        return []
    splits = understand(beside).splits
    mine = [s for s, found in splits.items() if PurePath(path.name) in _paths(found)]
    others = [f.path for s, found in splits.items() if s not in mine for f in found]
    if not mine or not others:
        return []
    return [f"not read: {listed(others)} beside it; to read these, give the folder"]


def _paths(found: Iterable[Any]) -> list[PurePath]:
    return [named.path for named in found]


def _folder(folder: Path, reader: Reader) -> Source:
    layout = understand(walk(folder))
    name = folder.resolve().name
    if layout.splits:
        parts = parts_of(folder, layout, reader)
        return _own_splits(name, parts, reader, _not_read(layout), folder)
    paths = [folder / path for path in layout.others]
    if not paths:
        raise DataError(f"the folder {folder} holds no files of text")
    text = dealt(reader, paths, deal_of(reader.config.fractions))
    files = {DEALT: [str(path) for path in layout.others]}
    return _source(name, text, files, _not_read(layout))


def _not_read(layout: Layout) -> list[str]:
    """Notes on the files of a folder that are no text of a split."""
    groups = [
        ("beside the data", layout.aside),
        ("left by editors and systems", layout.leavings),
    ]
    if layout.splits:
        groups.insert(0, ("whose names say no split", layout.others))
    return [
        f"not read, {what}: {len(paths):,} ({listed(paths)})"
        for what, paths in groups
        if paths
    ]


def _own_splits(
    name: str,
    parts: dict[str, list[Path]],
    reader: Reader,
    notes: list[str],
    folder: Path = Path(),
) -> Source:
    """A source with splits of its own; what is missing is dealt out of train."""
    given = [(s, path) for s in SPLITS if s in parts for path in parts[s]]
    missing = [split for split in SPLITS if split not in parts]
    ended = any(len(paths) > 1 for paths in parts.values())
    splits = "the folder's own"
    if not missing:
        text = of_files(reader, given, ended=ended)
        own = reader.notes([path for _, path in given])
    else:
        splits = f"its own, {' and '.join(missing)} out of train"
        train = dealt(reader, parts["train"], deal_of(reader.config.fractions, parts))
        rest = [(split, path) for split, path in given if split != "train"]
        text = joined_texts(train, of_files(reader, rest, ended=ended))
        own = [*train.notes, *reader.notes([path for _, path in rest])]
    counts = {split: len(paths) for split, paths in parts.items()}
    told = [f"splits of its own: {counted(counts)} files", *_alike(parts, reader)]
    text = text._replace(notes=[*told, *own], facts={"splits": splits})
    files = {
        split: [os.path.relpath(path, folder) for path in paths]
        for split, paths in parts.items()
    }
    return _source(name, text, files, notes)


def _alike(parts: dict[str, list[Path]], reader: Reader) -> list[str]:
    """A note where two splits are one text."""
    texts: dict[tuple[str, ...], list[str]] = {}
    for split, paths in parts.items():
        digests = tuple(sorted(reader.survey(path).digest for path in paths))
        texts.setdefault(digests, []).append(split)
    same = [" and ".join(splits) for splits in texts.values() if len(splits) > 1]
    return [f"{splits} hold the same text" for splits in same]

"""Which file, of those whose names say a split, is meant: the only one, or refused."""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePath

from data_pipeline.corpora.layout import (
    WORDS,
    Layout,
    Named,
    in_order,
    missing_shards,
    said_by,
)
from data_pipeline.corpora.notes import listed
from data_pipeline.corpora.reader import Reader
from data_pipeline.corpora.text import SPLITS
from data_pipeline.errors import DataError

_PACKED = re.compile(r"\.(?:gz|bz2|xz|zst)$", re.IGNORECASE)


def parts_of(folder: Path, layout: Layout, reader: Reader) -> dict[str, list[Path]]:
    """The files of each split that a folder's names say.

    Raises DataError, with the files, where a split is missing, where several files
    could be it, and where some of its shards are not there.
    """
    missing = [split for split in SPLITS if split not in layout.splits]
    if missing:
        raise DataError(_missing(folder, layout, missing))
    parts = {}
    for split, found in layout.splits.items():
        _refuse_contradictions(folder, split, found)
        part = _part(folder, split, found, reader)
        if part is None:
            raise DataError(_several(folder, split, layout))
        parts[split] = part
    return parts


def _part(
    folder: Path, split: str, found: Sequence[Named], reader: Reader
) -> list[Path] | None:
    paths = _without_twins(folder, [named.path for named in found], reader)
    one_folder = {named.family for named in found if named.folder}
    if len(one_folder) == 1 and all(named.folder for named in found):
        twins = {_PACKED.sub("", path.as_posix()) for path in paths}
        if len(twins) == len(paths):
            return [folder / path for path in paths]
        return None
    if len(paths) > 1 and len({reader.survey(folder / p).digest for p in paths}) == 1:
        paths = paths[:1]
    if len(paths) == 1 or (ordered := in_order(paths)):
        paths = paths if len(paths) == 1 else ordered or []
        if lost := missing_shards(paths):
            raise DataError(
                f"{folder}: {split} is not whole: {listed(paths)} {_are(paths)} there, "
                f"but {listed(lost)} {_are(lost)} not"
            )
        return [folder / path for path in paths]
    return None


def _refuse_contradictions(folder: Path, split: str, found: Sequence[Named]) -> None:
    for named in found:
        word, sure = said_by(named.path.name)
        if named.folder and sure == 2 and WORDS[word] != split:
            raise DataError(
                f"{folder / named.path}: its folder says {split}, its name says "
                f"{WORDS[word]}; rename one, or say which files are meant: "
                "--data.corpus train=PATH,valid=PATH,test=PATH"
            )


def _are(names: Sequence[object]) -> str:
    return "is" if len(names) == 1 else "are"


def _without_twins(
    folder: Path, paths: Sequence[PurePath], reader: Reader
) -> list[PurePath]:
    """A compressed file beside a plain one of the same text goes."""
    twins: dict[str, list[PurePath]] = defaultdict(list)
    for path in paths:
        twins[_PACKED.sub("", path.as_posix())].append(path)
    kept = []
    for same in twins.values():
        same.sort(key=lambda path: len(path.name))
        texts = {reader.survey(folder / p).digest for p in same} if same[1:] else {""}
        kept += same[:1] if len(texts) == 1 else same
    return sorted(kept)


def _missing(folder: Path, layout: Layout, missing: Sequence[str]) -> str:
    has = "; ".join(f"{s}: {_files(found)}" for s, found in layout.splits.items())
    told = f"{folder} has files for {has}; but no file named {' or '.join(missing)}"
    if layout.others:
        told += f" (others: {listed(layout.others)})"
    if "train" not in layout.splits:
        return f"{told}; add them, or say which are meant: {_say(folder, layout)}"
    return (
        f"{told}; add what is missing, or have it dealt out of train: "
        f"{_say(folder, layout)}"
    )


def _files(found: Sequence[Named]) -> str:
    """Names of files; of a split's folder its own name and how many it holds."""
    names = [named.path for named in found if not named.folder]
    folders: dict[PurePath, int] = defaultdict(int)
    for named in found:
        if named.folder:
            depth = named.family.count("/") + 1
            folders[PurePath(*named.path.parts[:depth])] += 1
    whole = [f"{folder}/ ({count:,} files)" for folder, count in folders.items()]
    return listed([*names, *whole])


def _several(folder: Path, split: str, layout: Layout) -> str:
    paths = listed(named.path for named in layout.splits[split])
    return (
        f"{folder} leaves open which file is {split}: {paths}; say which are meant: "
        f"{_say(folder, layout)}"
    )


def _say(folder: Path, layout: Layout) -> str:
    """The option that says it outright, for the family of names that is most whole."""
    families: dict[str, dict[str, Named]] = defaultdict(dict)
    for split, found in layout.splits.items():
        for named in found:
            families[named.family][split] = named
    best = max(families, key=lambda family: (len(families[family]), -len(family)))
    chosen = families[best]
    said = [
        f"{split}={_place(folder, chosen[split]) if split in chosen else 'PATH'}"
        for split in SPLITS
        if split in chosen or split in layout.splits or split == "train"
    ]
    return f"--data.corpus {','.join(said)}"


def _place(folder: Path, named: Named) -> str:
    if named.folder:
        depth = named.family.count("/") + 1
        return str(folder.joinpath(*named.path.parts[:depth]))
    return str(folder / named.path)

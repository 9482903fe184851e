"""Which files of a folder are train, valid and test, as archives lay them out.

A file's split is said by its name (`train.txt`, `wiki.valid.tokens`, `val.de`,
`test-00000-of-00002.jsonl`) or by a folder above it (`train/pos/1.txt`). A word in a
name says a split where nothing else is in the name but endings, numbers and languages,
or where files of other splits have the same name but for it: `latest`, `contest` and
`how-to-train-a-dog` say none. What editors, systems and notebooks leave behind is no
data. Nothing is guessed: where names speak of splits and leave open which file is
meant, the caller refuses, with the files that it came to.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PurePath
from typing import NamedTuple

from data_pipeline.corpora.text import SPLITS

# Words that say a split by themselves, and words that say one beside others.
FIRM = {
    "train": "train",
    "valid": "valid",
    "val": "valid",
    "validation": "valid",
    "dev": "valid",
    "devel": "valid",
    "eval": "valid",
    "heldout": "valid",
    "test": "test",
}
LOOSE = {
    **dict.fromkeys(("training", "trainset", "trn"), "train"),
    **dict.fromkeys(("validset", "valset", "devset", "development"), "valid"),
    **dict.fromkeys(("evaluation", "validations"), "valid"),
    **dict.fromkeys(("testing", "tests", "testset", "tst"), "test"),
}
WORDS = FIRM | LOOSE
# Held out, but which of the two? Test, where another name is the validation split's.
EITHER = frozenset(("eval", "evaluation", "heldout"))

_NEUTRAL = frozenset(
    "txt text tokens tok raw csv tsv json jsonl ndjson gz bz2 xz zst md dat data lst "
    "utf8 utf set split file of lower lc clean corpus".split()
)
_LANGUAGES = frozenset(
    "ar bg bn ca cs cy da de el en es et eu fa fi fr ga gl gu he hi hr hu hy id is it "
    "ja ka kk km kn ko lt lv mk ml mn mr ms mt ne nl no pa pl ps pt ro ru si sk sl sq "
    "sr sv sw ta te th tr uk ur uz vi zh eng deu ger fra fre spa ita rus zho chi jpn"
    "".split()
)
_NUMBER = re.compile(r"\d+")
_SHARD = re.compile(r"(\d+)-of-(\d+)")
_PACKED = re.compile(r"\.(?:gz|bz2|xz|zst)$")
_ASIDE = re.compile(
    r"(?:readme|licen[cs]e|copying|notice|changelog|citation|authors|contributing|"
    r"(?:md5|sha\d+)(?:sums?)?|checksums?|dataset_infos?|dataset_card)(?:[._-].*)?"
)
_LEAVINGS = re.compile(
    r"\..*|.*~|#.*#|~\$.*|.*\.(?:sw[a-p]|bak|orig|tmp|part|crdownload|pyc)|"
    r"__macosx|__pycache__|thumbs\.db|desktop\.ini|icon\r|lost\+found|\$recycle\.bin"
)


class Named(NamedTuple):
    """A file whose name or folder says a split, by which word of which name.

    family  the path with the word as {split} and numbers as #: files of one family
            differ in nothing else.
    sure    how surely the word says the split: 2, nothing else is said by the name;
            1, the name begins or ends with it; 0, it stands in the middle.
    folder  it is a folder's name.
    """

    path: PurePath
    split: str
    word: str
    family: str
    sure: int
    folder: bool


class Layout(NamedTuple):
    """How a folder was understood.

    splits    files of each split; {} where no names speak of splits.
    others    data files whose names say no split.
    aside     files beside the data: README, LICENSE, checksums.
    leavings  what editors, systems and notebooks left.
    """

    splits: dict[str, list[Named]]
    others: list[PurePath]
    aside: list[PurePath]
    leavings: list[PurePath]


def understand(paths: Iterable[PurePath]) -> Layout:
    """The layout of a folder that holds these files, by paths relative to it."""
    leavings, aside, data = [], [], []
    for path in sorted(paths):
        parts = [part.lower() for part in path.parts]
        if any(map(is_leaving, parts)):
            leavings.append(path)
        elif _ASIDE.fullmatch(parts[-1]):
            aside.append(path)
        else:
            data.append(path)
    named = [found for path in data if (found := named_by(path))]
    named = _without_loose_files(_agreed(named, len(data)))
    held = {found.path for found in named}
    others = [path for path in data if path not in held]
    splits = {name: [f for f in named if f.split == name] for name in SPLITS}
    splits = {name: found for name, found in splits.items() if found}
    return Layout(splits, others, aside, leavings)


def is_leaving(name: str) -> bool:
    """Whether a file or folder of this name was left by an editor or a system."""
    return bool(_LEAVINGS.fullmatch(name.lower()))


def words_of(name: str) -> list[str]:
    """The words of a name, in lower case; numbers are words of their own."""
    name = re.sub(r"held[-_ ]?out", "heldout", name.lower())
    return re.findall(r"[^\W\d_]+|\d+", name)


def named_by(path: PurePath) -> Named | None:
    """The split that a path says: its topmost folder that begins or ends with a word
    for one, else its file's name."""
    for depth, part in enumerate(path.parts[:-1]):
        word, sure = said_by(part)
        if sure:
            family = PurePath(*path.parts[:depth], "{split}").as_posix()
            return Named(path, WORDS[word], word, family, sure, True)
    word, sure = said_by(path.name)
    if not word:
        return None
    return Named(path, WORDS[word], word, family_of(path, word), sure, False)


def said_by(name: str) -> tuple[str, int]:
    """The word for a split in a name, and how surely it says it; ("", 0) for none."""
    words = [word for word in words_of(name) if not _says_nothing(word)]
    said = sorted({word for word in words if word in WORDS})
    if len(said) != 1:
        return "", 0
    edge = said[0] in (words[0], words[-1])
    return said[0], 2 if len(words) == 1 else int(edge)


def _says_nothing(word: str) -> bool:
    return word in _NEUTRAL or word in _LANGUAGES or word.isdigit()


def family_of(path: PurePath, word: str) -> str:
    """The path with `word` as {split}, numbers as # and no ending of compression."""
    name = _PACKED.sub("", path.name.lower())
    name = re.sub(r"held[-_ ]?out", "heldout", name)
    name = re.sub(rf"(?<![^\W\d_]){word}(?![^\W\d_])", "{split}", name)
    return path.with_name(re.sub(r"\d+", "#", name)).as_posix()


def _agreed(named: list[Named], files: int) -> list[Named]:
    """The files whose words can be trusted, out of a folder of so many.

    A firm word that stands alone can be; and one of a family that stands in several
    splits; and, where there are such, every other that begins or ends its name. Else
    names that begin or end with words for train and another, if they are half of all.
    `eval` and `heldout` are test where there is another valid and no other test.
    """
    splits_of: dict[str, set[str]] = defaultdict(set)
    for found in named:
        splits_of[found.family].add(found.split)
    alone = [f for f in named if f.sure == 2 and f.word in FIRM]
    trusted = [f for f in named if f in alone or len(splits_of[f.family]) > 1]
    edged = [f for f in named if f.sure]
    if _speak_of_splits(trusted):
        trusted += [f for f in edged if f not in trusted]
    elif {f.split for f in edged} > {"train"} and 2 * len(edged) >= files:
        trusted = edged
    else:
        return []
    plain = {f.split for f in trusted if f.word not in EITHER}
    if "valid" in plain and "test" not in plain:
        return [f._replace(split="test") if f.word in EITHER else f for f in trusted]
    return trusted


def _speak_of_splits(named: list[Named]) -> bool:
    """Whether names speak of splits: of train, or of another at the top. A `test` or
    `dev` deep in a tree, or a single folder of this name, says nothing alone."""
    top = [found for found in named if len(found.path.parts) == 1 + found.folder]
    at_top = {found.split for found in top}
    file_at_top = any(not found.folder for found in top)
    train = any(found.split == "train" for found in named)
    return train or len(at_top) > 1 or file_at_top


def _without_loose_files(named: list[Named]) -> list[Named]:
    """Where split folders hold the same folders of classes (`train/pos`, `test/pos`),
    what lies beside these is no text of theirs (`train/urls_pos.txt`)."""
    classes: dict[str, set[str]] = defaultdict(set)
    for found in named:
        if found.folder and (below := _below(found)) and len(below) > 1:
            classes[below[0]].add(found.split)
    shared = {name for name, splits in classes.items() if len(splits) > 1}
    if not shared:
        return named
    return [f for f in named if not f.folder or len(_below(f)) > 1]


def _below(found: Named) -> tuple[str, ...]:
    """The parts of a path below its split's folder."""
    return found.path.parts[found.family.count("/") + 1 :]


def in_order(paths: Sequence[PurePath]) -> list[PurePath] | None:
    """The shards of one text in the order of their numbers, 0, 1, … or 1, 2, …; None
    where the names differ in more than one number, or the numbers do not count up."""
    if len({re.sub(r"\d+", "#", path.as_posix()) for path in paths}) != 1:
        return None
    numbers = [[int(n) for n in _NUMBER.findall(path.as_posix())] for path in paths]
    varied = [place for place in zip(*numbers, strict=True) if len(set(place)) > 1]
    if len(varied) != 1:
        return None
    (places,) = varied
    in_row = sorted(places)
    if not _SHARD.search(paths[0].name) and in_row[0] > 1:
        return None
    if not missing_shards(paths) and in_row != list(
        range(in_row[0], in_row[0] + len(in_row))
    ):
        return None
    return [path for _, path in sorted(zip(places, paths, strict=True))]


def missing_shards(paths: Sequence[PurePath]) -> list[str]:
    """Numbers of the shards `K-of-N` that are not there."""
    found = [match for path in paths if (match := _SHARD.search(path.name))]
    if not found:
        return []
    there = {int(match[1]) for match in found}
    last = max(int(match[2]) for match in found)
    first = 0 if 0 in there or last not in there else 1
    width = len(found[0][1])
    expected = range(first, last + first)
    return [f"{n:0{width}}-of-{found[0][2]}" for n in expected if n not in there]

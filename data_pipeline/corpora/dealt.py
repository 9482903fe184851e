"""Files as text for splits: as they are, or dealt out where they have no splits."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from data_pipeline.corpora.dealing import (
    Deal,
    cut_blocks,
    cut_positions,
    cuts_inside_lines,
    deal_documents,
    gathered,
    split_of_row,
)
from data_pipeline.corpora.notes import counted, listed
from data_pipeline.corpora.reader import Reader
from data_pipeline.corpora.rows import is_rows
from data_pipeline.corpora.text import SPLITS
from data_pipeline.errors import DataError


class Text(NamedTuple):
    """Text for some splits: `Source.blocks`, `key` and `size`, and what to tell."""

    blocks: Callable[[], Iterator[tuple[str, str]]]
    key: str
    size: int
    notes: list[str]
    facts: dict[str, Any]


def dealt(reader: Reader, paths: Sequence[Path], deal: Deal) -> Text:
    """Files without splits of their own, dealt out."""
    if len(paths) > 1:
        return _documents(reader, paths, deal)
    if is_rows(paths[0]):
        return _row_file(reader, paths[0], deal)
    return _cut_file(reader, paths[0], deal)


def _cut_file(reader: Reader, path: Path, deal: Deal) -> Text:
    seen, whole_lines = reader.survey(path), reader.whole_lines
    cuts = cut_positions(seen.characters, deal.shares)
    ends = (*cuts, seen.characters)
    where = "cut in its own order" + (", at line ends" if whole_lines else "")
    shortest = min(b - a for a, b in zip((0, *cuts), ends, strict=True))
    if whole_lines and seen.longest >= shortest:
        sentences = reader.config.split_sentences
        inside = cuts_inside_lines(
            reader.blocks(path), cuts, seen.characters, sentences
        )
        if inside:
            cuts, whole_lines = inside, False
            place = "sentence ends" if sentences else "white space"
            where = (
                f"cut in its own order, inside lines at {place} (its longest line has "
                f"{seen.longest:,} of its {seen.characters:,} characters)"
            )
    starts, ends = (0, *cuts), (*cuts, seen.characters)
    sizes = {n: b - a for n, a, b in zip(deal.names, starts, ends, strict=True)}

    def blocks() -> Iterator[tuple[str, str]]:
        return cut_blocks(reader.blocks(path), cuts, whole_lines, deal.names)

    told = f"{_dealt_out(path.name, deal)}, {where}: {counted(sizes)} characters"
    key = f"{seen.digest} {cuts} {whole_lines}"
    return Text(blocks, key, seen.characters, [told, *reader.notes([path])], {})


def _dealt_out(name: str, deal: Deal) -> str:
    return f"no splits of its own: {name} is dealt out as {deal.told()}"


def _row_file(reader: Reader, path: Path, deal: Deal) -> Text:
    seen, config = reader.survey(path), reader.config

    def labelled() -> Iterator[tuple[str, str]]:
        for text in reader.row_texts(path):
            yield split_of_row(text, deal.shares, config.seed, deal.names), text

    rows = dict.fromkeys(deal.names, 0)
    for split, _ in labelled():
        rows[split] += 1
    if not all(rows.values()):
        raise DataError(
            f"{path} has {seen.rows} rows with text, too few to deal out by a hash: "
            f"{counted(rows)}; give more rows, other data.fractions or data.seed, or "
            "files for train, valid and test"
        )
    told = f"{_dealt_out(path.name, deal)}, by a hash of each row: {counted(rows)} rows"
    shares: Any = config.fractions if deal.names == SPLITS else deal
    key = f"{seen.digest} {shares} {config.seed}"
    if config.split_sentences:
        key += f" {seen.rows} rows"
    return Text(
        lambda: gathered(labelled()),
        key,
        seen.characters,
        [told, *reader.notes([path])],
        {"splits": "by row, a hash of its text"},
    )


def _documents(reader: Reader, paths: Sequence[Path], deal: Deal) -> Text:
    by_text = {reader.survey(path).digest: path for path in reversed(paths)}
    unique = sorted(by_text.values())
    if len(unique) < len(deal.names):
        raise DataError(
            f"{listed(paths)}: {len(unique)} document(s) cannot be dealt out to "
            f"{', '.join(deal.names)}; give files for these, more documents, or the "
            "path of one file"
        )
    surveys = [reader.survey(path) for path in unique]
    digests = [seen.digest for seen in surveys]
    sizes = [seen.characters for seen in surveys]
    dealt = deal_documents(digests, sizes, deal.shares, reader.config.seed)
    parts = [
        (split, unique[i])
        for split, chosen in zip(deal.names, dealt, strict=True)
        for i in chosen
    ]
    counts = {s: len(chosen) for s, chosen in zip(deal.names, dealt, strict=True)}
    told = _dealt_out(f"each of {len(unique):,} documents", deal)
    notes = [f"{told}, whole documents: {counted(counts)}"]
    if copies := len(paths) - len(unique):
        notes.append(f"{copies:,} copies of documents left out")
    text = of_files(reader, parts, ended=True)
    facts = {"documents": len(unique), "copies left out": copies}
    return text._replace(notes=[*notes, *reader.notes(unique)], facts=facts)


def of_files(reader: Reader, parts: Sequence[tuple[str, Path]], *, ended: bool) -> Text:
    """The files' texts one after another, each in its own split."""

    def blocks() -> Iterator[tuple[str, str]]:
        for split, file in parts:
            text = reader.blocks(file)
            for block in _ended(text) if ended else text:
                yield split, block

    surveys = [(split, reader.survey(file)) for split, file in parts]
    key = " ".join(f"{split} {seen.digest}" for split, seen in surveys)
    return Text(blocks, key, sum(seen.characters for _, seen in surveys), [], {})


def _ended(blocks: Iterator[str]) -> Iterator[str]:
    """Blocks of a document; its last line gets a newline where it has none."""
    last = "\n"
    for block in blocks:
        yield block
        last = block[-1]
    if last != "\n":
        yield "\n"


def joined_texts(one: Text, two: Text) -> Text:
    """Two texts as one, the first before the second."""

    def blocks() -> Iterator[tuple[str, str]]:
        yield from one.blocks()
        yield from two.blocks()

    return one._replace(
        blocks=blocks, key=f"{one.key} {two.key}", size=one.size + two.size
    )

"""Corpora by name or path: `load(config)` gives a Source of text in three splits."""

import functools
from collections.abc import Callable, Iterator

from data_pipeline.config import DataConfig
from data_pipeline.corpora import files, grammar, morphology, stdlib_docs, tfds
from data_pipeline.corpora.reading import lines_of
from data_pipeline.corpora.text import SPLITS, Source, Text, from_text, joined
from data_pipeline.errors import DataError, unknown_name
from data_pipeline.paths import user_path

CORPORA: dict[str, Callable[[DataConfig], Text]] = {
    "stdlib_docs": stdlib_docs.load,
    "grammar": grammar.load,
    "morphology": morphology.load,
}


def load(config: DataConfig) -> Source:
    """The source that `config.corpus` names: one of CORPORA, `tfds:…`, `-`, or a path.

    Raises DataError, in one line, for an unknown name, a missing or empty file or
    bytes that are not UTF-8.
    """
    source = _load(config)
    return _deduplicated(source) if config.deduplicate else source


def _load(config: DataConfig) -> Source:
    if config.corpus in CORPORA:
        return from_text(CORPORA[config.corpus](config))
    if config.corpus == "-":
        return files.load_standard_input(config)
    if config.corpus.startswith("tfds:"):
        return tfds.load(config)
    path = user_path(config.corpus, "data.corpus")
    try:
        if path.exists():
            return files.load(path, config)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None
    if files.SAID.match(config.corpus):
        return files.load_said(config.corpus, config)
    if len(path.parts) == 1 and not path.suffix:
        error = unknown_name("corpus", config.corpus, CORPORA)
        raise DataError(f"{error}; nor is there a file or folder of this name")
    raise DataError(f"data.corpus: there is no file or folder {config.corpus!r}")


def _deduplicated(source: Source) -> Source:
    """Without the lines of a split that stand in a later one."""

    @functools.cache
    def held_out() -> dict[str, set[str]]:
        lines: dict[str, set[str]] = {name: set() for name in SPLITS}
        for split, block in source.blocks():
            if split != "train":
                lines[split].update(block.split("\n"))
        later = {"train": lines["valid"] | lines["test"], "valid": lines["test"]}
        return {split: lines - {""} for split, lines in later.items()}

    left_out: dict[str, int] = {}

    def kept(split: str, block: str) -> Iterator[str]:
        banned = held_out().get(split, set())
        for line in lines_of(iter([block])):
            if line.rstrip("\n") not in banned:
                yield line
            else:
                left_out[split] = left_out.get(split, 0) + 1

    def blocks() -> Iterator[tuple[str, str]]:
        left_out.clear()
        for split, block in source.blocks():
            for part in joined(kept(split, block)):
                yield split, part

    facts = {**source.facts, "duplicates_left_out": left_out}  # known after a pass
    key = f"deduplicated {source.key}" if source.key else ""
    return source._replace(blocks=blocks, key=key, facts=facts)

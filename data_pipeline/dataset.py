"""From a corpus to arrays of ids: `prepare(config)`.

Blocks of text are numbered one by one (`encode`), the numberings are merged and
counted, the vocabulary is made from the counts of the training split, and the numbers
become ids. Small sources stay in memory; larger ones go through the same steps in
parallel and onto disk (`store`), and are read back by memory map.
"""

import numpy as np

from data_pipeline import corpora
from data_pipeline.config import DataConfig
from data_pipeline.corpora.text import Fingerprint, Source
from data_pipeline.encode import encode_block
from data_pipeline.merge import Merger, Numbered, assemble, cut_of, describe
from data_pipeline.store import prepare_on_disk
from data_pipeline.types import Dataset


def prepare(config: DataConfig) -> Dataset:
    """Read, cut and encode a corpus: a pure function of `config` and the text.

    The vocabulary comes from the training split alone. Raises DataError, in one
    line, when the text cannot be read or a split is empty.
    """
    return prepare_source(corpora.load(config), config)


def prepare_source(source: Source, config: DataConfig) -> Dataset:
    """As `prepare`, of a source that `corpora.load` gave."""
    if source.key and source.size > config.in_memory << 20:
        return prepare_on_disk(source, config)
    return prepare_in_memory(source, config)[0]


def prepare_in_memory(
    source: Source, config: DataConfig
) -> tuple[Dataset, list[Numbered], Merger]:
    """The dataset, and the numbered blocks and the numbering that it was made of."""
    cut = cut_of(config, source)
    merger, fingerprint = Merger(), Fingerprint(source.key)
    blocks = [
        merger.add(split, encode_block(text, cut))
        for split, text in fingerprint.of(source.blocks())
    ]
    vocabulary = merger.vocabulary(config, cut)
    splits = assemble(blocks, merger, vocabulary, cut, source.name, _in_memory)
    corpus = describe(source, fingerprint.hexdigest(), vocabulary, splits, merger)
    return Dataset(vocabulary, splits, corpus), blocks, merger


def _in_memory(name: str, size: int, dtype: np.dtype) -> np.ndarray:
    del name
    return np.empty(size, dtype)

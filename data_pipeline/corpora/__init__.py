"""Corpora by name or path: `load(config)` gives lines of text in three splits."""

from collections.abc import Callable
from pathlib import Path

from data_pipeline.config import DataConfig
from data_pipeline.corpora import files, grammar, stdlib_docs
from data_pipeline.corpora.text import Text
from data_pipeline.errors import DataError, unknown_name

CORPORA: dict[str, Callable[[DataConfig], Text]] = {
    "stdlib_docs": stdlib_docs.load,
    "grammar": grammar.load,
}


def load(config: DataConfig) -> Text:
    """The text of `config.corpus`, a name in CORPORA or else a path.

    Raises DataError, in one line, for an unknown name, a missing or empty file or
    bytes that are not UTF-8.
    """
    if config.corpus in CORPORA:
        return CORPORA[config.corpus](config)
    path = Path(config.corpus).expanduser()
    if path.exists():
        return files.load(path, config)
    if len(path.parts) == 1 and not path.suffix:
        error = unknown_name("corpus", config.corpus, CORPORA)
        raise DataError(f"{error}; nor is there a file or folder of this name")
    raise DataError(f"data.corpus: there is no file or folder {config.corpus!r}")

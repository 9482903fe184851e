"""Small corpora laid out as archives and tools lay them out, for the tests."""

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data_pipeline import corpora
from data_pipeline.config import DataConfig
from data_pipeline.corpora.text import SPLITS


def lay_out(folder: Path, files: Mapping[str, str | bytes]) -> str:
    """Write the files below a folder, packed where they are named so."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = text.encode() if isinstance(text, str) else text
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return str(folder)


def texts_of(corpus: object, **settings: Any) -> dict[str, str]:
    """The text of each split of a corpus."""
    source = corpora.load(DataConfig(corpus=str(corpus), **settings))
    texts = dict.fromkeys(SPLITS, "")
    for split, block in source.blocks():
        texts[split] += block
    return texts


def splits(
    name: str, words: str = "train valid test", text: str = "text"
) -> dict[str, str]:
    """A file for each split, its name with {} filled in, its text naming the split."""
    pairs = zip(words.split(), SPLITS, strict=True)
    return {name.format(word): f"{split} {text}\n" for word, split in pairs}


def shards(name: str) -> dict[str, str]:
    """JSON lines of a split as tools that write shards name them."""
    files = {}
    for split, count in (("train", 2), ("validation", 1), ("test", 1)):
        for k in range(count):
            path = f"{name}/{split}-{k:05}-of-{count:05}.jsonl"
            files[path] = json.dumps({"text": f"{split} {k}"}) + "\n"
    return files

"""Our corpora as TFDS datasets, for others: array_record, read without TensorFlow.

Each line is an example `{"text": …}` in the text's order; characters and bytes keep
their newlines, so that the text comes back exactly. `vocabulary.json` and
`corpus.json` lie beside the records.
"""

import contextlib
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data_pipeline import corpora
from data_pipeline.config import DataConfig
from data_pipeline.corpora.reading import lines_of
from data_pipeline.corpora.text import Source
from data_pipeline.corpora.tfds import NAMES, tfds_library
from data_pipeline.dataset import prepare_source
from data_pipeline.errors import DataError
from data_pipeline.paths import user_path
from data_pipeline.tokenizers import TOKENIZERS

VERSION = "1.0.0"


def export(config: DataConfig, out: Path, name: str = "") -> Path:
    """Write the corpus to `out`/name/1.0.0, whole or not at all; returns that path.

    Raises DataError where it is there already or cannot be written.
    """
    source = corpora.load(config)
    dataset = prepare_source(source, config)
    name = _snake_case(name or source.name)
    target = user_path(out, "--out") / name / VERSION
    if target.exists():
        raise DataError(f"{target} is there already; remove it or give another name")
    making = target.parents[1] / f".making-{name}-{os.getpid()}"
    try:
        written = _write(source, config, making, name)
        dataset.vocabulary.save(written / "vocabulary.json")
        record = json.dumps(dataset.corpus._asdict(), indent=1, ensure_ascii=False)
        (written / "corpus.json").write_text(record, encoding="utf-8")
        target.parent.mkdir(parents=True, exist_ok=True)
        written.rename(target)
    except OSError as error:
        raise DataError(f"cannot write {target}: {error.strerror or error}") from None
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return target


def _snake_case(name: str) -> str:
    name = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    return name if name and not name[0].isdigit() else f"corpus_{name}"


def _write(source: Source, config: DataConfig, folder: Path, name: str) -> Path:
    library = tfds_library()
    builder = _builder(library, source, config, name)(
        data_dir=str(folder), file_format="array_record"
    )
    settings = library.download.DownloadConfig(try_download_gcs=False)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            builder.download_and_prepare(download_config=settings)
    except ImportError as error:
        raise DataError(f"export needs a package: pip install {error.name}") from None
    for split in NAMES.values():
        stored = len(builder.as_data_source(split))
        if stored != builder.info.splits[split].num_examples:
            raise DataError(f"tensorflow-datasets lost rows of {split}: {stored} left")
    return Path(str(builder.data_path))


def _builder(library: Any, source: Source, config: DataConfig, name: str) -> Any:
    keep_newlines = not TOKENIZERS[config.tokenizer].marks

    def examples(split: str) -> Iterator[tuple[int, dict[str, str]]]:
        blocks = (text for label, text in source.blocks() if label == split)
        for number, line in enumerate(lines_of(blocks)):
            yield number, {"text": line if keep_newlines else line.rstrip("\n")}

    class Exported(library.core.GeneratorBasedBuilder):
        VERSION = library.core.Version("1.0.0")

        def _info(self) -> Any:
            return library.core.DatasetInfo(
                builder=self,
                description=f"{source.name}, written by data_pipeline export.",
                features=library.features.FeaturesDict(
                    {"text": library.features.Text()}
                ),
                disable_shuffling=True,
            )

        def _split_generators(self, dl_manager: Any) -> Any:
            del dl_manager
            return {theirs: examples(ours) for ours, theirs in NAMES.items()}

        def _generate_examples(self) -> Any:
            raise NotImplementedError

    Exported.name = name
    return Exported

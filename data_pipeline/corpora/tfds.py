"""`tfds:NAME[/CONFIG][:FEATURE]`: text datasets of tensorflow-datasets.

Read without TensorFlow where TFDS can. Looked for, in this order: the path of a
prepared dataset (such as one that our `export` wrote); a prepared dataset under
`data.tfds_dir`; a dataset that can be prepared there as array_record from files that
are there already. Nothing is ever downloaded, so nothing hangs without a network: the
error names the command that fetches what is missing.

An example is a text of one or more lines. `validation` is our valid split; where the
dataset lacks it or `test`, rows of `train` are dealt out by a hash of their text.
"""

import contextlib
import hashlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple
from unittest import mock

from data_pipeline.config import DataConfig
from data_pipeline.corpora.dealing import gathered, split_of_row
from data_pipeline.corpora.notes import counted
from data_pipeline.corpora.text import SPLITS, Source
from data_pipeline.errors import DataError

NAMES = {"train": "train", "valid": "validation", "test": "test"}


class Spec(NamedTuple):
    """`NAME/CONFIG` (or the path of a prepared dataset) and a feature, or ""."""

    name: str
    feature: str


def parse(corpus: str) -> Spec:
    """Take `tfds:NAME[/CONFIG][:FEATURE]` apart; raises DataError without a name."""
    rest = corpus.removeprefix("tfds:")
    name, _, feature = rest.partition(":")
    if not name:
        raise DataError(f"{corpus!r} names no dataset; write tfds:NAME[/CONFIG]")
    return Spec(name, feature)


def load(config: DataConfig) -> Source:
    """The dataset as a source. Raises DataError, in one line, where it cannot be."""
    spec = parse(config.corpus)
    builder = _prepared(spec, config) or _prepare_here(spec, config)
    splits = {s: n for s, n in NAMES.items() if n in builder.info.splits}
    if "train" not in splits:
        have = ", ".join(builder.info.splits)
        raise DataError(f"tfds:{spec.name} has no split train; its splits: {have}")
    path = _feature(spec, builder.info.features)

    def rows() -> Iterator[tuple[str, str]]:
        for split, name in splits.items():
            last = ""
            for row in _examples(spec, builder, name, path):
                between = "\n" if last and last[-1] != "\n" else ""
                yield _label(row, split, splits, config), between + row
                last = row or "\n"

    digest, size, counts = hashlib.sha256(), 0, dict.fromkeys(SPLITS, 0)
    for split, row in rows():
        digest.update(f"\0{split}\0{row}".encode("utf-8", "surrogatepass"))
        size += len(row)
        counts[split] += 1
    own = len(splits) == len(SPLITS)
    dealt = [split for split in SPLITS if split not in splits]
    how = f"{' and '.join(dealt)} dealt out of train, by a hash of each row"
    facts = {
        "dataset": builder.info.full_name,
        "splits": "the dataset's own" if own else "train, by row",
        "notes": [f"{'its own splits' if own else how}: {counted(counts)} examples"],
    }
    return Source(spec.name, lambda: gathered(rows()), facts, digest.hexdigest(), size)


def _label(row: str, split: str, own: dict[str, str], config: DataConfig) -> str:
    """A row's split: the dataset's own, or a hash's where it lacks one."""
    if split != "train" or len(own) == len(SPLITS):
        return split
    chosen = split_of_row(row, config.fractions, config.seed)
    return "train" if chosen in own else chosen


def tfds_library() -> Any:
    """The package; DataError where it is not installed."""
    try:
        import tensorflow_datasets
    except ImportError as error:
        raise DataError(
            f"tfds: needs a package ({error}): pip install tensorflow-datasets "
            "array_record importlib_resources"
        ) from None
    return tensorflow_datasets


def data_dir(config: DataConfig) -> Path:
    """The folder of prepared datasets."""
    chosen = config.tfds_dir or os.environ.get("TFDS_DATA_DIR")
    return Path(chosen or "~/tensorflow_datasets").expanduser()


def _prepared(spec: Spec, config: DataConfig) -> Any | None:
    for folder in (Path(spec.name).expanduser(), data_dir(config) / spec.name):
        found = sorted(folder.glob("**/features.json"), key=_version) or []
        if found:
            try:
                return tfds_library().builder_from_directory(str(found[-1].parent))
            except Exception as error:
                what = " ".join(str(error).split())
                raise DataError(f"cannot read {found[-1].parent}: {what}") from None
    return None


def _version(path: Path) -> tuple[list[int], str]:
    parts = path.parent.name.split(".")
    return [int(part) for part in parts if part.isdigit()], str(path)


def _prepare_here(spec: Spec, config: DataConfig) -> Any:
    library, folder = tfds_library(), data_dir(config)
    try:
        builder = library.builder(
            spec.name, data_dir=str(folder), file_format="array_record", try_gcs=False
        )
    except library.core.DatasetNotFoundError:
        raise DataError(
            f"tensorflow-datasets has no dataset {spec.name!r}, and none is prepared "
            f"in {folder} (data.tfds_dir)"
        ) from None
    except (ImportError, ValueError, RuntimeError) as error:
        what = " ".join(str(error).split())
        raise DataError(f"cannot open tfds:{spec.name}: {what}") from None
    settings = library.download.DownloadConfig(try_download_gcs=False)
    quiet = contextlib.redirect_stdout(sys.stderr)
    with _without_network(library, folder), _plain_files(builder), quiet:
        try:
            builder.download_and_prepare(
                download_dir=str(folder / "downloads"), download_config=settings
            )
        except DataError:
            raise
        except ImportError as error:
            raise _needs_package(spec, error) from None
        except Exception as error:
            what = " ".join(str(error).split())[:300]
            raise DataError(f"cannot prepare tfds:{spec.name}: {what}") from None
    return builder


def _needs_package(spec: Spec, error: ImportError) -> DataError:
    if (error.name or "tensorflow").partition(".")[0] == "tensorflow":
        return _needs_tensorflow(spec, str(error))
    return DataError(f"tfds:{spec.name} needs a package: pip install {error.name}")


def _needs_tensorflow(spec: Spec, why: str) -> DataError:
    why = " ".join(why.split())[:120]
    return DataError(
        f"tfds:{spec.name} needs TensorFlow here ({why}); pip install tensorflow-cpu, "
        "or prepare it where TensorFlow is: tfds build --file_format=array_record "
        f"{spec.name}, and copy it into data.tfds_dir"
    )


@contextlib.contextmanager
def _without_network(library: Any, folder: Path) -> Iterator[None]:
    """A download becomes an error that says how to do it by hand."""

    def missing(manager: Any, resource: Any) -> None:
        known = manager._url_infos.get(resource.url)
        name = known.filename if known and known.filename else "FILE"
        target = folder / "downloads" / "manual" / name
        raise DataError(
            f"a file is missing; fetch it where there is a network: curl -L "
            f"--create-dirs -o {target} {resource.url}"
        )

    manager = library.core.download.download_manager.DownloadManager
    with mock.patch.object(manager, "_download", missing):
        yield


@contextlib.contextmanager
def _plain_files(builder: Any) -> Iterator[None]:
    """Where TensorFlow is missing, its file functions are Python's own.

    Some builders (tiny_shakespeare among them) need TensorFlow for no more than
    opening local files.
    """
    module = sys.modules[type(builder).__module__]
    if importlib.util.find_spec("tensorflow") or not hasattr(module, "tf"):
        yield
        return
    gfile = SimpleNamespace(
        GFile=lambda path, mode="r": open(
            path, mode, encoding=None if "b" in mode else "utf-8"
        ),
        isdir=os.path.isdir,
        exists=os.path.exists,
        listdir=os.listdir,
        glob=lambda pattern: list(map(str, Path("/").glob(str(pattern)[1:]))),
    )
    stub = SimpleNamespace(io=SimpleNamespace(gfile=gfile))
    with mock.patch.object(module, "tf", stub):
        yield


def _feature(spec: Spec, features: Any) -> list[str]:
    """The keys that lead to the text; raises DataError, with those that there are."""
    names = list(_text_features(features))
    chosen = spec.feature or next((n for n in ("text", "sentence") if n in names), "")
    chosen = chosen or (names[0] if len(names) == 1 else "")
    if chosen not in names:
        what = f"no text feature {chosen!r}" if chosen else "several text features"
        raise DataError(
            f"tfds:{spec.name} has {what}; it has: {', '.join(names) or 'none'}; write "
            f"tfds:{spec.name}:FEATURE"
        )
    return chosen.split("/")


def _text_features(features: Any, prefix: str = "") -> Iterator[str]:
    for name, feature in features.items():
        if hasattr(feature, "items"):
            yield from _text_features(feature, f"{prefix}{name}/")
        elif type(feature).__name__ == "Text":
            yield f"{prefix}{name}"


def _examples(spec: Spec, builder: Any, split: str, path: list[str]) -> Iterator[str]:
    for example in _read(spec, builder, split):
        for key in path:
            example = example[key]
        text = example.decode("utf-8") if isinstance(example, bytes) else str(example)
        yield text.replace("\r\n", "\n").replace("\0", "\ufffd")


def _read(spec: Spec, builder: Any, split: str) -> Any:
    try:
        source = builder.as_data_source(split)
    except NotImplementedError:  # tfrecord
        if not importlib.util.find_spec("tensorflow"):
            raise _needs_tensorflow(spec, "it is stored as tfrecord") from None
        return tfds_library().as_numpy(builder.as_dataset(split))
    except ImportError as error:
        raise _needs_package(spec, error) from None
    expected = builder.info.splits[split].num_examples
    if len(source) != expected:
        raise DataError(
            f"tfds:{spec.name} is damaged: {len(source)} of {expected} examples of "
            f"{split} are there; prepare it again"
        )
    return source

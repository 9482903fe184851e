"""Sources larger than memory: prepared once, in parallel, onto disk, then mapped.

The main process reads blocks of text and merges numberings; workers cut and number
blocks; the numbers wait in a spool file until the vocabulary is known, and then become
arrays of ids of the smallest type. A prepared folder is named by a hash of the text
and of every setting that shapes it. It appears whole, by one rename, or not at all: a
lock lets a second process wait and then read what the first has made.
"""

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import multiprocessing
import os
import shutil
import threading
import time
import zlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from data_pipeline.config import DataConfig
from data_pipeline.corpora.text import BLOCK, SPLITS, Fingerprint, Source
from data_pipeline.encode import Cut, Encoded, encode_block
from data_pipeline.errors import DataError
from data_pipeline.merge import (
    Merger,
    Numbered,
    assemble,
    cut_of,
    describe,
    id_type,
)
from data_pipeline.paths import cache_folder
from data_pipeline.types import Corpus, Dataset, TokenArray
from data_pipeline.vocabulary import Vocabulary

FORMAT = "prepared-2"
SHAPING = """tokenizer lower max_vocabulary min_count split_sentences drop_containing
min_length""".split()


class Prepared(NamedTuple):
    """A folder in the cache: what it was made from, and its size in bytes."""

    path: Path
    name: str
    size: int


def prepare_on_disk(source: Source, config: DataConfig) -> Dataset:
    """As `prepare`: the same ids and vocabulary, in memory-mapped arrays."""
    cache = cache_folder(config.cache_dir)
    target = cache / cache_key(source, config)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with _locked(cache / f"{target.name}.lock"):
            if not target.exists():
                _prepare(source, config, target)
        stored = load(target)
        now = {name: fact for name, fact in source.facts.items() if fact}
        facts = {**stored.corpus.facts, **now}  # as it was read this time
        corpus = stored.corpus._replace(name=source.name, facts=facts)
        return stored._replace(corpus=corpus)
    except OSError as error:
        raise DataError(
            f"cannot prepare {source.name} in {cache}: {error.strerror or error}; "
            "make room (python -m data_pipeline clean) or set data.cache_dir"
        ) from None


def cache_key(source: Source, config: DataConfig) -> str:
    """Name of the prepared folder: a hash of the text and the settings."""
    settings = {name: getattr(config, name) for name in SHAPING}
    settings["sentences"] = config.reading == "sentences"
    record = json.dumps([FORMAT, source.key, settings], sort_keys=True)
    return hashlib.sha256(record.encode()).hexdigest()[:24]


def load(folder: Path) -> Dataset:
    """A prepared dataset, its arrays mapped read-only; every file is checked against
    the sums that were kept of it. Raises DataError where one is damaged."""
    try:
        record = json.loads((folder / "corpus.json").read_text(encoding="utf-8"))
        if record["crc32"] != _sums(folder):
            raise ValueError("its files are not as they were written")
        splits = {
            name: TokenArray(
                np.load(folder / f"{name}.ids.npy", mmap_mode="r", allow_pickle=False),
                np.load(folder / f"{name}.starts.npy", mmap_mode="r"),
            )
            for name in SPLITS
        }
        sizes = {name: len(split.ids) for name, split in splits.items()}
        if sizes != record["facts"]["tokens"]:
            raise ValueError(f"sizes {sizes} are not as recorded")
    except (ValueError, TypeError, LookupError, EOFError, RecursionError) as error:
        raise _damaged(folder, error) from None
    except FileNotFoundError as error:
        raise _damaged(folder, error) from None
    vocabulary = Vocabulary.load(folder / "vocabulary.json")
    corpus = Corpus(record["name"], record["fingerprint"], record["facts"])
    return Dataset(vocabulary, splits, corpus)


def _damaged(folder: Path, error: Exception) -> DataError:
    what = " ".join(str(error).split())
    return DataError(f"{folder} is damaged ({what}); remove it: rm -r '{folder}'")


def _sums(folder: Path) -> dict[str, int]:
    """CRC-32 of each file beside the record."""
    names = [f"{split}.{part}.npy" for split in SPLITS for part in ("ids", "starts")]
    return {name: _crc(folder / name) for name in (*names, "vocabulary.json")}


def _crc(path: Path) -> int:
    crc = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            crc = zlib.crc32(block, crc)
    return crc


def prepared(cache: Path) -> list[Prepared]:
    """What the cache holds; folders that a killed process left have no name."""
    found = []
    for path in sorted(cache.iterdir()) if cache.is_dir() else []:
        if not path.is_dir():
            continue
        with contextlib.suppress(OSError):
            size = sum(p.stat().st_size for p in path.iterdir())
            record = path / "corpus.json"
            name = json.loads(record.read_text())["name"] if record.exists() else ""
            whole = not path.name.startswith(".")
            found.append(Prepared(path, name if whole else "(unfinished)", size))
    return found


def remove(entry: Prepared) -> None:
    """Remove a prepared folder; waits while a process is at work on it."""
    key = entry.path.name.removeprefix(".making-")
    lock = entry.path.parent / f"{key}.lock"
    with _locked(lock):
        shutil.rmtree(entry.path, ignore_errors=True)
        lock.unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time; a dead process leaves no lock behind."""
    while True:
        with path.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if path.exists() and os.path.samestat(path.stat(), os.fstat(file.fileno())):
                yield
                return


def _prepare(source: Source, config: DataConfig, target: Path) -> None:
    making = target.with_name(f".making-{target.name}")
    shutil.rmtree(making, ignore_errors=True)  # of a process that was killed
    making.mkdir()
    try:
        _fill(source, config, making)
        making.rename(target)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _fill(source: Source, config: DataConfig, folder: Path) -> None:
    cut = cut_of(config, source)
    merger, fingerprint = Merger(), Fingerprint(source.key)
    spool = _Spool(folder / "spool")
    blocks = _progress(fingerprint.of(source.blocks()), source)
    for split, encoded in encode_blocks(blocks, cut, config.workers):
        spool.append(merger.add(split, encoded))
    vocabulary = merger.vocabulary(config, cut)

    def allocate(name: str, size: int, dtype: np.dtype) -> np.ndarray:
        path = folder / f"{name}.npy"
        return np.lib.format.open_memmap(path, "w+", dtype, (size,))

    _reserve(folder, sum(merger.sizes.values()) * id_type(vocabulary.size).itemsize)
    splits = assemble(spool.read(), merger, vocabulary, cut, source.name, allocate)
    spool.path.unlink()
    corpus = describe(source, fingerprint.hexdigest(), vocabulary, splits, merger)
    vocabulary.save(folder / "vocabulary.json")
    for split in splits.values():
        for array in split:
            array.flush()  # pyright: ignore[reportAttributeAccessIssue]
    record = {**corpus._asdict(), "settings": dataclasses.asdict(config)}
    record["crc32"] = _sums(folder)
    (folder / "corpus.json").write_text(json.dumps(record, indent=1), encoding="utf-8")


def _reserve(folder: Path, size: int) -> None:
    """Take up and give back the space first: a full disk under a memory map would
    kill the process in place of raising OSError."""
    path = folder / "reserve"
    with path.open("wb") as file:
        if size:
            os.posix_fallocate(file.fileno(), 0, size)
    path.unlink()


def _progress(
    blocks: Iterator[tuple[str, str]], source: Source
) -> Iterator[tuple[str, str]]:
    with tqdm(
        total=source.size,
        desc=f"preparing {source.name}",
        unit="B",
        unit_scale=True,
        disable=None,
    ) as bar:
        for split, text in blocks:
            yield split, text
            bar.update(len(text))


def encode_blocks(
    blocks: Iterator[tuple[str, str]], cut: Cut, workers: int = 0
) -> Iterator[tuple[str, Encoded]]:
    """Blocks encoded by worker processes, in order, a few in flight at a time."""
    workers = workers or os.cpu_count() or 1
    if workers == 1:
        for split, text in blocks:
            yield split, encode_block(text, cut)
        return
    context = multiprocessing.get_context("spawn")  # JAX's threads forbid a fork
    parent = (os.getpid(),)
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=_end_with, initargs=parent
    ) as pool:
        try:
            yield from _in_order(pool, blocks, cut, 2 * workers)
        except BrokenProcessPool:
            raise DataError(
                "a worker process died, perhaps of lack of memory; set data.workers 1"
            ) from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _end_with(parent: int) -> None:
    """In a worker: ends it soon after its parent has died, by whatever signal."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _in_order(
    pool: Executor, blocks: Iterator[tuple[str, str]], cut: Cut, most: int
) -> Iterator[tuple[str, Encoded]]:
    waiting: deque[tuple[str, Future[Encoded]]] = deque()
    for split, text in blocks:
        waiting.append((split, pool.submit(_encode, text, cut)))
        while len(waiting) >= most:
            done, future = waiting.popleft()
            yield done, future.result()
    for split, future in waiting:
        yield split, future.result()


def _encode(text: str, cut: Cut) -> Encoded:
    """A block's numbers, in the smallest type: that is what travels and is kept."""
    block = encode_block(text, cut)
    smallest = np.min_scalar_type(max(1, len(block.words)))
    return block._replace(numbers=block.numbers.astype(smallest))


class _Spool:
    """Numbers of blocks on disk, one after the other, in one file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._index: list[tuple[str, int, np.dtype, np.ndarray]] = []

    def append(self, block: Numbered) -> None:
        with self.path.open("ab") as file:
            file.write(block.numbers.data)  # whose errors say more than tofile's
        dtype = block.numbers.dtype
        self._index.append((block.split, len(block.numbers), dtype, block.merged))

    def read(self) -> Iterator[Numbered]:
        with self.path.open("rb") as file:
            for split, size, dtype, merged in self._index:
                yield Numbered(split, np.fromfile(file, dtype, size), merged)

"""How fast, and within how much memory, text becomes mapped ids.

    python -m experiments.benchmark data --megabytes 1000

The text is the embedded corpus again and again, with a word never seen before in
every fifteenth line or so (about a million types in 1,000 MB). Memory is the peak of
the sum over all processes of their resident sets, which counts shared pages twice.
Windows are read back in the text's order, 64 lanes of 100 tokens. Run it on a quiet
machine.
"""

import random
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from data_pipeline import corpora
from data_pipeline.config import DataConfig
from data_pipeline.dataset import prepare
from data_pipeline.streams import Streams
from data_pipeline.types import Dataset
from experiments.benchmark import Benchmark
from experiments.benchmark.__main__ import main
from experiments.results.markdown import markdown
from experiments.results.rows import Row, machine

LETTERS = "etaoinshrdlucmfwyp"


def write_text(path: Path, megabytes: int) -> int:
    """Write at least so many megabytes of text; returns the bytes written."""
    text = "".join(block for _, block in corpora.load(DataConfig()).blocks())
    lines = text.splitlines()
    chance, size = random.Random(0), 0
    with path.open("w", encoding="utf-8") as file:
        while size < megabytes * 1_000_000:
            for at in range(chance.randrange(15), len(lines), 15):
                file_word = "".join(chance.choices(LETTERS, k=7))
                lines[at] = f"{lines[at].rpartition(' ')[0]} {file_word}"
            size += file.write("\n".join(lines) + "\n")
    return size


class PeakMemory:
    """Watches this process and its children; `peak` is in bytes."""

    def __enter__(self) -> "PeakMemory":
        self.peak, self._done = 0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        me = psutil.Process()
        while not self._done.wait(0.1):
            total = 0
            for process in (me, *me.children(recursive=True)):
                try:
                    total += process.memory_info().rss
                except psutil.Error:  # it has just ended
                    continue
            self.peak = max(self.peak, total)

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


def measure(megabytes: int, tokenizer: str) -> dict[str, Any]:
    """Prepare a text on disk, and read its windows back."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "text.txt"
        size = write_text(path, megabytes)
        config = DataConfig(
            corpus=str(path),
            tokenizer=tokenizer,
            max_vocabulary=50_000,
            in_memory=0,
            cache_dir=f"{folder}/cache",
        )
        with PeakMemory() as memory:
            begin = time.perf_counter()
            dataset = prepare(config)
            seconds = time.perf_counter() - begin
        begin = time.perf_counter()
        prepare(config)
        again = time.perf_counter() - begin
        return {
            "megabytes": size / 1e6,
            "tokenizer": tokenizer,
            "tokens": sum(dataset.corpus.facts["tokens"].values()),
            "megabytes_per_second": size / 1e6 / seconds,
            "peak_memory_megabytes": memory.peak / 1e6,
            "found_again_seconds": again,
            "windows_tokens_per_second": read_back(dataset),
        }


def read_back(dataset: Dataset) -> float:
    """Tokens a second of training windows, from the mapped file."""
    streams = Streams(dataset.splits["train"].ids, 64, 100)
    steps = min(streams.steps, 20_000)
    begin = time.perf_counter()
    tokens = sum(
        int(np.size(streams.batch_at(0, 0, step).targets)) for step in range(steps)
    )
    return tokens / (time.perf_counter() - begin)


def table(rows: Sequence[Row]) -> str:
    """How fast text becomes ids, and windows are read back."""
    lines = []
    for row in rows:
        found = row["metrics"]
        lines.append(
            (
                found["tokenizer"],
                f"{found['megabytes']:,.0f} MB, {found['tokens'] / 1e6:,.0f} M",
                f"{found['megabytes_per_second']:.1f} MB/s",
                f"{found['peak_memory_megabytes']:,.0f} MB",
                f"{found['windows_tokens_per_second'] / 1e6:,.0f} M tokens/s",
                f"{machine(row)}",
            )
        )
    head = ("tokens", "text", "prepared", "peak memory", "read back", "on")
    return markdown(head, lines)


BENCHMARK = Benchmark(
    measure, table, ("megabytes", "tokenizer"), "data_rates_{tokenizer}"
)

if __name__ == "__main__":
    main(["data", *sys.argv[1:]])

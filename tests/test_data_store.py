"""Data on disk: the same as in memory, whole or not there, shared in peace."""

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data_pipeline import store
from data_pipeline.config import DataConfig
from data_pipeline.corpora import reading
from data_pipeline.dataset import prepare
from data_pipeline.errors import DataError

LINES = "".join(f"word{i % 91} and word{i % 17}, é{i % 5}.\n" for i in range(4000))


@pytest.fixture
def text(tmp_path):
    (tmp_path / "text.txt").write_text(LINES, encoding="utf-8")
    return tmp_path / "text.txt"


def on_disk(text, **settings):
    settings = {"workers": 1, "max_vocabulary": 60, **settings}
    settings.setdefault("cache_dir", str(text.parent / "cache"))
    return DataConfig(corpus=str(text), in_memory=0, **settings)


def same(one, two):
    assert one.vocabulary == two.vocabulary and one.corpus == two.corpus
    for name, split in one.splits.items():
        for a, b in zip(split, two.splits[name], strict=True):
            np.testing.assert_array_equal(a, b)
            assert a.dtype == b.dtype


SETTINGS = [
    {"tokenizer": "words"},
    {"tokenizer": "characters"},
    {"tokenizer": "whitespace", "reading": "sentences", "lower": True, "min_length": 2},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_disk_equals_memory(text, monkeypatch, settings):
    monkeypatch.setattr(reading, "BLOCK", 5000)  # many blocks
    config = on_disk(text, **settings)
    stored = prepare(config)
    assert isinstance(stored.splits["train"].ids, np.memmap)
    assert not stored.splits["train"].ids.flags.writeable
    memory = prepare(DataConfig(corpus=str(text), max_vocabulary=60, **settings))
    assert not isinstance(memory.splits["train"].ids, np.memmap)
    same(stored, memory)


def test_workers_equal_one_process(text, monkeypatch):
    monkeypatch.setattr(reading, "BLOCK", 20_000)
    two = prepare(on_disk(text, workers=2, cache_dir=str(text.parent / "other")))
    same(prepare(on_disk(text)), two)


def test_it_is_made_once_and_again_when_the_text_changes(text, monkeypatch):
    prepare(on_disk(text))
    with monkeypatch.context() as patch:
        patch.setattr(store, "_prepare", pytest.fail)
        prepare(on_disk(text))
        prepare(on_disk(text, batch=7, window=3))
    text.write_text(LINES + "one more\n")
    prepare(on_disk(text))
    prepare(on_disk(text, lower=True))
    assert len(store.prepared(text.parent / "cache")) == 3


def test_the_cache_can_be_seen_and_cleaned(text):
    prepare(on_disk(text))
    cache = text.parent / "cache"
    (cache / ".making-dead").mkdir()
    (cache / ".making-dead" / "spool").write_bytes(b"x" * 100)
    entries = store.prepared(cache)
    assert sorted(e.name for e in entries) == ["(unfinished)", "text.txt"]
    assert sum(e.size for e in entries) > 20_000
    for entry in entries:
        store.remove(entry)
    assert list(cache.iterdir()) == []
    assert store.prepared(text.parent / "nowhere") == []


def test_bad_text_leaves_nothing_behind(text):
    text.write_bytes(LINES.encode() + b"\xff\n")
    with pytest.raises(DataError, match="is not UTF-8"):
        prepare(on_disk(text))
    text.write_text("word\n" * 2000 + "\n" * 2000)
    with pytest.raises(DataError, match="split of text.txt has no tokens"):
        prepare(on_disk(text))
    assert store.prepared(text.parent / "cache") == []


def test_a_damaged_folder_is_recognised(text):
    prepare(on_disk(text))
    (entry,) = store.prepared(text.parent / "cache")
    record = json.loads((entry.path / "corpus.json").read_text())
    record["facts"]["tokens"]["train"] += 1
    (entry.path / "corpus.json").write_text(json.dumps(record))
    with pytest.raises(DataError, match="damaged"):
        prepare(on_disk(text))
    (entry.path / "train.ids.npy").write_bytes(b"")
    with pytest.raises(DataError, match="damaged"):
        prepare(on_disk(text))


def run(text, before=""):
    """Prepare in a process of its own."""
    code = (
        "import sys, resource\n"
        "from data_pipeline.config import DataConfig\n"
        "from data_pipeline.dataset import prepare\n"
        "from data_pipeline.errors import DataError\n"
        "from data_pipeline.corpora import reading\n"
        f"{before}\n"
        "try:\n"
        f"    data = prepare(DataConfig(corpus={str(text)!r}, in_memory=0, workers=1,\n"
        f"        max_vocabulary=60, cache_dir={str(text.parent / 'cache')!r}))\n"
        "except DataError as error:\n"
        "    sys.exit(f'error: {error}')\n"
        "print(data.corpus.facts['tokens']['train'])\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    )


def test_two_processes_at_once_do_not_harm_each_other(text):
    both = [run(text), run(text)]
    outputs = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert outputs[0][0] == outputs[1][0]
    assert [e.name for e in store.prepared(text.parent / "cache")] == ["text.txt"]


def test_a_full_disk_gives_one_line_and_leaves_nothing(text):
    limit = "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))"
    ignore = "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)"
    process = run(text, before=f"{ignore}; {limit}")
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 1
    assert (
        errors.startswith("error: cannot prepare text.txt") and errors.count("\n") == 1
    )
    assert store.prepared(text.parent / "cache") == []
    prepare(on_disk(text))
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 10_000


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 48 kB, where this process may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=48k", "tmpfs", str(folder)]
    try:
        subprocess.run(words, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a small file system needs root and mount")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_really_full_disk_too(text, small_disk):
    cache = str(small_disk / "cache")
    with pytest.raises(DataError, match="cannot prepare text.txt.*No space left"):
        prepare(on_disk(text, cache_dir=cache))
    assert store.prepared(Path(cache)) == []
    free = os.statvfs(small_disk)
    assert free.f_bfree >= free.f_blocks - 3, "something is left on the disk"


def test_a_killed_process_poisons_nothing(text):
    slow = (
        "from data_pipeline import store; import time\n"
        "store.describe = lambda *a: (print('now', flush=True), time.sleep(600))\n"
    )
    process = run(text, before=slow)
    assert process.stdout is not None and process.stdout.readline() == "now\n"
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=300)
    (left,) = store.prepared(text.parent / "cache")
    assert left.name == "(unfinished)"
    stored = prepare(on_disk(text))
    assert [e.name for e in store.prepared(text.parent / "cache")] == ["text.txt"]
    same(stored, prepare(DataConfig(corpus=str(text), max_vocabulary=60)))


def test_preparing_needs_no_jax(text):
    process = run(
        text,
        before="import atexit; atexit.register(check := lambda: "
        "print('jax' in sys.modules))",
    )
    output, errors = process.communicate(timeout=300)
    assert output.splitlines()[1:] == ["False"], errors

"""What a run's files may hold: anything. It is read, or refused in one line."""

import random
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from data_pipeline.errors import DataError
from data_pipeline.vocabulary import Vocabulary
from experiments.config import Config
from experiments.run.directory import open_run, read_checkpoints, read_run
from experiments.run.files import RunError
from experiments.run.metrics import Metrics, read_metrics
from experiments.run.probes import FILE, read_probe, rewind_probe
from experiments.run.samples import append_samples, rewind_samples
from tests.small_run import TEXT, TREE, contents, forge, made


@pytest.fixture(autouse=True)
def no_provenance(monkeypatch):
    """Asking git, the machine and the disk each time would take most of the time."""
    for what in ("git_state", "versions", "hardware"):
        monkeypatch.setattr(f"experiments.run.provenance.{what}", lambda: {})
    monkeypatch.setattr("os.fsync", lambda _: None)


def test_samples_keep_their_bytes(tmp_path):
    path = tmp_path / "samples.txt"
    append_samples(path, 1, ["a\rb\r\nc", "=== step 2 ===\nnot a header", "\ud83d"])
    kept = path.read_bytes()
    append_samples(path, 3, ["late"])
    rewind_samples(path, 2)
    assert path.read_bytes() == kept
    assert b"a\rb\r\nc\n =\xe2"[:8] in kept and b"\n === step 2 ===\n" in kept
    path.write_bytes(b"\xff\xfe torn \xe2\n" + kept)
    rewind_samples(path, 0)
    assert path.read_bytes() == b"\xff\xfe torn \xe2\n"


def rows(path: Path, number: int) -> None:
    with open(path, "w") as file:
        for step in range(number):
            numbers = ", ".join(f"{step / (k + 1):.5g}" for k in range(24))
            file.write(f'{{"step": {step}, "loss": 1.5, "norms": [{numbers}]}}\n')


def peak(do) -> int:
    """The most memory that Python took meanwhile, in bytes."""
    tracemalloc.start()
    try:
        do()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_resuming_and_reading_take_no_more_memory_for_longer_runs(tmp_path):
    path, taken = tmp_path / "metrics.jsonl", {}
    for number in (10_000, 40_000):
        rows(path, number)
        read = peak(lambda: [None for _ in read_metrics(path) if False])
        back = peak(lambda n=number: Metrics(path).rewind(n - 100))
        taken[number] = (read, back)
        assert sum(1 for _ in read_metrics(path)) == number - 99
    assert path.stat().st_size > 6_000_000
    for short, long in zip(taken[10_000], taken[40_000], strict=True):
        assert long < short + (1 << 20) and long < 8 << 20


def test_the_cut_is_found_wherever_it_lies(tmp_path, monkeypatch):
    monkeypatch.setattr("experiments.run.metrics.BLOCK", 64)
    path = tmp_path / "metrics.jsonl"
    for cut in (-1, 0, 1, 7, 18, 19, 30):
        rows(path, 20)
        whole = path.read_text().splitlines(keepends=True)
        with open(path, "a") as file:
            file.write('{"step": 3')
        Metrics(path).rewind(cut)
        assert path.read_text() == "".join(whole[: cut + 1])


def rewound(folder: Path) -> None:
    """Opens the run and goes back to its second step."""
    with open_run(folder, Config(), TEXT) as run:
        run.rewind(2)
    list(read_metrics(folder / "metrics.jsonl"))


FUZZED = {
    "config.json": lambda run: (read_run(run, Config), rewound(run)),
    "vocabulary.json": lambda run: used(read_run(run, Config)[1]),
    "metrics.jsonl": rewound,
    "samples.txt": rewound,
    "summary.json": rewound,
    FILE: lambda run: (rewound(run), (run / FILE).exists() and read_probe(run)),
    "checkpoints/3/meta.json": lambda run: read_checkpoints(run).latest(TREE, int_step),
}


def used(words: Vocabulary) -> None:
    words.balanced_classes(2)
    words.encode(["a"])
    words.decode([0, 2])


def int_step(meta: dict) -> None:
    int(meta["step"])


def mutations(data: bytes, number: int, chance: random.Random):
    """Bytes flipped, cut, repeated, and JSON values put in place of others."""
    values = [b"null", b"[]", b"{}", b"-1", b'"x"', b"1e999", b"NaN", b'"\\ud800"']
    values += [b"[" * 2000, b"9" * 30, b"true"]
    for _ in range(number):
        found = bytearray(data)
        at, to = sorted(chance.randrange(len(data)) for _ in range(2))
        kind = chance.randrange(5)
        if kind == 0:
            found[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del found[at:to]
        elif kind == 2:
            found[at:at] = found[at:to][:200]
        elif kind == 3:
            found[at : at + 1] = bytes([chance.randrange(256)])
        else:
            colons = [i for i, c in enumerate(data) if c in b":,["] or [at]
            begin = chance.choice(colons) + 1
            ends = [i for i in range(begin, len(data)) if data[i] in b",]}\n"]
            found[begin : (ends or [begin])[0]] = chance.choice(values)
        yield bytes(found)


@pytest.mark.parametrize("name", sorted(FUZZED))
def test_whatever_a_file_holds_is_read_or_refused_in_a_line(tmp_path, name, capsys):
    """Only our own one-line errors, for some hundred mutations of each file."""
    folder = made(tmp_path / "run", steps=(3,))
    columns = {"step": np.arange(3), "last": np.zeros(3, bool), "x": np.ones((3, 2))}
    np.savez(folder / FILE, allow_pickle=False, **columns)
    data = (folder / name).read_bytes()
    keep = contents(folder)
    for broken in mutations(data, 120, random.Random(name)):
        for other, sound in keep.items():
            (folder / other).write_bytes(sound)
        (folder / name).write_bytes(broken)
        try:
            FUZZED[name](folder)
        except (RunError, DataError) as error:
            assert "\n" not in str(error), error
        for line in capsys.readouterr().err.splitlines():
            assert line.startswith(("warning: ", "note: ")), line


def test_a_forged_record_is_damaged_or_refused(tmp_path):
    folder = made(tmp_path / "run", steps=(3,))
    path = folder / "checkpoints" / "3" / "meta.json"
    data = path.read_bytes()
    for key in ("meta", "arrays", "files", "origin", "best_step", "step"):
        for value in (None, [], {}, "x", -1, {"x": 1}):
            path.write_bytes(data)
            forge(path, lambda record, k=key, v=value: record.__setitem__(k, v))
            try:
                read_checkpoints(folder).latest(TREE, int_step)
            except RunError as error:
                assert "\n" not in str(error)


def test_damaged_probes_are_set_aside(tmp_path, capsys):
    (tmp_path / FILE).write_bytes(b"PK\x03\x04 nothing")
    rewind_probe(tmp_path, 5)
    assert [p.name for p in tmp_path.iterdir()] == [f"{FILE}.damaged"]
    assert "kept as gradflow.npz.damaged" in capsys.readouterr().err


def test_packed_arrays_larger_than_their_file_are_refused(tmp_path):
    columns = {"step": np.arange(3), "x": np.zeros((3, 10**6))}
    np.savez_compressed(tmp_path / FILE, **columns)
    with pytest.raises(RunError, match="bytes in fewer"):
        read_probe(tmp_path)

"""What files are is said and what reading changed is told, with counts."""

import gzip
import io
import json
import os
import re
import sys
import tarfile
import threading
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest

from data_pipeline import corpora, store
from data_pipeline.__main__ import main
from data_pipeline.config import DataConfig
from data_pipeline.corpora.reading import text_blocks
from data_pipeline.dataset import prepare
from data_pipeline.errors import DataError
from data_pipeline.told import told
from data_pipeline.types import Corpus
from tests.corpora import lay_out, texts_of
from tests.source import ROOT

LINES = [f"line {i} of the text ." for i in range(60)]
TEXT = "\n".join(LINES) + "\n"


def refused(corpus, **settings):
    with pytest.raises(DataError) as error:
        prepare(DataConfig(corpus=str(corpus), **settings))
    assert "\n" not in str(error.value)
    return str(error.value)


def zipped():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("train.txt", TEXT)
    return out.getvalue()


def tarred():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo("train.txt")
        info.size = len(TEXT)
        archive.addfile(info, io.BytesIO(TEXT.encode()))
    return out.getvalue()


NO_TEXT = {
    "UTF-16, not": TEXT.encode("utf-16"),
    "is UTF-16LE": TEXT.encode("utf-16-le"),
    "is UTF-16BE": TEXT.encode("utf-16-be"),
    "UTF-32, not": TEXT.encode("utf-32"),
    "a zip archive": zipped(),
    "a tar archive": tarred(),
    "packed by gzip; name it|packed by gzip": gzip.compress(TEXT.encode()),
    "a Parquet file": b"PAR1" + bytes(90),
}


@pytest.mark.parametrize("what", NO_TEXT)
@pytest.mark.parametrize("errors", ["strict", "replace"])
def test_what_is_no_text_is_named(tmp_path, what, errors):
    """`replace` read UTF-16 as text of which every second letter was U+FFFD."""
    lay_out(tmp_path, {"a.txt": NO_TEXT[what]})
    said = refused(tmp_path / "a.txt", errors=errors)
    assert any(part in said for part in what.split("|"))
    if "UTF" in what:
        assert "iconv -f UTF-" in said


def test_a_tar_inside_a_gz_is_no_text(tmp_path):
    lay_out(tmp_path, {"simple-examples.tar.gz": tarred()})
    assert "is a tar archive" in refused(tmp_path / "simple-examples.tar.gz")


def test_cr_line_ends_are_line_ends(tmp_path):
    """d61f4e4 read one line, and had no tokens for valid and test."""
    path = lay_out(tmp_path, {"mac.txt": TEXT.replace("\n", "\r")}) + "/mac.txt"
    assert "".join(texts_of(path).values()) == TEXT
    lines = told(prepare(DataConfig(corpus=path)).corpus)
    assert "60 line ends of CR alone, read as LF" in lines


def test_a_text_of_one_line_is_cut_inside_it(tmp_path):
    """At white space, or at a sentence's end where sentences are split; told."""
    text = " ".join(f"Line {i} is it." for i in range(300))
    path = lay_out(tmp_path, {"one.txt": text}) + "/one.txt"
    data = prepare(DataConfig(corpus=path))
    assert "inside lines at white space" in told(data.corpus)[0]
    assert data.corpus.facts["sentences"] == {"train": 1, "valid": 1, "test": 1}
    data = prepare(DataConfig(corpus=path, split_sentences=True))
    assert sum(data.corpus.facts["sentences"].values()) == 300
    assert "at sentence ends" in told(data.corpus)[0]
    dot = data.vocabulary.id_of(".")
    for split in data.splits.values():
        assert (split.ids[split.starts[1:] - 2] == dot).all()


def test_marks_of_files_put_together_go(tmp_path):
    path = lay_out(tmp_path, {"both.txt": f"\ufeff{TEXT}\ufeff{TEXT}"}) + "/both.txt"
    assert "".join(texts_of(path, tokenizer="characters").values()) == TEXT * 2
    assert "2 byte-order marks, left out" in told(
        prepare(DataConfig(corpus=path)).corpus
    )


def test_replaced_bytes_are_counted(tmp_path):
    data = TEXT.encode() + b"\xff \0 caf\xe9 \xef\xbf\xbd\n"
    path = lay_out(tmp_path, {"a.txt": data}) + "/a.txt"
    assert "--data.errors replace" in refused(path)
    lines = told(prepare(DataConfig(corpus=path, errors="replace")).corpus)
    assert "2 bytes that are not UTF-8, replaced by U+FFFD" in lines
    assert "1 NUL characters, replaced by U+FFFD" in lines


def test_an_option_is_advised_only_where_it_is_there(tmp_path):
    lay_out(tmp_path, {"a.txt": b"caf\xe9\n"})
    with pytest.raises(DataError, match="is not UTF-8") as error:
        list(text_blocks(tmp_path / "a.txt"))
    assert "--data.errors" not in str(error.value)


@pytest.mark.parametrize("name", ["pipe", "pipe.csv"])
def test_pipes_are_read_once(tmp_path, name):
    """d61f4e4 read them twice: it hung, or found no tokens."""
    text = TEXT if name == "pipe" else f"text\n{TEXT}"
    os.mkfifo(tmp_path / name)
    feed = threading.Thread(target=lambda: (tmp_path / name).write_text(text))
    feed.start()
    data = prepare(DataConfig(corpus=str(tmp_path / name), fractions=(0.4, 0.3, 0.3)))
    feed.join(timeout=60)
    assert sum(data.corpus.facts["sentences"].values()) == 60
    assert data.corpus.name == str(tmp_path / name)


def test_devices_and_nothing(tmp_path, monkeypatch):
    assert "is empty" in refused("/dev/null")
    assert "a device or a socket" in refused("/dev/zero")
    stdin = SimpleNamespace(buffer=io.BytesIO(b""))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert "is empty" in refused("-")


def test_paths_that_name_nothing():
    for corpus in ("", "  "):
        with pytest.raises(DataError, match="data.corpus is empty"):
            DataConfig(corpus=corpus)
    assert "no user 'nosuchuser'" in refused("~nosuchuser/x")
    assert "is not UTF-8; rename it" in refused("caf\udce9.txt")


def test_a_text_is_its_fingerprint_not_its_path(tmp_path):
    """Wherever it lies, however it is packed; another text or cut is another one."""
    texts = {"a/x.txt": TEXT, "b/y.txt": TEXT, "z.txt.gz": TEXT}
    texts |= {"w.txt": TEXT.replace("\n", "\r\n"), "other.txt": TEXT + "more\n"}
    folder = lay_out(tmp_path, texts)

    def fingerprint(name, **settings):
        return prepare(DataConfig(corpus=f"{folder}/{name}", **settings)).corpus[1]

    same = {fingerprint(name) for name in list(texts)[:4]}
    cache = {"in_memory": 0, "cache_dir": f"{folder}/cache", "workers": 1}
    same |= {fingerprint("a/../a/x.txt", **cache), fingerprint("b/y.txt", **cache)}
    assert len(same) == 1
    others = {
        fingerprint("other.txt"),
        fingerprint("b/y.txt", fractions=(0.8, 0.1, 0.1)),
    }
    assert len(same | others) == 3


def test_unknown_words_are_told_and_many_warned_of(tmp_path):
    path = lay_out(tmp_path, {"a.txt": TEXT}) + "/a.txt"
    few = told(prepare(DataConfig(corpus=path)).corpus)
    many = told(prepare(DataConfig(corpus=path, max_vocabulary=3)).corpus)
    assert "unknown words: train 0.00%" in few[-1] and "says little" not in few[-1]
    assert "so many that perplexity says little" in many[-1]
    assert told(Corpus("x", "y", {})) == []


def test_lines_that_settings_leave_out_are_counted(tmp_path):
    text = TEXT + "short\nsee http://x\n" * 3 + TEXT * 2
    path = lay_out(tmp_path, {"a.txt": text}) + "/a.txt"
    settings = {"drop_containing": ("http",), "min_length": 2, "deduplicate": True}
    lines = told(prepare(DataConfig(corpus=path, **settings)).corpus)
    assert "3 lines of train left out: they are shorter than data.min_length" in lines
    assert any(
        line.startswith("3 lines of train left out: they cont") for line in lines
    )
    assert any("stand in a later split as well" in line for line in lines)


def test_inspect_says_how_a_source_was_understood(tmp_path, capsys):
    rows = "id;text\n1;a b\n2\n" + "".join(f"{i};row {i}\n" for i in range(9))
    files = {"train.csv": rows, "dev.csv": rows.replace("\n", "\r\n"), "test.txt": TEXT}
    folder = lay_out(tmp_path / "t", {**files, "README": "", "test.txt~": ""})
    assert main(["inspect", folder, "--plot", str(tmp_path / "x.png")]) == 0
    said = capsys.readouterr().out
    for line in (
        "splits of its own: train 1, valid 1, test 1 files",
        "train.csv: column 'text', delimiter semicolon: 10 rows read",
        "2 rows left out: too short to reach the column (in train.csv, dev.csv)",
        "12 line ends of CR LF, read as LF (in dev.csv)",
        "not read, left by editors and systems: 1 (test.txt~)",
        "valid: dev.csv",
        "encoding UTF-8, line ends as told above",
    ):
        assert line in said


def test_the_block_of_the_readme_runs():
    text = (ROOT / "data_pipeline" / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    exec(compile(block, "README.md", "exec"), {})


def test_names_that_steer_a_terminal_are_escaped(tmp_path):
    (tmp_path / "a\x1b[31m").mkdir()
    folder = lay_out(tmp_path / "a\x1b[31m", {"x.txt": TEXT, "x\x07~": ""})
    said = [*told(prepare(DataConfig(folder)).corpus), refused(f"{folder}/no\x1b[2J")]
    assert "\\x07" in "".join(said) and "".join(said).isprintable()


@pytest.mark.parametrize(
    "file", ["valid.ids.npy", "test.starts.npy", "vocabulary.json"]
)
def test_a_flipped_bit_of_prepared_data_is_found(tmp_path, file):
    path = lay_out(tmp_path, {"a.txt": TEXT * 50}) + "/a.txt"
    cache = str(tmp_path / "cache")
    config = DataConfig(corpus=path, in_memory=0, cache_dir=cache, workers=1)
    before = prepare(config)
    (entry,) = store.prepared(tmp_path / "cache")
    data = bytearray((entry.path / file).read_bytes())
    data[-9] ^= 4
    (entry.path / file).write_bytes(data)
    assert "is damaged (its files are not as they were written); remove it" in refused(
        path, in_memory=0, cache_dir=cache
    )
    store.remove(entry)
    np.testing.assert_array_equal(
        prepare(config).splits["test"].ids, before.splits["test"].ids
    )


def test_what_is_prepared_tells_how_it_was_read_this_time(tmp_path):
    names = {"a.txt": TEXT, "b.txt": TEXT.replace("\n", "\r\n")}
    folder, cache = lay_out(tmp_path / "t", names), str(tmp_path / "cache")
    for name in names:
        settings = {"in_memory": 0, "cache_dir": cache, "workers": 1}
        corpus = prepare(DataConfig(corpus=f"{folder}/{name}", **settings)).corpus
        assert corpus.name == name
        assert ("60 line ends of CR LF" in json.dumps(corpus.facts)) == (
            name == "b.txt"
        )
    assert len(store.prepared(tmp_path / "cache")) == 1


def test_a_packed_text_counts_by_its_size_unpacked(tmp_path):
    path = (
        lay_out(tmp_path, {"big.txt.gz": "word and word\n" * 200_000}) + "/big.txt.gz"
    )
    assert corpora.load(DataConfig(corpus=path)).size == 14 * 200_000
